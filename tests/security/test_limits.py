"""Whatever a command is made to do, it ends within its limits, as one error with the spec's file and line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.console import environment, on_specs
from tests.security.conftest import until
from tests.toy import Toy
from vision_flan.errors import BadRawError, Location, MachineError, SpecError
from vision_flan.faults import death
from vision_flan.limits import COMPILING, GIB, Limits, Step

#: What a worker does in place of reading its first image.
FAULTS = {
    "a crash in a library": ("os.kill(os.getpid(), signal.SIGSEGV)", "crashed (SIGSEGV)"),
    "a file that is cut while it is mapped": ("os.kill(os.getpid(), signal.SIGBUS)", "crashed (SIGBUS)"),
    "an abort": ("os.abort()", "crashed (SIGABRT)"),
    "the killer of processes that take too much memory": (
        "os.kill(os.getpid(), signal.SIGKILL)",
        "most likely for its memory",
    ),
    "the C library's way out": ("os._exit(127)", "ended with code 127"),
    "memory without end": ("x = [bytearray(1 << 26) for _ in range(1 << 20)]", "GiB of memory"),
    "a loop without end": ("exec('while True: pass')", "of processor time"),
    "a wait without end": ("time.sleep(600)", "more than 6 s while"),
    "recursion without end": ("f = lambda: f()\nf()", "nested too deeply"),
    "an exception that nothing foresaw": ("1 / 0", "ZeroDivisionError"),
}
PATCH = """
import os, signal, time
from vision_flan.readers.image_refs import ImageStore
def broken(self, ref):
    {fault}
ImageStore.read = ImageStore.read_stamped = broken
"""


def compile_with(toy: Toy, fault: str, **env: str) -> subprocess.CompletedProcess[str]:
    *start, script = on_specs(toy.root)
    patch = PATCH.format(fault=fault.replace("\n", "\n    "))
    arguments = ["compile", "--task", "toy_color", "--raw", str(toy.raw), "--out", str(toy.out)]
    command = [*start, patch + script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment(env), timeout=60)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_worker_ends_as_one_error_with_the_spec_it_was_working_on(toy: Toy, fault: str) -> None:
    code, said = FAULTS[fault]
    limits = {"VFLAN_LIMIT_MEMORY": "1G", "VFLAN_LIMIT_CPU": "3"}
    wall = {"VFLAN_LIMIT_WALL": "6"} if "wait" in fault else {}
    done = compile_with(toy, code, **limits, **wall)
    assert done.returncode == 4
    assert said in done.stderr
    assert f"{toy.specs / 'toy/toy_color.yaml'}:8:1: " in done.stderr
    assert "Traceback" not in done.stderr
    assert not (toy.out / "toy_color").exists()


def test_what_a_crash_left_is_resumed(toy: Toy) -> None:
    assert compile_with(toy, "os.abort()").returncode == 4
    assert toy.compile().manifest.rows == 12


def test_a_fault_of_ours_shows_its_traceback_when_asked(toy: Toy) -> None:
    assert "Traceback" in compile_with(toy, "1 / 0", VFLAN_TRACEBACK="1").stderr


def _as_from_a_terminal() -> None:
    """Signals end the command, also where the tests run under nohup."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL])
def test_the_worker_ends_with_the_command(toy: Toy, tmp_path: Path, number: int) -> None:
    note = tmp_path / "worker"
    body = f"open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(15)"
    *start, script = on_specs(toy.root)
    command = [*start, PATCH.format(fault=body) + script, "compile", "--task", "toy_color"]
    with subprocess.Popen(
        [*command, "--raw", str(toy.raw), "--out", str(toy.out)],
        env=environment(),
        stderr=subprocess.DEVNULL,
        preexec_fn=_as_from_a_terminal,
    ) as process:
        until(lambda: note.exists() and note.read_text() != "")
        process.send_signal(number)
        code = process.wait(20)
    assert code == (130 if number == signal.SIGINT else -number)
    until(lambda: not Path(f"/proc/{note.read_text()}").exists() or not sys.platform.startswith("linux"))


def test_limits_are_set_by_the_environment() -> None:
    changed = COMPILING.changed_by({"VFLAN_LIMIT_MEMORY": "1.5G", "VFLAN_LIMIT_SQL": "30", "OTHER": "x"})
    assert (changed.memory, changed.sql, changed.cpu) == (int(1.5 * GIB), 30, COMPILING.cpu)
    assert Limits().changed_by({"VFLAN_LIMIT_FILE": "0", "VFLAN_LIMIT_SPILL": "20 gib"}).file == 0


@pytest.mark.parametrize("value", ["a lot", "-1", "5G", "1e9"])
def test_a_limit_that_is_no_number_is_refused_with_its_name(value: str) -> None:
    with pytest.raises(MachineError, match="VFLAN_LIMIT_CPU"):
        Limits().changed_by({"VFLAN_LIMIT_CPU": value})


def test_a_parent_of_workers_interprets_their_death() -> None:
    step = Step("rendering an instance", Location("x.j2", 3))
    assert isinstance(death(-signal.SIGSEGV, step), SpecError)
    raw = Step("reading an image", Location("x.yaml", 8), of_raw=True)
    assert isinstance(death(-signal.SIGXCPU, raw), BadRawError)
    assert str(death(-signal.SIGBUS, raw)).startswith("x.yaml:8: a library crashed (SIGBUS)")
    assert "starting" in death(1, None).what


def test_limits_reach_the_processes_that_a_worker_starts(toy: Toy) -> None:
    fault = (
        "import resource, subprocess, sys\n"
        "said = subprocess.check_output([sys.executable, '-c', "
        "'import resource; print(resource.getrlimit(resource.RLIMIT_DATA)[0])'])\n"
        "raise KeyError('limit', int(said))"
    )
    assert f"('limit', {GIB})" in compile_with(toy, fault, VFLAN_LIMIT_MEMORY="1G").stderr


def test_an_interpreter_without_limits_is_left_alone(toy: Toy) -> None:
    before = os.sched_getaffinity(0), sys.getrecursionlimit()
    toy.compile()
    assert (os.sched_getaffinity(0), sys.getrecursionlimit()) == before
