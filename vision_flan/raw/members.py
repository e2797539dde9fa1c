"""What the archive formats share: names of members, links, errors."""

from __future__ import annotations

import io
import lzma
import os
import posixpath
import struct
import tarfile
import zipfile
import zlib
from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from vision_flan.errors import BadRawError, DamagedFileError, Location
from vision_flan.raw.member_rows import MemberRows
from vision_flan.raw.names import escaped
from vision_flan.raw.opening import os_error

_JUNK = {".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX"}
#: Longest chain of links that is followed.
_HOPS = 40
_FORMAT_ERRORS = (
    EOFError, ValueError, IndexError, KeyError, OverflowError, MemoryError, zlib.error, lzma.LZMAError,
    struct.error, tarfile.TarError, zipfile.BadZipFile, NotImplementedError,
)  # fmt: skip


class OpenArchive(Protocol):
    """An archive whose index is in memory. Reads may come from several threads at once."""

    #: Position of each member, by its name in the archive.
    rows: MemberRows
    #: Members that cannot be read, with the reason.
    unread: dict[str, str]
    #: Whether members are quicker to read in the order of their offsets.
    in_order: bool

    def size(self, name: str) -> int: ...

    def offset(self, name: str) -> int: ...

    def read(self, name: str, at_most: int | None = None) -> bytes: ...

    def open(self, name: str) -> io.BufferedIOBase: ...

    def close(self) -> None: ...


class IndexedArchive:
    """What archives with an index share: an open descriptor, and the offset and size of each member.

    Args:
        descriptor: of the file that offsets count in; closed with the archive.
    """

    in_order = False

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.rows = MemberRows()
        self.unread: dict[str, str] = {}
        self._starts, self._sizes = array("Q"), array("Q")
        self._descriptor = descriptor
        self._length = 0

    @contextmanager
    def _indexing(self) -> Iterator[None]:
        """Wraps the reading of the index: turns errors into `VflanError`, and closes the file after one."""
        try:
            with reading(self.path):
                self._length = os.fstat(self._descriptor).st_size
                yield
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def size(self, name: str) -> int:
        return int(self._sizes[self.rows[name]])

    def offset(self, name: str) -> int:
        """Where a member begins, in the archive or in what it unpacks to."""
        return int(self._starts[self.rows[name]])


def is_junk(path: str) -> bool:
    """Whether desktops leave such files behind: `__MACOSX/`, AppleDouble files, thumbnails."""
    return any(part in _JUNK or part.startswith("._") for part in path.split("/"))


def member_name(stored: str) -> str | None:
    """A stored name as a path of the layout, None for names that are not allowed (`..`, absolute, junk)."""
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


def damaged(path: Path, what: str) -> BadRawError:
    """The error for an archive that does not match its format."""
    return BadRawError(
        f"the archive is damaged or cut short: {what}",
        where=Location(path),
        hint="fetch it again, or unpack it and remove the archive",
    )


def damaged_member(path: Path, name: str, what: str) -> DamagedFileError:
    """The error for one member that cannot be read while others may be."""
    return DamagedFileError(
        f"member {escaped(name)!r} is damaged: {what}",
        where=Location(path),
        hint="fetch the archive again, or unpack it and remove the archive",
    )


@contextmanager
def reading(path: Path, member: str | None = None) -> Iterator[None]:
    """Turns whatever libraries raise about an archive into a `VflanError`.

    Args:
        member: the member that is read; None for the archive as a whole.

    Raises:
        DamagedFileError: the member is damaged.
        BadRawError: the archive is.
        MachineError: access is refused.
    """
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            raise os_error(path, error, "read the archive") from error
        raise _not_the_format(path, member, error) from error
    except _FORMAT_ERRORS as error:
        raise _not_the_format(path, member, error) from error


def _not_the_format(path: Path, member: str | None, error: Exception) -> BadRawError:
    what = str(error) or type(error).__name__
    return damaged(path, what) if member is None else damaged_member(path, member, what)


def resolve_links(
    links: Mapping[str, str], rows: MemberRows, unread: dict[str, str], *, words: str = "symbolic link"
) -> None:
    """Make links to members other names of those members; all other links become unread.

    Args:
        links: target by name; paths in the archive, see `link_target`. "" leads out of it.
    """
    for name in links:
        target, hops = name, 0
        while target in links and hops < _HOPS:
            target = links[target]
            hops += 1
        if target in links:
            unread[name] = f"a {words} in a circle"
        elif target in rows:
            rows.set(name, rows[target])
        elif target:
            unread[name] = f"a {words} to {escaped(target)!r}, which is not a file of the archive"
        else:
            unread[name] = f"a {words} that leads out of the archive"
    for name in links:
        rows.set(name, None) if name in unread else unread.pop(name, None)


def link_target(name: str, target: str) -> str:
    """The path in the archive that a symbolic link `name` leads to, "" when it leads out."""
    if target.startswith("/"):
        return ""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
    return "" if path == ".." or path.startswith("../") else path
