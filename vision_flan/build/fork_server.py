"""A process that has this package loaded, from which workers are forked.

A worker that starts as a new interpreter loads the package for a third of a second, in which it could make
3,000 rows. A process that is at work has threads, and locks that a fork would copy, so it is not to fork. So
a server is there before work begins, and never does anything else. It is a copy of this process if that has
loaded what workers need and started no thread; else a new interpreter, which loads it meanwhile.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from multiprocessing import forkserver, resource_tracker, util
from multiprocessing.context import ForkServerContext, ForkServerProcess, SpawnProcess
from pathlib import Path
from typing import Protocol, cast

from vision_flan.children import deaf_to_interrupts, without_threads

Forked = ForkServerProcess | SpawnProcess

#: What workers need for blocks, and for whole tasks, which are read and checked by much more; and what the
#: script of a command imports, since a worker runs it too.
_BLOCKS, _TASKS = "vision_flan.build.worker", "vision_flan.build.many"
_SCRIPT = "vision_flan.cli.main"
#: The thread of pyarrow's allocator, which it stops and starts again where a process forks.
_ALLOCATOR = "jemalloc_bg_thd"


def start_server(*, whole_tasks: bool = False) -> bool:
    """Start the server, unless it runs. Call it before threads start: then it costs next to nothing.

    Args:
        whole_tasks: workers are to compile tasks, not only blocks of one.

    Returns:
        False where it cannot be had: this process was forked from one that has it.
    """
    loaded = [_BLOCKS, *([_TASKS] if whole_tasks else ()), *([_SCRIPT] if _SCRIPT in sys.modules else ())]
    forkserver.set_forkserver_preload(loaded)
    with without_threads(), _copies(loaded) if _is_alone() else _new_interpreters():
        try:
            resource_tracker.ensure_running()
            with deaf_to_interrupts():
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


def _is_alone() -> bool:
    """Whether this process has no thread that a fork would cut off."""
    if threading.active_count() > 1:
        return False
    try:
        names = [
            (Path("/proc/self/task") / number / "comm").read_text().strip()
            for number in os.listdir("/proc/self/task")  # noqa: PTH208 - names
            if int(number) != os.getpid()
        ]
    except OSError:  # not on this system
        return False
    return set(names) <= {_ALLOCATOR}


@contextmanager
def _new_interpreters() -> Iterator[None]:
    """What multiprocessing starts are new interpreters, as ever."""
    yield


class _Start(Protocol):
    def __call__(self, path: str, args: Sequence[str], passfds: Sequence[int], /) -> int: ...


class _Util(Protocol):
    spawnv_passfds: _Start


@contextmanager
def _copies(loaded: Sequence[str]) -> Iterator[None]:
    """What multiprocessing starts are copies of this process, which loads modules first."""
    for name in loaded:
        import_module(name)
    if not _is_alone():  # one of them has started a thread
        yield
        return
    module = cast(_Util, util)
    started = module.spawnv_passfds
    module.spawnv_passfds = _copy
    try:
        yield
    finally:
        module.spawnv_passfds = started


def _copy(_interpreter: str, arguments: Sequence[str], kept: Sequence[int], /) -> int:
    """Fork in place of starting a new interpreter, and do there what that was to do: `-c` and its last
    argument. Returns the number of the process."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # there is none, or it is closed
            stream.flush()  # or the copy writes it too
    forgotten, holds = os.pipe()
    with warnings.catch_warnings():  # Python counts the thread of the allocator
        warnings.simplefilter("ignore", DeprecationWarning)
        process = os.fork()
    if process:
        os.close(holds)
        os.read(forgotten, 1)  # ends when the copy holds no lock of this process any more
        os.close(forgotten)
        return process
    code = 1
    try:
        _forget(kept)
        exec(arguments[-1], {})
        code = 0
    except SystemExit:
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _forget(kept: Sequence[int]) -> None:
    """In a copy: give up what belongs to the process that it was made from, but for some descriptors."""
    gc.freeze()  # what nobody refers to would close descriptors when it is found
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)) and number != signal.SIGINT:
            signal.signal(number, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDWR)
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names
        # taken by nothing and not closed: an object that closes its number later must not hit another file
        if int(name) > 2 and int(name) not in {*kept, nothing}:
            with suppress(OSError):  # the one that has listed them
                os.dup2(nothing, int(name), inheritable=False)
    forkserver._forkserver._lock = threading.RLock()  # type: ignore[attr-defined]  # it is held now
    resource_tracker._resource_tracker._pid = None  # type: ignore[attr-defined]  # no child of the copy
