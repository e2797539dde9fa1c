"""What a command may take: memory, processor time, time, file sizes. And what to say if it takes more.

Specs and raw files are untrusted, and libraries in C that read them may crash or never return. So what reads
them runs in a process (`guard`) that has these limits and notes what it is working on; another process only
waits. However the first ends, the second says what it was doing, with the file and line. Workers of a pool
call `begin_worker` when they start, and `Step.begin` for each thing they start on.
"""

from __future__ import annotations

import json
import mmap
import os
import re
import resource
import struct
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Final

from vision_flan.errors import BadRawError, Location, MachineError, SpecError, VflanError

GIB: Final = 2**30

#: Seconds between two renewals of the limit on processor time; asking the kernel for each row would cost.
_RENEW_EVERY = 5.0
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def _usual_memory() -> int:
    """Three quarters of the machine's memory, from 2 to 16 GiB."""
    try:
        installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        installed = 16 * GIB
    return max(2 * GIB, min(16 * GIB, installed * 3 // 4))


@dataclass(frozen=True)
class Limits:
    """What one process may take. A value of 0 is no limit.

    The environment changes each: `VFLAN_LIMIT_MEMORY=32G`, `VFLAN_LIMIT_SQL=7200`.

    Attributes:
        memory: bytes of memory, beside files that are mapped.
        sql_memory: bytes of them for SQL before it spills; what cannot spill is tried with a quarter.
        file: bytes of one file that is written.
        spill: bytes that SQL may spill to the disk.
        cpu: seconds of processor time for one step, of all its threads.
        wall: seconds for one step.
        sql: seconds for one SELECT or view.
        rate: bytes a second that a download must bring, in the mean of a minute.
    """

    memory: int = _usual_memory()
    sql_memory: int = 256 * 2**20
    file: int = 256 * GIB
    spill: int = 256 * GIB
    cpu: int = 8 * 3600
    wall: int = 4 * 3600
    sql: int = 2 * 3600
    rate: int = 1000

    SIZES: ClassVar[frozenset[str]] = frozenset({"memory", "sql_memory", "file", "spill", "rate"})

    def changed_by(self, environment: Mapping[str, str]) -> Limits:
        """These limits with those that the environment sets.

        Raises:
            MachineError: a value that is no size or number of seconds.
        """
        changes: dict[str, int] = {}
        for each in fields(self):
            name = f"VFLAN_LIMIT_{each.name.upper()}"
            text = environment.get(name, "").strip()
            found = _SIZE.fullmatch(text)
            if text and (not found or (found[2] and each.name not in self.SIZES)):
                kind = "a size such as 8G" if each.name in self.SIZES else "a number of seconds"
                raise MachineError(f"{name}={text!r} is not {kind}", hint=f"set it to {kind}, 0 for no limit")
            if found:
                changes[each.name] = int(float(found[1]) * _UNITS[found[2].upper()])
        return replace(self, **changes)


#: To check specs and render them from miniatures, which takes seconds.
CHECKING = Limits(memory=min(6 * GIB, _usual_memory()), file=4 * GIB, spill=GIB, cpu=900, wall=600, sql=60)
#: To read and compile raw files of any size.
COMPILING = Limits()
#: To send and receive files, which takes as long as the line needs.
TRANSFERRING = replace(COMPILING, wall=0)


@dataclass(frozen=True)
class Step:
    """What a process is working on.

    Attributes:
        what: as in "while {what}": `reading the table images`.
        place: the spec's file and line.
        of_raw: a raw file decides how it goes, not the spec alone.
    """

    what: str
    place: Location
    of_raw: bool = False

    @cached_property
    def _note(self) -> bytes:
        place = self.place
        facts = [self.what[:300], self.of_raw, str(place.file)[-1000:], place.line, place.column]
        return json.dumps(facts, ensure_ascii=False).encode("utf-8", "replace")

    def begin(self) -> None:
        """Note it; the time for a step counts from here."""
        _state.begin(self._note, self)

    def too_much(self, what: str, name: str = "") -> VflanError:
        """The error that ends it; `name` is the limit that was reached."""
        error = BadRawError if self.of_raw else SpecError
        hint = "what the spec asks for is too large, or a file is not what it says"
        if name:
            hint += f"; if it is right, VFLAN_LIMIT_{name.upper()} raises the limit (docs/security.md)"
        return error(f"{what} while {self.what}", where=self.place, hint=hint)


class Notes:
    """Memory that a process and the one that waits for it share: the unit of work, when its step began, the
    time it may take, and what it is.

    Args:
        path: a file to share it through; None for processes that fork.
    """

    ROOM = 8192
    #: When the step began, its seconds, and bytes of the note; at the end, the number of the unit.
    _HEAD = struct.Struct("<dqq")
    _UNIT = struct.Struct("<q")

    def __init__(self, path: Path | None = None) -> None:
        if path is None:
            self._map = mmap.mmap(-1, self.ROOM)
            return
        with path.open("a+b") as file:
            file.truncate(self.ROOM)
            self._map = mmap.mmap(file.fileno(), self.ROOM)

    @property
    def unit(self) -> int:
        """The number of what it is working on, 0 for nothing."""
        return int(self._UNIT.unpack_from(self._map, self.ROOM - self._UNIT.size)[0])

    def start(self, unit: int) -> None:
        """It starts on a unit of work, and has no step yet; 0: it waits for the next."""
        self.clear()
        self._UNIT.pack_into(self._map, self.ROOM - self._UNIT.size, unit)

    def write(self, now: float, wall: int, note: bytes) -> None:
        """A step begins."""
        self._map[: self._HEAD.size + len(note)] = self._HEAD.pack(now, wall, len(note)) + note

    def clear(self) -> None:
        """There is no step now."""
        self._map[: self._HEAD.size] = self._HEAD.pack(0.0, 0, 0)

    def read(self) -> tuple[float, int, Step] | None:
        """When the step began, its time in seconds, and the step; None without one."""
        began, wall, size = self._HEAD.unpack(self._map[: self._HEAD.size])
        if not size:
            return None
        text = self._map[self._HEAD.size : self._HEAD.size + size]
        try:
            what, of_raw, *place = json.loads(text)
        except ValueError:  # it died while it wrote
            return None
        return began, wall, Step(what, Location(*place), of_raw)

    def late(self) -> VflanError | None:
        """The error of a step that takes longer than it may, if it does."""
        found = self.read()
        if not found or not found[1] or time.monotonic() - found[0] <= found[1]:
            return None
        return found[2].too_much(f"more than {found[1]:,} s", "wall")

    def step(self) -> Step | None:
        """The step, if there is one."""
        found = self.read()
        return found[2] if found else None


class _State:
    """The limits of this process, and its step."""

    def __init__(self) -> None:
        self.limits = COMPILING
        self.here = threading.local()
        self.notes: Notes | None = None
        self.applied = False
        self._renewed = -_RENEW_EVERY

    def begin(self, note: bytes, step: Step) -> None:
        self.here.step = step
        if self.notes is None and not self.applied:
            return
        now = time.monotonic()
        if self.notes is not None:
            self.notes.write(now, self.limits.wall if self.applied else 0, note)
        if self.applied and self.limits.cpu and now - self._renewed >= _RENEW_EVERY:
            self._renewed = now
            _set(resource.RLIMIT_CPU, int(time.process_time()) + self.limits.cpu)


_state = _State()


def current() -> Limits:
    """The limits of this process."""
    return _state.limits


def applied() -> bool:
    """Whether this process has limits."""
    return _state.applied


def take_notes(notes: Notes) -> None:
    """Note the steps of this process there."""
    _state.notes = notes


def begin_worker(notes: Notes, limits: Limits | None) -> None:
    """Set up a worker: limited as the process that started it, which reads its notes."""
    take_notes(notes)
    if limits is not None:
        apply(limits)


def wait_for_others() -> None:
    """This process waits for its workers now, each of which has its own time."""
    if _state.notes is not None:
        _state.notes.clear()


def current_step() -> Step | None:
    """What this thread is working on, None before its first step."""
    return getattr(_state.here, "step", None)


def apply(limits: Limits) -> None:
    """Limit this process, and those that it starts. Call it when a worker starts."""
    _state.limits, _state.applied = limits, True
    # what is mapped from files, as LMDB does with hundreds of gigabytes, does not count as data
    _set(resource.RLIMIT_DATA, limits.memory)
    _set(resource.RLIMIT_FSIZE, limits.file)
    _set(resource.RLIMIT_CPU, int(time.process_time()) + limits.cpu if limits.cpu else 0)
    _set(resource.RLIMIT_CORE, None)


def renew() -> None:
    """A process that serves others begins on the next piece: it has all its processor time again."""
    if _state.applied and _state.limits.cpu:
        _set(resource.RLIMIT_CPU, int(time.process_time()) + _state.limits.cpu)


def use(limits: Limits) -> None:
    """Go on with other limits, changed by the environment, if this process has any."""
    if _state.applied:
        apply(limits.changed_by(os.environ))


def allow_memory(size: int) -> None:
    """Let this process, and workers that it starts, take this much memory, and SQL a quarter of it."""
    limits = replace(_state.limits, memory=size, sql_memory=max(size // 4, COMPILING.sql_memory))
    if _state.applied:
        apply(limits)
    else:
        _state.limits = limits


def _set(kind: int, most: int | None) -> None:
    """Set a soft limit: 0 for none, None for nothing at all. A lower hard limit stays."""
    _, hard = resource.getrlimit(kind)
    wanted = 0 if most is None else (most or resource.RLIM_INFINITY)
    if hard != resource.RLIM_INFINITY and (wanted == resource.RLIM_INFINITY or wanted > hard):
        wanted = hard
    try:
        resource.setrlimit(kind, (wanted, hard))
    except (OSError, ValueError):
        return  # not on this system; what the parent watches remains
