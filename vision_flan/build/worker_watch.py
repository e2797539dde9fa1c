"""Watches the workers of a pool: ends one that takes too long, and says why one died and at what.

Each worker notes the unit and the step that it works on in a file that the pool reads. So a crash costs the
task it happened in, with the file and line, and no other.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from multiprocessing.context import ForkContext, ForkProcess
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TypeVar
from weakref import WeakValueDictionary

from vision_flan.build.fork_server import Forked, Forking
from vision_flan.errors import VflanError
from vision_flan.faults import Death, death
from vision_flan.limits import Limits, Notes, begin_worker, current

T = TypeVar("T")

#: Seconds between two looks at the time that steps take.
_LOOK = 1.0
#: How workers end that are not to blame: at the end of their work, with their parent, with a broken pool, or
#: with the server that they were forked from.
_BLAMELESS = (0, 1, -signal.SIGTERM, 255)


class _Recording(Forking):
    """Starts processes, and keeps them: a pool forgets its own when one dies."""

    def __init__(self, made: list[BaseProcess]) -> None:
        super().__init__()
        self._made = made

    def Process(self, *arguments: object, **named: object) -> Forked:  # type: ignore[override]  # noqa: N802
        """A process that is not started yet."""
        process = self.new_process(*arguments, **named)
        self._made.append(process)
        return process


class _RecordingForks(ForkContext):
    """The same for processes that are forked from this one."""

    def __init__(self, made: list[BaseProcess]) -> None:
        super().__init__()
        self._made = made

    def Process(self, *arguments: object, **named: object) -> ForkProcess:  # type: ignore[override]  # noqa: N802
        """A process that is not started yet."""
        process = ForkProcess(*arguments, **named)  # type: ignore[arg-type]
        self._made.append(process)
        return process


class WorkerWatch:
    """Watches the processes that its contexts start: `forks` from this process, `context` from a server."""

    def __init__(self) -> None:
        self._made: list[BaseProcess] = []
        self.context, self.forks = _Recording(self._made), _RecordingForks(self._made)
        self.folder = Path()
        self._numbers = itertools.count(1)
        self._units: WeakValueDictionary[int, Future[object]] = WeakValueDictionary()
        self._late: dict[int, VflanError] = {}
        self._ended = threading.Event()

    def prepare(self) -> None:
        """Make `folder`, which workers get."""
        self.folder = Path(tempfile.mkdtemp(prefix="vflan-"))

    def start(self) -> None:
        """Begin to watch, in a thread."""
        threading.Thread(target=self._look, daemon=True, name="watch").start()

    def close(self) -> None:
        """All workers have ended."""
        self._ended.set()
        if self.folder != Path():
            shutil.rmtree(self.folder, ignore_errors=True)

    def next_unit(self) -> int:
        """A number for a unit of work."""
        return next(self._numbers)

    def expect(self, unit: int, future: Future[T]) -> None:
        """The future of a unit of work."""
        self._units[unit] = future  # type: ignore[assignment]

    def deaths(self) -> Mapping[Future[object], Death]:
        """Why workers died, by the unit that each worked on. Call it when all have ended."""
        found: dict[Future[object], Death] = {}
        for process in self._made:
            code, pid = process.exitcode, process.pid or 0
            notes = None if code in _BLAMELESS else self._notes(pid)
            future = self._units.get(notes.unit) if notes else None
            step = notes.step() if notes else None
            if code is None or future is None or step is None:
                continue
            late = self._late.get(pid)
            error = late or death(code, step, current())
            found[future] = Death(error, certain=code != -signal.SIGKILL or late is not None)
        return found

    def _notes(self, pid: int) -> Notes | None:
        path = self.folder / str(pid)
        return Notes(path) if path.exists() else None

    def _look(self) -> None:
        """End workers whose step takes too long."""
        known: dict[int, Notes] = {}
        while not self._ended.wait(_LOOK):
            for pid in [process.pid for process in self._made if process.pid]:
                notes = known.get(pid) or self._notes(pid)
                if notes is None or pid in self._late:
                    continue
                known[pid] = notes
                if notes.unit and (error := notes.late()):
                    self._late[pid] = error
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)


#: In a worker: its notes.
_notes: Notes | None = None


def begin(folder: Path, limits: Limits | None) -> None:
    """Set up a worker of a pool."""
    global _notes
    _notes = Notes(folder / str(os.getpid()))
    begin_worker(_notes, limits)


def run_noted(unit: int, work: Callable[..., T], arguments: tuple[object, ...]) -> T:
    """In a worker: do a unit of work. Raises what it raises."""
    assert _notes is not None
    _notes.start(unit)
    try:
        return work(*arguments)
    finally:
        _notes.start(0)
