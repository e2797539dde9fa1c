"""Workers are forked from a copy of a process that has no threads yet, else from a new interpreter."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

#: What a script has before it starts the server, and what is asked of the server afterwards.
_BEGIN = """
    import fcntl, json, os, signal, sys, threading
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import forkserver
    from pathlib import Path
    from tests.build.test_fork_server import parents_of_a_worker
    from vision_flan.build.fork_server import Forking, start_server

    def command(process):
        return Path(f"/proc/{process}/cmdline").read_bytes()

    def server():
        return forkserver._forkserver._forkserver_pid
"""


def said(code: str) -> object:
    """What a script prints, which is one line of JSON."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_BEGIN) + textwrap.dedent(code)],
        cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, timeout=60,
    )  # fmt: skip
    return json.loads(done.stdout)


def parents_of_a_worker(more: int) -> list[int]:
    """In a worker: the process it was forked from, and those of workers that it starts in turn."""
    import os
    from concurrent.futures import ProcessPoolExecutor

    from vision_flan.build.fork_server import Forking

    if not more:
        return [os.getppid()]
    with ProcessPoolExecutor(1, Forking()) as pool:
        return [os.getppid(), *pool.submit(parents_of_a_worker, more - 1).result()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads of a process cannot be listed")
class TestTheServer:
    def test_is_a_copy_of_a_process_without_threads_and_its_modules_are_loaded(self) -> None:
        assert said("""
            start_server()
            loaded = "vision_flan.build.worker" in sys.modules
            print(json.dumps([command(server()) == command("self"), loaded]))
        """) == [True, True]

    def test_is_a_new_interpreter_where_there_are_threads(self) -> None:
        assert not said("""
            threading.Thread(target=threading.Event().wait, daemon=True).start()
            start_server()
            print(json.dumps(command(server()) == command("self")))
        """)

    def test_has_workers_of_its_own_and_so_have_they(self) -> None:
        found = said("""
            start_server()
            with ProcessPoolExecutor(1, Forking()) as pool:
                parents = pool.submit(parents_of_a_worker, 2).result()
            print(json.dumps([parents[0] == server(), len(set(parents))]))
        """)
        assert found == [True, 3]

    def test_has_no_file_of_the_process_and_so_holds_no_lock(self, tmp_path: Path) -> None:
        found = said(f"""
            path = {str(tmp_path / "lock")!r}
            file = open(path, "w")
            fcntl.flock(file, fcntl.LOCK_EX)
            start_server()
            files = [os.readlink(one) for one in Path(f"/proc/{{server()}}/fd").iterdir()]
            file.close()
            with open(path) as again:
                fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
            print(json.dumps(path in files))
        """)
        assert found is False

    def test_handles_no_signal_as_the_process_does_and_repeats_nothing_that_was_printed(self) -> None:
        found = said("""
            signal.signal(signal.SIGTERM, lambda *_: print("handled"))
            print('["once",', end=" ")
            start_server()
            os.kill(server(), signal.SIGTERM)
            print(os.waitstatus_to_exitcode(os.waitpid(server(), 0)[1]), "]")
        """)
        assert found == ["once", -15]
