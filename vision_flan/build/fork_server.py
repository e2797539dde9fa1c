"""A process that has this package loaded, from which workers are forked.

A worker that starts as a new interpreter loads the package for half a second, in which it could make 3,000
rows. This process has threads, and locks that a fork would copy, so it is not to fork either. A server in
between is started before there is work, loads the package meanwhile, and never does anything else.
"""

from __future__ import annotations

import os
import sys
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import ForkServerContext, ForkServerProcess, SpawnProcess

from vision_flan.children import deaf_to_interrupts

Forked = ForkServerProcess | SpawnProcess

#: What workers need for blocks, and for whole tasks, which are read and checked by much more; and what the
#: script of a command imports, since a worker runs it too.
_BLOCKS, _TASKS = "vision_flan.build.worker", "vision_flan.build.many"
_SCRIPT = "vision_flan.cli.main"
#: numpy starts threads when it is loaded, one for each core, and each looks for work for a while.
_NO_THREADS = "OPENBLAS_NUM_THREADS"


def start_server(*, whole_tasks: bool = False) -> bool:
    """Start the server, unless it runs; it loads the package while this process goes on.

    Args:
        whole_tasks: workers are to compile tasks, not only blocks of one.

    Returns:
        False where it cannot be had: this process was forked from one that has it.
    """
    loaded = [_BLOCKS, *([_TASKS] if whole_tasks else ()), *([_SCRIPT] if _SCRIPT in sys.modules else ())]
    forkserver.set_forkserver_preload(loaded)
    threads = os.environ.get(_NO_THREADS)
    os.environ[_NO_THREADS] = "1"
    try:
        resource_tracker.ensure_running()
        with deaf_to_interrupts():
            forkserver.ensure_running()
    except OSError:
        return False
    finally:
        if threads is None:
            del os.environ[_NO_THREADS]
        else:
            os.environ[_NO_THREADS] = threads
    return True


class Forking(ForkServerContext):
    """Starts processes by the server; as new interpreters where there is none."""

    def new_process(self, *arguments: object, **named: object) -> Forked:
        """A process that is not started yet."""
        kind = ForkServerProcess if start_server() else SpawnProcess
        return kind(*arguments, **named)  # type: ignore[arg-type]
