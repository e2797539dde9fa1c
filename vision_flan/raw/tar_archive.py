"""Random access into .tar files, plain or compressed, and into single .gz files."""

from __future__ import annotations

import bz2
import errno
import io
import lzma
import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from vision_flan.errors import DamagedFileError, Location, MachineError
from vision_flan.raw.gzip_stream import Forward, GunzipStream, GzipIndex
from vision_flan.raw.member_rows import MemberRows
from vision_flan.raw.members import IndexedArchive, link_target, member_name, reading, resolve_links
from vision_flan.raw.names import escaped, is_text
from vision_flan.raw.opening import open_descriptor
from vision_flan.raw.streams import CHUNK, ReadAt, Slice, read_up_to
from vision_flan.raw.tar_headers import (
    FOLDER,
    HARD_LINK,
    KINDS,
    REGULAR,
    SYMBOLIC_LINK,
    Member,
    SparseMap,
    TarHeaders,
)
from vision_flan.raw.unpacked import Scratch

#: Largest sparse member that is expanded in memory: its stated size may far exceed its data.
_LARGEST_SPARSE = 1 << 30


class TarArchive(IndexedArchive):
    """A .tar, .tar.gz, .tar.bz2 or .tar.xz file; see `members.OpenArchive`.

    A packed one is read unpacked, if there is a place to unpack it to. Otherwise .tar.gz is read through
    restart points, and .tar.bz2 and .tar.xz are unpacked to an unnamed temporary file in `TMPDIR`.

    Args:
        packing: "", "gz", "bz2" or "xz".
        is_whole: whether the file is known to be as long as upstream's. Only then may the block of zeros at
            the end be missing, since nothing else shows that an archive was not cut short.
        scratch: where a packed one may be unpacked.

    Raises:
        BadRawError: an invalid header, a member that is cut short.
    """

    def __init__(
        self, path: Path, packing: str = "", *, is_whole: bool = False, scratch: Scratch | None = None
    ) -> None:
        kept = scratch.descriptor(path, _content(path, packing)) if scratch and packing else None
        if kept is None and packing in ("bz2", "xz"):
            kept = _unpacked(path, packing)
        super().__init__(path, open_descriptor(path) if kept is None else kept)
        self._maps: dict[int, SparseMap] = {}
        self._read_at: ReadAt = self._pread
        with self._indexing():
            self._index(packing == "gz" and kept is None, is_whole)

    def read(self, name: str, at_most: int | None = None) -> bytes:
        row = self.rows[name]
        size = self._sizes[row] if at_most is None else min(self._sizes[row], at_most)
        with reading(self.path, name):
            if row in self._maps:
                return self._expanded(row, size, name)
            return self._exactly(self._starts[row], size)

    def open(self, name: str) -> io.BufferedIOBase:
        row = self.rows[name]
        if row in self._maps:
            return io.BytesIO(self.read(name))

        def read_at(offset: int, size: int) -> bytes:
            with reading(self.path, name):
                return self._exactly(offset, size)

        return io.BufferedReader(Slice(read_at, self._starts[row], self._sizes[row]), 1 << 17)

    def _pread(self, offset: int, size: int) -> bytes:
        return os.pread(self._descriptor, size, offset) if offset < self._length else b""

    def _exactly(self, offset: int, size: int) -> bytes:
        data = self._read_at(offset, size)
        while len(data) < size:
            more = self._read_at(offset + len(data), size - len(data))
            if not more:
                raise EOFError(f"{size} bytes expected at offset {offset}, found {len(data)}")
            data += more
        return data

    def _expanded(self, row: int, size: int, name: str) -> bytes:
        if size > _LARGEST_SPARSE:
            raise DamagedFileError(
                f"member {escaped(name)!r} is sparse and has {size:,} bytes",
                where=Location(self.path),
                hint=f"unpack it: tar -xf {self.path.name}",
            )
        data, at = bytearray(size), self._starts[row]
        for offset, length in self._maps[row]:
            wanted = min(length, max(0, size - offset))
            data[offset : offset + wanted] = self._exactly(at, wanted) if wanted else b""
            at += length
        return bytes(data)

    def _index(self, gzipped: bool, is_whole: bool) -> None:
        packed = GzipIndex(self._pread, self._length) if gzipped else None
        forward = Forward(packed.scan()) if packed else None
        headers = TarHeaders(forward.read_at if forward else self._pread)
        links: dict[bytes, dict[str, str]] = {HARD_LINK: {}, SYMBOLIC_LINK: {}}
        for member in headers:
            self._add(member, links)
        if packed and forward:
            forward.drain()
            self._length, self._read_at, self.in_order = packed.size, packed.read_at, True
        if not headers.marked and headers.end != self._length:
            raise EOFError(f"its last member ends at byte {headers.end:,} of {self._length:,}")
        if not headers.marked and not (is_whole and headers.end):
            raise EOFError("it is empty" if not headers.end else "it does not end in zeros as a tar does")
        if links[HARD_LINK] or links[SYMBOLIC_LINK]:
            both = links[SYMBOLIC_LINK] | links[HARD_LINK]
            resolve_links(both, self.rows, self.unread)

    def _add(self, member: Member, links: dict[bytes, dict[str, str]]) -> None:
        if member.kind == FOLDER or member.name.endswith("/"):
            return
        name = member_name(member.name)
        if name is None:
            return
        for known in links.values():  # the last member of a name wins
            known.pop(name, None)
        self.unread.pop(name, None)
        if not is_text(name):
            self.unread[name] = "a name that is not UTF-8"
        elif member.kind in links:
            target = member.link if member.kind == HARD_LINK else link_target(name, member.link)
            links[member.kind][name] = (member_name(target) or "") if target else ""
        elif member.kind in REGULAR:
            self.rows.add(name)
            if member.sparse is not None:
                self._maps[len(self._starts)] = member.sparse
            self._starts.append(member.start)
            self._sizes.append(member.size)
        else:
            self.unread[name] = KINDS.get(member.kind, f"of the unknown kind {member.kind!r}")


class GzipArchive:
    """A single compressed file such as `labels.csv.gz`, as an archive with one member, `labels.csv`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._name = path.name[: -len(".gz")] if path.name.lower().endswith(".gz") else path.name
        self.rows = MemberRows()
        self.rows.add(self._name)
        self.in_order = False
        self.unread: dict[str, str] = {}
        self._size = -1

    def close(self) -> None:
        """Nothing stays open."""

    def offset(self, name: str) -> int:
        """The only member begins at 0."""
        return 0

    def size(self, name: str) -> int:
        """Uncompressed bytes; the first call reads the file."""
        if self._size < 0:
            with self.open(name) as stream, reading(self.path, name):
                self._size = stream.seek(0, os.SEEK_END)
        return self._size

    def read(self, name: str, at_most: int | None = None) -> bytes:
        with self.open(name) as stream, reading(self.path, name):
            return stream.read() if at_most is None else read_up_to(stream, at_most)

    def open(self, name: str) -> io.BufferedIOBase:
        below = os.fdopen(open_descriptor(self.path), "rb")
        return io.BufferedReader(GunzipStream(below, self.path), 1 << 17)


def _content(path: Path, packing: str) -> Iterator[bytes]:
    """What an archive unpacks to.

    Raises:
        BadRawError: it is damaged or cut short.
        MachineError: it cannot be read.
    """
    with reading(path):
        if packing == "gz":
            descriptor = open_descriptor(path)
            try:
                read_at = partial(_read_at, descriptor)
                yield from GzipIndex(read_at, os.fstat(descriptor).st_size).scan(restarts=False)
            finally:
                os.close(descriptor)
            return
        with (bz2.open if packing == "bz2" else lzma.open)(path) as packed:
            while data := packed.read(CHUNK):
                yield data


def _read_at(descriptor: int, offset: int, size: int) -> bytes:
    return os.pread(descriptor, size, offset)


def _unpacked(path: Path, packing: str) -> int:
    """Decompress an archive; returns the descriptor of an unnamed temporary file."""
    opener = bz2.open if packing == "bz2" else lzma.open
    try:
        with reading(path), opener(path) as packed, tempfile.TemporaryFile(prefix="vflan-") as target:
            shutil.copyfileobj(packed, target, 1 << 20)
            target.flush()
            return os.dup(target.fileno())
    except MachineError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in (errno.ENOSPC, errno.EDQUOT):
            raise MachineError(
                f"cannot decompress the archive to {tempfile.gettempdir()}: {error.__cause__.strerror}",
                where=Location(path),
                hint=f"set TMPDIR to a folder with more space, or unpack it: tar -xf {path.name}",
            ) from error
        raise
