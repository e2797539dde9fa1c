"""What the archive formats share: names that may be members, and files over a part of another file."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from vision_flan.errors import BadRawError, MachineError, Location

#: Reads up to n bytes at an offset; shorter only at the end of the file.
ReadAt = Callable[[int, int], bytes]

_JUNK = {".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX"}


class OpenArchive(Protocol):
    """An archive whose index is in memory. Reads may come from several threads at once."""

    #: Position of each member, by its name in the archive.
    rows: dict[str, int]

    def size(self, name: str) -> int: ...

    def read(self, name: str) -> bytes: ...

    def open(self, name: str) -> io.BufferedIOBase: ...

    def close(self) -> None: ...


def is_junk(path: str) -> bool:
    """Whether a path is what desktops leave behind: `__MACOSX/`, AppleDouble files, thumbnails."""
    return any(part in _JUNK or part.startswith("._") for part in path.split("/"))


def member_name(stored: str) -> str | None:
    """A stored name as a path of the layout, None for names nobody may ask for (`..`, absolute, junk)."""
    name = stored
    while name.startswith("./"):
        name = name[2:].lstrip("/")
    if not name or name[0] == "/" or "\\" in name or "\0" in name or (len(name) > 1 and name[1] == ":"):
        return None
    if ".." in name and ".." in name.split("/"):
        return None
    if ("._" in name or "__MACOSX" in name or "." in name) and is_junk(name):
        return None
    return name


def open_descriptor(path: Path) -> int:
    """Open a file for `os.pread`.

    Raises:
        MachineError: the machine does not let us read it.
    """
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise MachineError(
            f"cannot open the archive: {error.strerror}",
            where=Location(path),
            hint="check the file's permissions",
        ) from error


def damaged(path: Path, what: str) -> BadRawError:
    """The error for an archive that is not what its suffix says."""
    return BadRawError(
        f"the archive is damaged or cut short: {what}",
        where=Location(path),
        hint="download it again, or unpack it and remove the archive",
    )


class Slice(io.RawIOBase):
    """A read-only seekable file over bytes `start` to `start + size` of another one."""

    def __init__(self, read_at: ReadAt, start: int, size: int) -> None:
        self._read_at = read_at
        self._start = start
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative position {base + offset}")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        wanted = max(0, min(len(view), self._size - self._position))
        data = self._read_at(self._start + self._position, wanted) if wanted else b""
        view[: len(data)] = data
        self._position += len(data)
        return len(data)
