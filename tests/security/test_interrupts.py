"""Ctrl-C reaches every process of a command: one answers, the others are silent from their first moment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.security.test_limits import compile_with
from tests.toy import Toy

_AT_ONCE = """
import os, signal
if os.environ.get("INTERRUPTED"):
    os.kill(os.getpid(), signal.SIGINT)
"""

#: What starts a process and says "done" if that did what it was started for.
_STARTS = {
    "the server that workers are forked from": """
    from vision_flan.build.fork_server import Forking
    worker = Forking().new_process(target=os.getpid)
    worker.start()
    worker.join()
    print("done" if worker.exitcode == 0 else worker.exitcode)
""",
    "a pool": """
    from vision_flan import children
    with children.pool(1) as pool:
        print("done" if pool.submit(os.getpid).result() != os.getpid() else "here")
""",
    "the process of a call from Python": """
    import vision_flan as vf
    try:
        vf.verify(os.curdir)
    except vf.errors.VflanError as error:
        print("done" if "no compiled" in str(error) else error)
""",
}


@pytest.mark.parametrize("start", _STARTS.values(), ids=list(_STARTS))
def test_a_process_that_is_interrupted_while_it_starts_goes_on(start: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(_AT_ONCE)
    script = tmp_path / "script.py"
    script.write_text(f"import os\nif __name__ == '__main__':\n    os.environ['INTERRUPTED'] = '1'{start}")
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("done\n", "")


#: What DuckDB makes of Ctrl-C. Not a query that is stopped: beside other threads DuckDB 2.0.1 misses the
#: signal now and then.
_STOPPED = """
raise RuntimeError("Query interrupted")
"""


def test_a_query_that_ctrl_c_stops_is_no_fault(toy: Toy) -> None:
    done = compile_with(toy, _STOPPED)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        130,
        "interrupted; the same command again resumes where this one stopped",
    )
    assert "unexpected" not in done.stderr
