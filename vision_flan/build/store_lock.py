"""One process at a time for a task in a store of objects, which has no locks of its own.

The lock is an object that names its holder, made only if there is none: a conditional write, of which S3 and
other stores let one succeed. Its holder writes it again every few seconds. One that stays the same for longer
was left behind by a process that was killed; no clock is compared. Where a store knows no conditional writes,
two processes that come within the same moment may both begin; each looks again before it installs anything,
when the lock names one of them only.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from vision_flan.errors import Location, MachineError, StoreError
from vision_flan.places.remote import RemotePath

#: Seconds between two writings of a held lock, between two looks at another's, and after which one that stays
#: the same was left behind.
BEAT, LOOK, STALE = 10.0, 1.0, 35.0


@dataclass(frozen=True)
class _Holder:
    """Who holds a lock.

    Attributes:
        machine: differs between machines and containers that do not see each other's processes.
        token: differs between two holders.
        beats: how often it was written.
    """

    process: int
    host: str
    machine: str
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    beats: int = 0

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}"

    def again(self) -> _Holder:
        """The same holder, some seconds later."""
        return _Holder(self.process, self.host, self.machine, self.token, self.beats + 1)

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def of(cls, data: bytes) -> _Holder | None:
        """Who wrote a lock; None for what is no lock of ours."""
        try:
            found = json.loads(data)
            return cls(int(found["process"]), str(found["host"]), str(found["machine"]), str(found["token"]))
        except (ValueError, KeyError, TypeError):
            return None

    def has_ended(self) -> bool:
        """Whether it was a process of this machine that is no more."""
        if self.machine != _machine():
            return False
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return True
        except (PermissionError, OverflowError):
            return False
        return self.process == os.getpid() and self.token not in {one.token for one in _holding.values()}


#: URL -> what this process wrote there.
_holding: dict[str, _Holder] = {}


@contextmanager
def held(lock: RemotePath) -> Iterator[None]:
    """Hold a lock.

    Raises:
        MachineError: another process holds it.
        StoreError: the store refuses.
    """
    mine = _Holder(os.getpid(), socket.gethostname(), _machine())
    _take(lock, mine)
    _holding[lock.url] = mine
    done = threading.Event()
    beat = threading.Thread(target=_keep_fresh, args=(lock, mine, done), daemon=True, name="store lock")
    beat.start()
    try:
        yield
    finally:
        done.set()
        beat.join()
        del _holding[lock.url]
        with suppress(StoreError, OSError):  # where the store is gone, the lock is left behind
            if _is(lock, mine):
                lock.unlink()


def still_held(lock: RemotePath) -> None:
    """Look whether this process still holds a lock, before it changes what the lock guards.

    Raises:
        MachineError: another took it, as this one could not be heard of for a while.
    """
    mine = _holding[lock.url]
    holder = _read(lock)
    if holder is None or holder.token != mine.token:
        raise is_held(
            _folder(lock), str(holder or ""), "nothing was installed by this one; wait for the other"
        )


def _take(lock: RemotePath, mine: _Holder) -> None:
    try:
        content = lock.read_bytes()
    except FileNotFoundError:
        _write(lock, mine, new=True)
    else:
        tag = lock.etag()
        holder = _Holder.of(content)
        if not (holder and holder.has_ended()):
            _watch(lock, content)
        _write(lock, mine, replaces=tag)
    if not _is(lock, mine):
        raise is_held(_folder(lock), str(_read(lock) or ""), "wait for it")


def _write(lock: RemotePath, mine: _Holder, *, new: bool = False, replaces: str = "") -> None:
    try:
        lock.write_bytes(mine.to_bytes(), new=new, replaces=replaces)
    except FileExistsError:  # another process was there first
        raise is_held(_folder(lock), str(_read(lock) or ""), "wait for it") from None


def _watch(lock: RemotePath, content: bytes) -> None:
    """Wait until a lock is known to be left behind.

    Raises:
        MachineError: its holder wrote it again.
    """
    until = time.monotonic() + STALE
    while time.monotonic() < until:
        time.sleep(LOOK)
        try:
            now = lock.read_bytes()
        except FileNotFoundError:
            now = b""  # its holder has ended: whoever tries again may have it
        if now != content:
            raise is_held(_folder(lock), str(_Holder.of(now) or _Holder.of(content) or ""), "wait for it")


def _keep_fresh(lock: RemotePath, mine: _Holder, done: threading.Event) -> None:
    while not done.wait(BEAT):
        with suppress(StoreError, OSError):  # what is wrong with the store, the build will say
            if _is(lock, mine):
                tag, mine = lock.etag(), mine.again()
                lock.write_bytes(mine.to_bytes(), replaces=tag)


def _is(lock: RemotePath, mine: _Holder) -> bool:
    holder = _read(lock)
    return holder is not None and holder.token == mine.token


def _read(lock: RemotePath) -> _Holder | None:
    try:
        return _Holder.of(lock.read_bytes())
    except FileNotFoundError:
        return None


def _folder(lock: RemotePath) -> str:
    return lock.url.rpartition("/")[0]


def is_held(folder: object, holder: str, hint: str) -> MachineError:
    """The error that another process holds the lock of a task."""
    return MachineError(
        f"another compile of this task is running in this folder: {holder or 'unknown'}",
        where=Location(str(folder)),
        hint=f"{hint}, or compile into another --out",
    )


def _machine() -> str:
    """What processes have in common that can see each other by their numbers."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip())
    with suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)
