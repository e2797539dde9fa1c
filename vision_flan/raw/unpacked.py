"""Packed tars, unpacked once into a folder of ours, for every process, task and later run.

An image of a .tar.gz costs the unpacking of up to a megabyte before it, and .tar.bz2 and .tar.xz have no
random access at all. Unpacked, an archive is read like any folder. An entry is named by path, size and time
of the archive, so it cannot be out of date; it appears whole, by renaming. Those that were not used for
longest make room. The folder may be removed at any time.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import TextIO

#: The folder, in the work folder of a compiled folder.
FOLDER = "archives.cache"
#: Bytes of all entries together.
MOST_BYTES = 32 * 10**9
#: Archives of fewer packed bytes are as quick to read where they are.
LEAST_BYTES = 8 * 10**6
#: An archive that unpacks to more times its size holds no images.
_MOST_TIMES = 20
#: What is left free on the disk: as much as is taken.
_SHARE_OF_FREE = 2

_SUFFIX = ".tar"


@dataclass(frozen=True)
class Scratch:
    """Where archives are unpacked.

    Attributes:
        folder: made when the first archive is unpacked.
        read_only: take what is there, unpack nothing.
    """

    folder: Path
    read_only: bool = False

    def descriptor(self, path: Path, content: Iterator[bytes]) -> int | None:
        """An open descriptor of the unpacked archive; None if it is not there and cannot or need not be made.

        Args:
            content: what the archive unpacks to; read only if that is not there yet.

        Raises:
            What `content` raises.
        """
        status = path.stat()
        entry = self.folder / (_digest(path, status) + _SUFFIX)
        found = _opened(entry)
        if found is not None or self.read_only or status.st_size < LEAST_BYTES:
            return found
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if status.st_size > self._room():
                return None
            lock = entry.with_suffix(".lock").open("w")
        except OSError:  # a full disk or a folder that cannot be written: the build will say so
            return None
        with lock, _alone(lock):
            found = _opened(entry)  # made by another process, while this one waited
            if found is None:
                found = self._make(entry, path, content)
            with suppress(OSError):
                entry.with_suffix(".lock").unlink()
            return found

    def _make(self, entry: Path, path: Path, content: Iterator[bytes]) -> int | None:
        """Unpack into an entry; None if it becomes too large, the disk is full, or the archive changes."""
        for left in self.folder.glob(f".{entry.name}.*.tmp"):  # by a process that was killed
            with suppress(OSError):
                left.unlink()
        packed = path.stat().st_size
        self._trim(packed)
        most = min(self._room(), _MOST_TIMES * packed)
        part = entry.with_name(f".{entry.name}.{os.getpid()}.tmp")
        try:
            file = part.open("wb", buffering=0)
        except OSError:
            return None
        try:
            with file:
                for data in content:
                    most -= len(data)
                    if most < 0 or not _written(file, data):
                        return None
            if self.folder / (_digest(path, path.stat()) + _SUFFIX) != entry:
                return None
            with suppress(OSError):  # a process without the lock may have taken it for a leftover
                part.replace(entry)
            return _opened(entry)
        finally:
            with suppress(OSError):
                part.unlink()

    def _room(self) -> int:
        return min(MOST_BYTES, shutil.disk_usage(self.folder).free // _SHARE_OF_FREE)

    def _trim(self, wanted: int) -> None:
        """Remove the entries that were not used for longest, until one more fits."""
        found = []
        for path in self.folder.glob(f"*{_SUFFIX}"):
            with suppress(OSError):
                status = path.stat()
                found.append((status.st_mtime_ns, status.st_size, path))
        total = wanted + sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= MOST_BYTES:
                return
            with suppress(OSError):
                path.unlink()  # who has it open goes on reading it
            total -= size


def _digest(path: Path, status: os.stat_result) -> str:
    facts = f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}"
    return hashlib.sha256(os.fsencode(facts)).hexdigest()


def _opened(entry: Path) -> int | None:
    try:
        descriptor = os.open(entry, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    with suppress(OSError):
        os.utime(entry)  # when it was used last
    return descriptor


def _written(file: FileIO, data: bytes) -> bool:
    """Whether the disk took all of it."""
    view = memoryview(data)
    try:
        while view:
            view = view[file.write(view) :]
    except OSError:
        return False
    return True


@contextmanager
def _alone(lock: TextIO) -> Iterator[None]:
    """One process at a time; where the file system has no locks, two make the same entry."""
    with suppress(OSError):
        fcntl.flock(lock, fcntl.LOCK_EX)
    yield
