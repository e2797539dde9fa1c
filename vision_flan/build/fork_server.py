"""A process that has this package loaded, from which workers are forked.

A worker that starts as a new interpreter loads the package for half a second, in which it could make 3,000
rows. A process that has threads, and locks that a fork would copy, is not to fork either. A server in between
is started before there is work, loads the package meanwhile, and never does anything else. Few workers need
none: they are forked before this process has threads (`processes`).
"""

from __future__ import annotations

import sys
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, ForkServerProcess, SpawnProcess

from vision_flan.children import deaf_to_interrupts, start_tracker, without_threads

Forked = ForkServerProcess | SpawnProcess

#: What workers need for blocks, and for whole tasks, which are read and checked by much more; and what the
#: script of a command imports, since a worker runs it too.
_BLOCKS, _TASKS = "vision_flan.build.worker", "vision_flan.build.many"
_SCRIPT = "vision_flan.cli.main"


def start_server(*, whole_tasks: bool = False) -> bool:
    """Start the server, unless it runs; it loads the package while this process goes on.

    Args:
        whole_tasks: workers are to compile tasks, not only blocks of one.

    Returns:
        False where it cannot be had: this process was forked from one that has it.
    """
    loaded = [_BLOCKS, *([_TASKS] if whole_tasks else ()), *([_SCRIPT] if _SCRIPT in sys.modules else ())]
    forkserver.set_forkserver_preload(loaded)
    try:
        start_tracker()
        with without_threads(), deaf_to_interrupts():
            forkserver.ensure_running()
    except OSError:
        return False
    return True


class Forking(ForkServerContext):
    """Starts processes by the server; as new interpreters where there is none."""

    def new_process(self, *arguments: object, **named: object) -> Forked:
        """A process that is not started yet."""
        kind = ForkServerProcess if start_server() else SpawnProcess
        return kind(*arguments, **named)  # type: ignore[arg-type]
