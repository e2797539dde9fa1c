"""No child outlives a parent that is killed, whatever it is doing, and each has its parent's limits."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.console import ROOT, environment
from tests.security.children_of_ours import KINDS, NOTE
from tests.security.conftest import until
from vision_flan import children
from vision_flan.limits import GIB
from vision_flan.readers.matlab_child import CrashError, MatlabParser


def is_alive(number: str) -> bool:
    """Whether a process runs; one that waits to be counted does not."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
@pytest.mark.parametrize("kind", KINDS)
def test_a_child_does_not_outlive_its_killed_parent(kind: str, tmp_path: Path) -> None:
    note = tmp_path / "child"
    command = [sys.executable, "-m", "tests.security.children_of_ours", kind]
    with subprocess.Popen(command, env=environment({NOTE: str(note)}), cwd=ROOT) as parent:
        until(lambda: note.exists() and note.read_text().count("\n") == KINDS[kind][1])
        numbers = note.read_text().split()
        assert all(map(is_alive, numbers)) and str(parent.pid) not in numbers
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        until(lambda: not any(map(is_alive, numbers)))


def _limit(kind: int) -> int:
    return resource.getrlimit(kind)[0]


LIMITED = """
import resource, sys
from vision_flan import children
from vision_flan.limits import Limits, apply
from tests.security.test_children import _limit
apply(Limits(memory=1 << 30, cpu=77))
with children.pool(1) as pool:
    print(*pool.map(_limit, [resource.RLIMIT_DATA, resource.RLIMIT_CPU]))
"""


def test_a_pool_has_the_limits_of_its_parent() -> None:
    said = subprocess.check_output([sys.executable, "-c", LIMITED], cwd=ROOT, env=environment(), text=True)
    memory, processor = map(int, said.split())
    assert memory == GIB
    assert 77 <= processor <= 90


MATLAB = """
from vision_flan.limits import Limits, apply
from vision_flan.readers import matlab_child
apply(Limits(memory=1 << 30, cpu=2))
matlab_child._START = START
matlab_child.MatlabParser().parse(b"", None)
"""


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("exec('while True: pass')", "it takes more processor time than it may"),
        ("bytearray(2 << 30)", "MemoryError"),
        ("__import__('os').abort()", "it crashes the library that reads it"),
    ],
)
def test_the_parser_of_matlab_has_the_limits_of_its_parent(does: str, said: str) -> None:
    start = f"from vision_flan.readers.matlab_child import serve\nserve(lambda *_: {does}, ALIVE)\n"
    script = MATLAB.replace("START = START", f"START = {start!r}")
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment(), capture_output=True, text=True
    )
    assert said in done.stderr.splitlines()[-1]


def test_a_pool_that_ends_leaves_no_child() -> None:
    with children.pool(2) as pool:
        numbers = {str(pool.submit(_number).result()) for _ in range(4)}
    until(lambda: not any(is_alive(number) for number in numbers))


def _number() -> int:
    import os

    return os.getpid()


def test_a_parser_of_matlab_that_ends_is_no_error_of_the_next_file() -> None:
    parser = MatlabParser()
    parser._running().kill()
    with pytest.raises(Exception, match=r".") as failure:
        parser.parse(b"no MATLAB file", None)
    assert not isinstance(failure.value, CrashError)


@pytest.mark.parametrize("start", ["children.start_tracker()", "resource_tracker.ensure_running()"])
def test_what_a_killed_process_leaves_is_removed_without_a_warning(start: str) -> None:
    code = f"""\
import os
from multiprocessing import get_context, resource_tracker
from vision_flan import children
{start}
kept = get_context("spawn").Lock()
os._exit(0)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment({}), cwd=ROOT, capture_output=True, text=True, check=True)
    assert ("leaked" in done.stderr) == start.startswith("resource_tracker"), done.stderr
