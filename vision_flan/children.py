"""Child processes that end when their parent does, even if it is killed, and whatever they are doing.

A thread that waits for the parent's end is not enough: a library in C that keeps the interpreter keeps that
thread too. So the system ends the child, by a signal that nothing here handles.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path

from vision_flan.limits import Limits, applied, apply, current

_Prctl = Callable[[int, int], int]

#: numpy starts threads when it is loaded, one for each core, and each looks for work for a while.
_NO_THREADS = "OPENBLAS_NUM_THREADS"
#: What the resource tracker says when it removes something begins with its name.
_NO_WARNING = "ignore:resource_tracker"


#: The thread of pyarrow's allocator, which it stops where a process forks, and starts again in both.
_ALLOCATOR = "jemalloc_bg_thd"


def is_alone() -> bool:
    """Whether this process has no thread that a fork would cut off; False where the system does not say."""
    if threading.active_count() > 1:
        return False
    try:
        names = [
            (Path("/proc/self/task") / number / "comm").read_text().strip()
            for number in os.listdir("/proc/self/task")  # noqa: PTH208 - names
            if int(number) != os.getpid()
        ]
    except OSError:
        return False
    return set(names) <= {_ALLOCATOR}


@contextmanager
def without_threads() -> Iterator[None]:
    """What is loaded meanwhile, here or in a process that is started, starts no thread."""
    with _environment(_NO_THREADS, "1"):
        yield


def start_tracker() -> None:
    """Start multiprocessing's resource tracker, which removes what killed processes leave, if none runs.

    It does so without a warning: workers are killed where a run ends, busy or not.
    """
    others = os.environ.get("PYTHONWARNINGS")
    with _environment("PYTHONWARNINGS", f"{others},{_NO_WARNING}" if others else _NO_WARNING):
        resource_tracker.ensure_running()


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """Processes that are started meanwhile have a variable."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def end_with_other_end(pipe: int) -> None:
    """In a child: end when nobody holds the other end of a pipe any more, to which nothing is written."""
    try:
        # opened again, since what processes were given is one thing to the system, which has one owner
        own = os.open(f"/proc/self/fd/{pipe}", os.O_RDONLY | os.O_NONBLOCK)
        fcntl.fcntl(own, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(own, fcntl.F_SETSIG, signal.SIGTERM)
        fcntl.fcntl(own, fcntl.F_SETFL, fcntl.fcntl(own, fcntl.F_GETFL) | os.O_ASYNC)
    except (OSError, AttributeError):  # not on this system
        threading.Thread(target=_wait, args=(pipe,), daemon=True, name="alive").start()
        return
    if select.select([own], [], [], 0)[0]:  # it closed before
        os._exit(1)


def _wait(pipe: int) -> None:
    select.select([pipe], [], [])
    os._exit(1)


def end_with_parent(parent: int, by: signal.Signals = signal.SIGKILL) -> None:
    """In a child that was just forked: end when the thread that forked does, also as another program then.

    Where the system has no such thing, it goes on.

    Args:
        parent: the parent's number.
        by: the signal; one that can be handled lets a launcher end its own children.
    """
    prctl = _prctl()
    if prctl is None:
        return
    prctl(1, by)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)


def _prctl() -> _Prctl | None:
    try:
        import ctypes

        found: _Prctl = ctypes.CDLL(None).prctl
    except (ImportError, OSError, AttributeError):
        return None
    return found


@contextmanager
def deaf_to_interrupts() -> Iterator[None]:
    """A process that is started within never receives Ctrl-C; this one does, at the end of the block.

    A terminal sends Ctrl-C to all processes of a command, and only the first one answers it. A child that
    ignores it once it has loaded Python prints a traceback if it comes before. A resource tracker, as
    multiprocessing needs one, is to run before: to start it takes the mask away.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Deaf(SpawnProcess):
    def start(self) -> None:
        start_tracker()
        with deaf_to_interrupts():
            super().start()


class _Spawning(SpawnContext):
    Process = _Deaf


@contextmanager
def pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Processes with the limits of this one, for functions of modules; they end with the block.

    They are spawned: a fork would copy the threads and locks of this process.
    """
    context = _Spawning()
    alive, life = context.Pipe(duplex=False)
    limits = current() if applied() else None
    with alive, life, ProcessPoolExecutor(workers, context, _begin, (alive, limits)) as executor:
        yield executor


#: In a worker: kept, so that it is not closed.
_alive: Connection | None = None


def _begin(alive: Connection, limits: Limits | None) -> None:
    global _alive
    _alive = alive
    end_with_other_end(alive.fileno())
    if limits is not None:
        apply(limits)
