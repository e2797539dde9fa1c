"""Few workers are forked from a process that has no threads yet; others from a server beside it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.cli.console import environment, on_specs
from tests.toy import Toy
from vision_flan.dataset.shards import BLOCK_ROWS

REPOSITORY = Path(__file__).parents[2]

_BEGIN = """
    import json, os, signal, sys, threading, time
    from multiprocessing import forkserver
    from vision_flan.build.engines import EngineSpec, InFlight, open_engine
"""


def said(code: str) -> object:
    """What a script prints, which is one line of JSON. Its numpy has no threads, as that of a command."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_BEGIN) + textwrap.dedent(code)],
        cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, timeout=60,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads of a process cannot be listed")
class TestWorkersThatAreForked:
    def test_are_children_of_a_process_that_has_no_threads(self) -> None:
        found = said("""
            with open_engine(EngineSpec(jobs=3)) as engine:
                engine.prepare()
                parents = {engine.submit(os.getppid).result() for _ in range(8)}
                print(json.dumps([engine.started, parents == {os.getpid()}]))
        """)
        assert found == [True, True]

    @pytest.mark.parametrize("jobs", [2, 5])
    def test_are_those_of_a_server_where_there_are_threads_or_many_jobs(self, jobs: int) -> None:
        found = said(f"""
            with open_engine(EngineSpec(jobs={jobs})) as engine:
                if {jobs} == 2:
                    threading.Thread(target=threading.Event().wait, daemon=True).start()
                engine.prepare()
                forked = engine.started
                print(json.dumps([forked, engine.submit(os.getppid).result() == os.getpid()]))
        """)
        assert found == [False, False]

    def test_are_replaced_by_those_of_a_server_when_one_dies(self) -> None:
        found = said("""
            with open_engine(EngineSpec(jobs=2)) as engine:
                engine.prepare()
                os.kill(engine.submit(os.getpid).result(), signal.SIGKILL)
                flight = InFlight(engine)
                parent = flight.take(flight.start("a unit", os.getppid))
                print(json.dumps(parent in (os.getpid(), forkserver._forkserver._forkserver_pid)))
        """)
        assert found is True

    def test_end_with_their_parent_whatever_it_is_doing(self) -> None:
        """The pipe to this process closes only when no worker is left."""
        code = (
            _BEGIN
            + """
    with open_engine(EngineSpec(jobs=3)) as engine:
        engine.prepare()
        engine.submit(time.sleep, 100)
        print(engine.submit(os.getpid).result(), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
"""
        )
        killed = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)], cwd=REPOSITORY, check=False, timeout=60,
            stdout=subprocess.PIPE, env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        )  # fmt: skip
        assert killed.returncode == -9 and killed.stdout

    def test_handle_no_signal_as_their_parent_and_repeat_nothing_that_was_printed(self) -> None:
        found = said("""
            signal.signal(signal.SIGTERM, lambda *_: print("handled"))
            print('["once",', end=" ")
            with open_engine(EngineSpec(jobs=2)) as engine:
                engine.prepare()
                wanted = [signal.SIGTERM, signal.SIGINT]
                handlers = [engine.submit(signal.getsignal, number).result() for number in wanted]
            print(json.dumps(handlers), "]")
        """)
        assert found == ["once", [signal.SIG_DFL, signal.SIG_IGN]]


_LOOK = """
from vision_flan.children import without_threads
with without_threads():  # as the command loads them
    from vision_flan.build import processes, schedule

def refuse(**_):
    raise AssertionError("a server")

def files(process):
    names = []
    for one in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):
            names.append(os.readlink(one))
    return [name for name in names if ".lock" in name or "duckdb" in name]

def looked_at(self):
    worker = self._engine.submit(os.getpid).result()
    print(len(files("self")) > 0, files(worker))
    return collect(self)

collect, schedule.Schedule._collect = schedule.Schedule._collect, looked_at
processes.start_server = refuse
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads of a process cannot be listed")
def test_a_command_forks_its_workers_and_none_of_them_has_its_locks_and_records(tmp_path: Path) -> None:
    toy = Toy(tmp_path, count=2 * BLOCK_ROWS + 50)
    *start, script = on_specs(toy.root)
    look = "import os\nfrom contextlib import suppress\nfrom pathlib import Path\n" + _LOOK
    arguments = [
        "compile",
        "--task",
        "toy_color",
        "--raw",
        str(toy.raw),
        "--out",
        str(toy.out),
        "--jobs",
        "2",
    ]
    done = subprocess.run(
        [*start, look + script, *arguments], capture_output=True, text=True, env=environment(), timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "True []"
