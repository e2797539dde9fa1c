"""Random access into .zip files.

The central directory is read by us rather than by `zipfile`: an index of arrays takes a fifth of the memory
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
from vision_flan.raw.members import Slice, damaged, member_name, open_descriptor

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_STORED, _DEFLATED, _BZIP2, _LZMA = 0, 8, 12, 14
_ENCRYPTED, _UTF8 = 0x1, 0x800
_FULL = 0xFFFFFFFF
#: Members up to this size are opened as bytes in memory, which makes them cheap to seek.
_IN_MEMORY = 32 << 20


class ZipArchive:
    """A .zip file; see `members.OpenArchive`.

    Raises:
        BadRawError: no central directory, or one that is cut short.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[str, int] = {}
        self._starts, self._packed, self._sizes = array("Q"), array("Q"), array("Q")
        self._sums, self._methods, self._flags = array("I"), array("H"), array("H")
        self._descriptor = open_descriptor(path)
        try:
            self._index()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def size(self, name: str) -> int:
        return int(self._sizes[self.rows[name]])

    def read(self, name: str) -> bytes:
        row = self.rows[name]
        packed = self._pread(self._data_start(row, name), self._packed[row])
        data = self._unpack(row, name, packed)
        if len(data) != self._sizes[row] or zlib.crc32(data) != self._sums[row]:
            raise damaged(self.path, f"member {name!r} has another size or checksum than the index says")
        return data

    def open(self, name: str) -> io.BufferedIOBase:
        row = self.rows[name]
        if self._methods[row] == _STORED:
            start = self._data_start(row, name)
            return io.BufferedReader(Slice(self._pread, start, self._sizes[row]), 1 << 17)
        if self._methods[row] != _DEFLATED or self._sizes[row] <= _IN_MEMORY:
            return io.BytesIO(self.read(name))
        packed = Slice(self._pread, self._data_start(row, name), self._packed[row])
        return io.BufferedReader(_Inflated(packed, self._sizes[row], self._sums[row], self, name), 1 << 17)

    def _pread(self, offset: int, size: int) -> bytes:
        data = os.pread(self._descriptor, size, offset)
        while len(data) < size:  # a single read returns 2 GiB at most
            more = os.pread(self._descriptor, size - len(data), offset + len(data))
            if not more:
                raise damaged(self.path, f"{size} bytes wanted at offset {offset}, {len(data)} are there")
            data += more
        return data

    def _data_start(self, row: int, name: str) -> int:
        if self._flags[row] & _ENCRYPTED:
            raise BadRawError(
                f"member {name!r} is encrypted", where=Location(self.path), hint="unpack it with its password"
            )
        start = self._starts[row]
        local = _LOCAL.unpack(self._pread(start, _LOCAL.size))
        if local[0] != b"PK\3\4":
            raise damaged(self.path, f"no header of member {name!r} at offset {start}")
        return int(start + _LOCAL.size + local[9] + local[10])

    def _unpack(self, row: int, name: str, packed: bytes) -> bytes:
        method = self._methods[row]
        try:
            if method == _STORED:
                return packed
            if method == _DEFLATED:
                return zlib.decompressobj(-15).decompress(packed)
            if method == _BZIP2:
                return bz2.decompress(packed)
            if method == _LZMA:
                return _unpack_lzma(packed)
        except (zlib.error, OSError, lzma.LZMAError, ValueError) as error:
            raise damaged(self.path, f"member {name!r}: {error}") from error
        raise BadRawError(
            f"member {name!r} is compressed by method {method}, which is not read",
            where=Location(self.path),
            hint="unpack the archive with `7z x` and remove it",
        )

    def _index(self) -> None:
        entries, shift = self._directory()
        at = 0
        while at < len(entries):
            if len(entries) - at < _ENTRY.size:
                raise damaged(self.path, "its list of members ends in the middle")
            entry = _ENTRY.unpack_from(entries, at)
            if entry[0] != b"PK\1\2":
                raise damaged(self.path, f"entry {len(self._starts)} of its list of members is no entry")
            name_end = at + _ENTRY.size + entry[10]
            extra = entries[name_end : name_end + entry[11]]
            stored = _decoded(entries[at + _ENTRY.size : name_end], entry[3])
            at = name_end + entry[11] + entry[12]
            is_link = entry[15] >> 28 == 0xA and entry[1] >> 8 == 3  # S_IFLNK of a Unix zip
            name = None if stored.endswith("/") or is_link else member_name(stored)
            if name is None:
                continue
            size, packed, start = _wide(entry, extra)
            self.rows[name] = len(self._starts)
            self._starts.append(start + shift)
            self._packed.append(packed)
            self._sizes.append(size)
            self._sums.append(entry[7])
            self._methods.append(entry[4])
            self._flags.append(entry[3])

    def _directory(self) -> tuple[bytes, int]:
        """The central directory, and by how much offsets are off (bytes before the first member)."""
        length = os.fstat(self._descriptor).st_size
        tail_start = max(0, length - _END.size - 65535)
        tail = self._pread(tail_start, length - tail_start)
        found = tail.rfind(b"PK\5\6")
        if found < 0 or len(tail) - found < _END.size:
            raise damaged(self.path, "no list of members at its end")
        end = _END.unpack_from(tail, found)
        disk, size, offset, stop = end[1], end[5], end[6], tail_start + found
        locator_start = stop - _LOCATOR64.size
        if locator_start >= 0:
            locator = _LOCATOR64.unpack(self._pread(locator_start, _LOCATOR64.size))
            if locator[0] == b"PK\6\7":
                wide = _END64.unpack(self._pread(locator[2], _END64.size))
                disk, size, offset, stop = wide[4], wide[8], wide[9], locator[2]
        if disk:
            raise BadRawError(
                "the archive is the last part of several",
                where=Location(self.path),
                hint=f"join the parts: zip -s 0 {self.path.name} --out whole.zip",
            )
        shift = stop - size - offset
        if shift < 0:
            raise damaged(self.path, "its list of members starts after its end")
        return self._pread(offset + shift, size), shift


class _Inflated(io.RawIOBase):
    """A deflated member as a stream; seeking back starts again from its first byte."""

    def __init__(self, packed: Slice, size: int, checksum: int, archive: ZipArchive, name: str) -> None:
        self._packed = packed
        self._size = size
        self._expected = checksum
        self._archive = archive
        self._name = name
        self._restart()

    def _restart(self) -> None:
        self._packed.seek(0)
        self._inflate = zlib.decompressobj(-15)
        self._position = 0
        self._sum = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        target = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence] + offset
        if target < self._position:
            self._restart()
        while self._position < target:
            if not self.read(min(1 << 20, target - self._position)):
                break
        return self._position

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        data = b""
        while not data and not self._inflate.eof:
            packed = self._inflate.unconsumed_tail or self._packed.read(1 << 17) or b""
            try:
                data = self._inflate.decompress(packed, len(view))
            except zlib.error as error:
                raise damaged(self._archive.path, f"member {self._name!r}: {error}") from error
            if not packed and not data:
                raise damaged(self._archive.path, f"member {self._name!r} ends in the middle")
        view[: len(data)] = data
        self._position += len(data)
        self._sum = zlib.crc32(data, self._sum)
        if self._inflate.eof and not data and self._sum != self._expected:
            raise damaged(
                self._archive.path, f"member {self._name!r} has another checksum than the index says"
            )
        return len(data)


def _wide(entry: tuple[int, ...], extra: bytes) -> tuple[int, int, int]:
    """Size, packed size and offset, from the Zip64 field where the entry says so."""
    size, packed, start = entry[9], entry[8], entry[16]
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            values = list(struct.unpack_from(f"<{length // 8}Q", extra, at + 4))
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


def _unpack_lzma(packed: bytes) -> bytes:
    """Method 14: two bytes of version, length and bytes of the filter's properties, raw LZMA1."""
    (length,) = struct.unpack_from("<H", packed, 2)
    properties = packed[4 : 4 + length]
    lclppb, dictionary = struct.unpack("<BL", properties)
    chain = {
        "id": lzma.FILTER_LZMA1,
        "dict_size": dictionary,
        "lc": lclppb % 9,
        "lp": lclppb // 9 % 5,
        "pb": lclppb // 45,
    }
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[chain]).decompress(packed[4 + length :])
