"""Processes of this machine, started when there is work for them.

They are forked from this process before it has threads or locks, if they are few; else from a server that has
this package and nothing else (`fork_server`), and so are those that take the place of one that died. A worker
ends when this process does, however that ends, since the pipe that it listens to closes.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeVar

from vision_flan.build.cores import usable_cores
from vision_flan.build.fork_server import start_server
from vision_flan.build.memory import go_without_pandas, keep_freed_memory
from vision_flan.build.worker_watch import WorkerWatch, begin, run_noted
from vision_flan.children import deaf_to_interrupts, end_with_other_end, is_alone
from vision_flan.dataset.behind import every_core_is_taken, has_free_core
from vision_flan.faults import Death
from vision_flan.limits import Limits, applied, current
from vision_flan.report import Reporter, Silent

T = TypeVar("T")

#: Characters of a note that a worker passes on. The kernel writes a message of less than 4,096 bytes to a
#: pipe in one piece, whoever else writes to it, so there is no lock that a killed worker could hold.
_NOTE_LENGTH = 900


class Processes:
    """A pool of processes; after a worker died, it makes another.

    Args:
        helped: see `Engine`.
        jobs: processes of the whole run that work at one time, if not only these.
    """

    def __init__(self, workers: int, *, helped: bool = False, jobs: int | None = None) -> None:
        self.workers = workers
        self.helped = helped
        self._free_core = has_free_core() and (jobs or workers + helped) < usable_cores()
        self._pool: ProcessPoolExecutor | None = None
        self._pipes: tuple[Connection, ...] = ()
        self._listeners: dict[str, Reporter] = {}
        self._watch = WorkerWatch()
        self._starting: threading.Thread | None = None

    @property
    def started(self) -> bool:
        return self._pool is not None and not (self._starting and self._starting.is_alive())

    def prepare(self) -> None:
        """Fork the workers if this process is one of the jobs, and has no threads."""
        if self._pool is None and self.helped and is_alone():
            self._pool = self._start(forks=True)

    def expect_work(self) -> None:
        """Start what workers are forked from."""
        if self._pool is None:
            start_server()

    def start(self) -> None:
        """Start a worker in the background: it waits for the server to load the package."""
        if self._pool is None:
            self._pool = self._start()
            self._starting = threading.Thread(target=_start_worker, args=(self._pool,), name="start")
            self._starting.start()

    def submit(self, work: Callable[..., T], /, *arguments: object) -> Future[T]:
        """Run it in a worker. Raises BrokenExecutor until `repair` if a worker has died."""
        if self._pool is None:
            self._pool = self._start()
        unit = self._watch.next_unit()
        future = self._pool.submit(run_noted, unit, work, arguments)
        self._watch.expect(unit, future)
        return future

    def repair(self) -> Mapping[Future[object], Death]:
        """End what is left of the pool; the next unit starts another. Says whose fault it was."""
        self._end_all()
        found = self._watch.deaths()
        self._watch.close()
        self._watch = WorkerWatch()
        return found

    def listen(self, key: str, report: Reporter) -> bool:
        """Pass on what workers report for a key."""
        self._listeners[key] = report
        return True

    def close(self) -> None:
        """End all workers at once."""
        self._end_all()
        self._watch.close()

    def _end_all(self) -> None:
        if self._starting is not None:
            self._starting.join()
        pool, pipes, self._pool, self._pipes = self._pool, self._pipes, None, ()
        for pipe in pipes:
            pipe.close()
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)

    def _start(self, *, forks: bool = False) -> ProcessPoolExecutor:
        context = self._watch.forks if forks else self._watch.context
        alive, life = context.Pipe(duplex=False)
        heard, said = context.Pipe(duplex=False)
        self._pipes = (alive, life, said)
        self._watch.prepare()
        limits = current() if applied() else None
        ours = (life, heard) if forks else ()
        values = (alive, said, self._watch.folder, limits, self._free_core, ours)
        pool = ProcessPoolExecutor(self.workers, context, _begin, values)
        if forks:
            with deaf_to_interrupts():
                pool.submit(os.getpid)  # forks all of them, and only then starts threads
        threading.Thread(target=self._hear, args=(heard,), daemon=True, name="hear").start()
        self._watch.start()
        return pool

    def _hear(self, heard: Connection) -> None:
        """Pass on messages until no worker is left."""
        with heard, suppress(EOFError, OSError):
            while True:
                key, message, arguments = pickle.loads(heard.recv_bytes())
                report = self._listeners.get(key)
                if report is not None:
                    getattr(report, message)(*arguments)


def _start_worker(pool: ProcessPoolExecutor) -> None:
    with suppress(Exception):  # whatever it is, the first unit meets it too, and says so
        pool.submit(os.getpid)


#: In a worker: where its reports go, and the pipe that closes when its parent ends.
_said: Connection | None = None
_alive: Connection | None = None


def _begin(
    alive: Connection,
    said: Connection,
    notes: Path,
    limits: Limits | None,
    free_core: bool,
    parents: tuple[Connection, ...],
) -> None:
    """Set up a worker: Ctrl-C is its parent's. It does not outlive the parent, and may take no more.

    Args:
        parents: the parent's ends of pipes, of which a fork has copies.
    """
    global _said, _alive
    _said = said
    for pipe in parents:
        pipe.close()
    for number in signal.valid_signals() if parents else ():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    if not free_core:
        every_core_is_taken()
    begin(notes, limits)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_freed_memory()
    gc.freeze()  # what the server has loaded stays
    go_without_pandas()
    _alive = alive
    end_with_other_end(alive.fileno())


class _Passed:
    """Reports to the parent process."""

    def __init__(self, key: str, said: Connection) -> None:
        self._key = key
        self._said = said

    def stage(self, name: str, total: int | None = None) -> None:
        """A stage starts."""
        self._send("stage", name[:_NOTE_LENGTH], total)

    def advance(self, steps: int, size: int = 0) -> None:
        """Steps done."""
        if steps or size:
            self._send("advance", steps, size)

    def note(self, message: str) -> None:
        """Something a user should know."""
        self._send("note", message[:_NOTE_LENGTH])

    def _send(self, message: str, *arguments: object) -> None:
        with suppress(OSError):  # the parent is gone, and this process soon
            self._said.send_bytes(pickle.dumps((self._key, message, arguments)))


def report_of(key: str) -> Reporter:
    """In a worker: what passes reports for a key on to the process that started it."""
    return Silent() if _said is None else _Passed(key, _said)
