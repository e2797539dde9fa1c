"""Starts a child of one kind that no thread can interrupt, writes its number to a file, and waits for it."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from vision_flan import children
from vision_flan.evaluate import reproduce
from vision_flan.evaluate.costs import Cost
from vision_flan.guard import call_guarded
from vision_flan.limits import COMPILING
from vision_flan.readers import matlab_child
from vision_flan.report import Reporter, Silent

NOTE = "VFLAN_TEST_NOTE"


def hog(*_: object) -> None:
    """Keep the interpreter: a pattern of the standard library lets no other thread run."""
    with Path(os.environ[NOTE]).open("a") as note:
        note.write(f"{os.getpid()}\n")
    re.match("(a*)*b", "a" * 60)


def hog_reporting(_report: Reporter) -> None:
    """The same, as work that reports."""
    hog()


def in_a_pool() -> None:
    with children.pool(3) as pool:
        list(pool.map(hog, range(3)))


def in_a_pool_of_the_build() -> None:
    from vision_flan.build.processes import Processes

    processes = Processes(3)
    for running in [processes.submit(hog) for _ in range(3)]:
        running.result()


def parsing_matlab() -> None:
    matlab_child._START = (
        "from vision_flan.readers.matlab_child import serve\n"
        "from tests.security.children_of_ours import hog\nserve(hog, ALIVE)\n"
    )
    matlab_child.MatlabParser().parse(b"", None)


def from_python() -> None:
    from tests.security.children_of_ours import (
        hog_reporting as work,  # not of `__main__`, which the child lacks
    )

    call_guarded(COMPILING, Silent(), work)


def reproducing() -> None:
    script = "from tests.security.children_of_ours import hog; hog()"
    reproduce._PROGRAMS["hog"] = ("-c", script)
    command = reproduce.Command(("hog",), Path("x"), cost=Cost(), is_done=False)
    reproduce.run([command], lambda _: None)


#: A kind -> what starts it, and how many children it has.
KINDS = {
    "a pool": (in_a_pool, 3),
    "a pool of the build": (in_a_pool_of_the_build, 3),
    "the parser of MATLAB": (parsing_matlab, 1),
    "a call from Python": (from_python, 1),
    "a command of an experiment": (reproducing, 1),
}

if __name__ == "__main__":
    KINDS[sys.argv[1]][0]()
