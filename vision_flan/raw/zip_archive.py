"""Random access into .zip files.

The central directory is parsed here rather than by `zipfile`: an index of arrays takes a fifth of the memory
of `ZipInfo` objects, and `os.pread` needs no lock. Format: PKWARE APPNOTE 6.3.10, sections 4.3 and 4.5.3.
"""

from __future__ import annotations

import bz2
import io
import lzma
import os
import struct
import zlib
from array import array
from pathlib import Path

from vision_flan.errors import BadRawError, Location
from vision_flan.raw.members import IndexedArchive, link_target, member_name, reading, resolve_links
from vision_flan.raw.names import escaped, is_text
from vision_flan.raw.opening import open_descriptor
from vision_flan.raw.streams import ForwardStream, ReadAt, Slice

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_STORED, _DEFLATED, _BZIP2, _LZMA = 0, 8, 12, 14
_ENCRYPTED, _UTF8 = 0x1, 0x800
_FULL = 0xFFFFFFFF
#: Members up to this size are opened in memory, which makes seeking cheap.
_IN_MEMORY = 32 << 20
#: Longest target of a symbolic link.
_LONGEST_LINK = 4096
#: Bytes of the list of members that are read at a time, and the longest entry of it.
_AT_ONCE = 1 << 22
_LONGEST_ENTRY = _ENTRY.size + 3 * 0xFFFF
_LARGEST_DICTIONARY = 1 << 28
_METHODS = {
    1: "shrink", 6: "implode", 9: "Deflate64", 93: "Zstandard", 95: "xz", 97: "WavPack", 98: "PPMd",
    99: "AES",
}  # fmt: skip


class ZipArchive(IndexedArchive):
    """A .zip file; see `members.OpenArchive`.

    Raises:
        BadRawError: no central directory, or one that is cut short.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, open_descriptor(path))
        self._links: dict[str, int] = {}
        self._packed, self._sums = array("Q"), array("I")
        self._methods, self._flags = array("H"), array("H")
        with self._indexing():
            self._index()
            self._follow_links()

    def read(self, name: str, at_most: int | None = None) -> bytes:
        return self._read_row(self.rows[name], name, at_most)

    def open(self, name: str) -> io.BufferedIOBase:
        row = self.rows[name]
        if self._methods[row] != _STORED and (
            self._methods[row] != _DEFLATED or self._sizes[row] <= _IN_MEMORY
        ):
            return io.BytesIO(self.read(name))
        with reading(self.path, name):
            start = self._data_start(row, name)
        packed = Slice(self._member_reader(name), start, self._packed[row])
        if self._methods[row] == _STORED:
            return io.BufferedReader(packed, 1 << 17)
        return io.BufferedReader(
            _Inflated(packed, self._sizes[row], self._sums[row], self.path, name), 1 << 17
        )

    def _read_row(self, row: int, name: str, at_most: int | None = None) -> bytes:
        with reading(self.path, name):
            start, size = self._data_start(row, name), self._sizes[row]
            wanted = size if at_most is None else min(size, at_most)
            packed = self._packed[row]
            if self._methods[row] == _STORED:
                packed = min(packed, wanted)
            data = self._unpack(row, name, self._pread(start, packed), wanted)
            if wanted < size and len(data) >= wanted:
                return data[:wanted]
            if len(data) != size or zlib.crc32(data) != self._sums[row]:
                raise ValueError("its size or checksum is not the one in the index")
            return data

    def _member_reader(self, name: str) -> ReadAt:
        def read_at(offset: int, size: int) -> bytes:
            with reading(self.path, name):
                return self._pread(offset, size)

        return read_at

    def _pread(self, offset: int, size: int) -> bytes:
        """Exactly these bytes; a size beyond the end of the file is refused before it is allocated."""
        if offset < 0 or offset + size > self._length:
            raise EOFError(f"{size} bytes expected at offset {offset}, the archive has {self._length}")
        data = os.pread(self._descriptor, size, offset)
        while len(data) < size:  # a single read returns 2 GiB at most
            more = os.pread(self._descriptor, size - len(data), offset + len(data))
            if not more:
                raise EOFError(f"{size} bytes expected at offset {offset}, found {len(data)}")
            data += more
        return data

    def _data_start(self, row: int, name: str) -> int:
        if self._flags[row] & _ENCRYPTED:
            raise BadRawError(
                f"member {escaped(name)!r} is encrypted",
                where=Location(self.path),
                hint="unpack the archive with its password: 7z x",
            )
        start = self._starts[row]
        local = _LOCAL.unpack(self._pread(start, _LOCAL.size))
        if local[0] != b"PK\3\4":
            raise ValueError(f"no member header at offset {start}")
        return int(start + _LOCAL.size + local[9] + local[10])

    def _unpack(self, row: int, name: str, packed: bytes, wanted: int) -> bytes:
        """The member's bytes, at most one more than wanted, whatever the data would inflate to."""
        method = self._methods[row]
        if method == _STORED:
            return packed
        if method == _DEFLATED:
            return zlib.decompressobj(-15).decompress(packed, wanted + 1)
        if method == _BZIP2:
            return bz2.BZ2Decompressor().decompress(packed, wanted + 1)
        if method == _LZMA:
            return _unpack_lzma(packed, wanted + 1)
        known = f" ({_METHODS[method]})" if method in _METHODS else ""
        raise BadRawError(
            f"member {escaped(name)!r} is compressed by method {method}{known}, which is not supported",
            where=Location(self.path),
            hint="unpack the archive with `7z x` and remove it",
        )

    def _index(self) -> None:
        offset, left, shift, count = self._directory()
        entries = b""
        at = seen = 0
        while left or at < len(entries):
            if left and len(entries) - at < _LONGEST_ENTRY:
                more = min(left, _AT_ONCE)
                entries, at = entries[at:] + self._pread(offset, more), 0
                offset, left = offset + more, left - more
            if len(entries) - at < _ENTRY.size:
                raise EOFError("its list of members ends in the middle")
            entry = _ENTRY.unpack_from(entries, at)
            if entry[0] != b"PK\1\2":
                raise ValueError(f"entry {seen} of its list of members is not valid")
            name_end = at + _ENTRY.size + entry[10]
            stored = _decoded(entries[at + _ENTRY.size : name_end], entry[3])
            self._add(entry, stored, entries[name_end : name_end + entry[11]], shift)
            at = name_end + entry[11] + entry[12]
            seen += 1
        if at > len(entries) or (seen - count) & 0xFFFF:
            raise ValueError(f"its list has {seen} members, its end record says {count}")

    def _add(self, entry: tuple[int, ...], stored: str, extra: bytes, shift: int) -> None:
        if "\\" in stored:  # some tools on Windows write these between folders
            stored = stored.replace("\\", "/")
        name = None if stored.endswith("/") else member_name(stored)
        if name is None:
            return
        if not is_text(name):
            self.unread[name] = "a name that is not UTF-8"
            return
        size, packed, start = _wide(entry, extra)
        is_link = entry[15] >> 28 == 0xA and entry[1] >> 8 == 3  # S_IFLNK of a Unix zip
        self._links.pop(name, None)
        self.rows.add(name)
        if is_link:
            self._links[name] = len(self._starts)
            self.rows.set(name, None)  # until it is known where it leads
        self._starts.append(start + shift)
        self._packed.append(packed)
        self._sizes.append(size)
        self._sums.append(entry[7])
        self._methods.append(entry[4])
        self._flags.append(entry[3])

    def _follow_links(self) -> None:
        """Resolve symbolic links, which are members whose content is the target."""
        targets = {}
        for name, row in self._links.items():
            try:
                target = self._read_row(row, name, _LONGEST_LINK).decode()
            except (BadRawError, UnicodeDecodeError):
                self.unread[name] = "a symbolic link that is damaged"
                continue
            targets[name] = link_target(name, target)
        resolve_links(targets, self.rows, self.unread)

    def _directory(self) -> tuple[int, int, int, int]:
        """Where the central directory is, its size, the shift of its offsets (bytes before the archive), its
        entry count."""
        tail_start = max(0, self._length - _END.size - 65535)
        tail = self._pread(tail_start, self._length - tail_start)
        found = len(tail)
        while (found := tail.rfind(b"PK\5\6", 0, found)) >= 0:
            if len(tail) - found < _END.size:
                continue
            end = _END.unpack_from(tail, found)
            padding = tail[found + _END.size + end[7] :]
            directory = self._directory_at(tail_start + found, end)
            # An archive that was cut may end in a complete one stored as its member. Such a file starts with
            # a member; a self-extracting archive starts with a program.
            if directory and (not directory[2] or (not padding and self._pread(0, 4) != b"PK\3\4")):
                return directory
        raise EOFError("no list of members at its end")

    def _directory_at(self, at: int, end: tuple[int, ...]) -> tuple[int, int, int, int] | None:
        disk, count, size, offset, stop = end[1], end[4], end[5], end[6], at
        locator_start = stop - _LOCATOR64.size
        if locator_start >= 0:
            locator = _LOCATOR64.unpack(self._pread(locator_start, _LOCATOR64.size))
            if locator[0] == b"PK\6\7":
                # bytes before the archive shift its record, which is then right before the locator
                for place in (locator[2], locator_start - _END64.size):
                    if 0 <= place <= locator_start - _END64.size:
                        wide = _END64.unpack(self._pread(place, _END64.size))
                        if wide[0] == b"PK\6\6":
                            disk, count, size, offset, stop = wide[4], wide[7], wide[8], wide[9], place
                            break
        if disk:
            raise BadRawError(
                "the archive is the last part of several",
                where=Location(self.path),
                hint=f"join the parts: zip -s 0 {self.path.name} --out whole.zip",
            )
        shift = stop - size - offset
        if shift < 0 or offset + shift + size > self._length:
            return None
        return offset + shift, size, shift, count


class _Inflated(ForwardStream):
    """A deflated member as a stream."""

    def __init__(self, packed: Slice, size: int, checksum: int, path: Path, name: str) -> None:
        self._packed = packed
        self._size = size
        self._expected = checksum
        self._path = path
        self._name = name
        self._restart()

    def _restart(self) -> None:
        self._packed.seek(0)
        self._inflate = zlib.decompressobj(-15)
        self._sum = 0

    def _next(self, size: int) -> bytes:
        with reading(self._path, self._name):
            data = b""
            while not data and not self._inflate.eof:
                packed = self._inflate.unconsumed_tail or self._packed.read(1 << 17) or b""
                data = self._inflate.decompress(packed, size)
                if not packed and not data:
                    raise EOFError("it ends in the middle")
            self._sum = zlib.crc32(data, self._sum)
            at = self._position + len(data)
            if at > self._size or (not data and at < self._size):
                raise ValueError("its size is not the one in the index")
            if not data and self._sum != self._expected:
                raise ValueError("its checksum is not the one in the index")
            return data


def _wide(entry: tuple[int, ...], extra: bytes) -> tuple[int, int, int]:
    """Size, packed size and offset; from the Zip64 field where the entry refers to it."""
    size, packed, start = entry[9], entry[8], entry[16]
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            field = extra[at + 4 : at + 4 + length]
            values = list(struct.unpack_from(f"<{len(field) // 8}Q", field))
            size = values.pop(0) if size == _FULL and values else size
            packed = values.pop(0) if packed == _FULL and values else packed
            start = values.pop(0) if start == _FULL and values else start
        at += 4 + length
    return size, packed, start


def _decoded(stored: bytes, flags: int) -> str:
    # Info-ZIP on Linux stores UTF-8 without the flag, so the flag alone would garble such names.
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return stored.decode("utf-8", "surrogateescape") if flags & _UTF8 else stored.decode("cp437")


def _unpack_lzma(packed: bytes, at_most: int) -> bytes:
    """Method 14: two bytes of version, length and bytes of the filter's properties, raw LZMA1."""
    (length,) = struct.unpack_from("<H", packed, 2)
    properties = packed[4 : 4 + length]
    lclppb, dictionary = struct.unpack("<BL", properties)
    if dictionary > _LARGEST_DICTIONARY:
        raise ValueError(f"its LZMA dictionary would take {dictionary} bytes")
    chain = {
        "id": lzma.FILTER_LZMA1,
        "dict_size": dictionary,
        "lc": lclppb % 9,
        "lp": lclppb // 9 % 5,
        "pb": lclppb // 45,
    }
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[chain]).decompress(packed[4 + length :], at_most)
