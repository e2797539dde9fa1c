"""Random access into .tar files, plain or compressed, and into single .gz files.

Headers are parsed by us: `tarfile` makes an object a member, which takes gigabytes for millions of images.
Format: POSIX.1-2001 pax and the GNU extensions for long names and large sizes. Links are not followed.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import shutil
import tempfile
import threading
import zlib
from array import array
from pathlib import Path
from typing import IO, Any

import indexed_gzip

from vision_flan.errors import MachineError, Location
from vision_flan.raw.members import ReadAt, Slice, damaged, member_name, open_descriptor

_BLOCK = 512
_REGULAR = (b"0", b"\0", b"7")
_GZIP_ERRORS = (indexed_gzip.ZranError, indexed_gzip.NotCoveredError, zlib.error)


class TarArchive:
    """A .tar, .tar.gz, .tar.bz2 or .tar.xz file; see `members.OpenArchive`.

    .tar.gz is read through an index of restart points. .tar.bz2 and .tar.xz cannot be entered in the middle:
    they are decompressed once, to a temporary file (in `TMPDIR`) that vanishes with the process.

    Raises:
        BadRawError: a header that is none, a member that is cut short.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[str, int] = {}
        self._starts, self._sizes = array("Q"), array("Q")
        self._lock = threading.Lock()
        self._file, self._read_at = self._opened()
        try:
            self._index()
        except (EOFError, OSError, *_GZIP_ERRORS) as error:
            self.close()
            raise damaged(path, str(error)) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._file.close()

    def size(self, name: str) -> int:
        return int(self._sizes[self.rows[name]])

    def read(self, name: str) -> bytes:
        row = self.rows[name]
        return self._exactly(self._starts[row], self._sizes[row])

    def open(self, name: str) -> io.BufferedIOBase:
        row = self.rows[name]
        return io.BufferedReader(Slice(self._exactly, self._starts[row], self._sizes[row]), 1 << 17)

    def _opened(self) -> tuple[IO[bytes] | Any, ReadAt]:
        name = self.path.name.lower()
        if name.endswith((".gz", ".tgz")):
            # 32 KiB of memory a restart point: a few thousand of them, whatever the size of the file.
            spacing = max(1 << 20, self.path.stat().st_size // 1024)
            packed = indexed_gzip.IndexedGzipFile(
                os.fspath(self.path), spacing=spacing, drop_handles=False, buffer_size=1 << 16
            )
            return packed, self._locked_read_at
        if name.endswith((".bz2", ".tbz2", ".xz", ".txz")):
            unpacked = _unpacked(self.path)
            return unpacked, lambda offset, size: os.pread(unpacked.fileno(), size, offset)
        plain = os.fdopen(open_descriptor(self.path), "rb", buffering=0)
        return plain, lambda offset, size: os.pread(plain.fileno(), size, offset)

    def _locked_read_at(self, offset: int, size: int) -> bytes:
        with self._lock:
            self._file.seek(offset)
            return bytes(self._file.read(size))

    def _exactly(self, offset: int, size: int) -> bytes:
        try:
            data = self._read_at(offset, size)
            while len(data) < size:
                more = self._read_at(offset + len(data), size - len(data))
                if not more:
                    raise damaged(self.path, f"{size} bytes wanted at offset {offset}, {len(data)} are there")
                data += more
        except (EOFError, OSError, *_GZIP_ERRORS) as error:
            raise damaged(self.path, str(error)) from error
        return data

    def _index(self) -> None:
        at = 0
        long_name, pax, global_pax = "", {}, {}
        while True:
            header = self._read_at(at, _BLOCK)
            if not header.strip(b"\0"):
                if len(header) < _BLOCK and at == 0:
                    raise damaged(self.path, "it is empty")
                return
            kind = header[156:157]
            size = self._checked_size(header, at)
            start = at + _BLOCK
            if kind in (b"L", b"K", b"x", b"g"):
                body = self._exactly(start, size)
                if kind == b"L":
                    long_name = _text(body)
                elif kind == b"x":
                    pax = _pax_records(body)
                elif kind == b"g":
                    global_pax = _pax_records(body)
            else:
                fields = {**global_pax, **pax}
                size = int(fields.get("size", size)) if kind in _REGULAR else size
                stored = fields.get("path") or long_name or _header_name(header)
                name = member_name(stored) if kind in _REGULAR and not stored.endswith("/") else None
                if name is not None and "GNU.sparse.major" not in fields:
                    self.rows[name] = len(self._starts)
                    self._starts.append(start)
                    self._sizes.append(size)
                long_name, pax = "", {}
            at = start + -(-size // _BLOCK) * _BLOCK

    def _checked_size(self, header: bytes, at: int) -> int:
        """The size field of a header that is whole and has the right checksum."""
        try:
            expected = _number(header[148:156])
            actual = sum(header) - sum(header[148:156]) + 8 * 32
            if len(header) == _BLOCK and actual == expected:
                return 0 if header[156:157] in (b"1", b"2", b"5") else _number(header[124:136])
        except ValueError:
            pass
        raise damaged(self.path, f"no header of a member at offset {at}")


class GzipArchive:
    """A single compressed file, `labels.csv.gz`, as an archive with the one member `labels.csv`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = {path.name[: -len(".gz")]: 0}
        with path.open("rb") as file:
            if file.read(2) != b"\x1f\x8b" or path.stat().st_size < 18:
                raise damaged(path, "it is no gzip file")

    def close(self) -> None:
        """Nothing stays open."""

    def size(self, name: str) -> int:
        """Uncompressed size modulo 4 GiB, as the file's last four bytes state it (RFC 1952)."""
        with self.path.open("rb") as file:
            file.seek(-4, os.SEEK_END)
            return int.from_bytes(file.read(4), "little")

    def read(self, name: str) -> bytes:
        try:
            with gzip.open(self.path) as file:
                return file.read()
        except (EOFError, OSError, zlib.error) as error:
            raise damaged(self.path, str(error)) from error

    def open(self, name: str) -> io.BufferedIOBase:
        return gzip.open(self.path)


def _unpacked(path: Path) -> IO[bytes]:
    opener = bz2.open if path.name.lower().endswith("bz2") else lzma.open
    target = tempfile.TemporaryFile(prefix="vflan-")  # noqa: SIM115 - closed by the archive
    try:
        with opener(path) as packed:
            shutil.copyfileobj(packed, target, 1 << 20)
        target.flush()
    except (EOFError, lzma.LZMAError, ValueError) as error:
        target.close()
        raise damaged(path, str(error)) from error
    except OSError as error:
        target.close()
        if error.errno is None:  # what bz2 raises for data that is none
            raise damaged(path, str(error)) from error
        raise MachineError(
            f"cannot decompress the archive to {tempfile.gettempdir()}: {error.strerror}",
            where=Location(path),
            hint=f"set TMPDIR to a roomier folder, or unpack it: tar -xf {path.name}",
        ) from error
    return target


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _number(field: bytes) -> int:
    """An octal number, or GNU's base 256 where the first bit is set."""
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    return int(field.partition(b"\0")[0].strip() or b"0", 8)


def _header_name(header: bytes) -> str:
    name = _text(header[:100])
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _pax_records(body: bytes) -> dict[str, str]:
    """Records `<length> <key>=<value>\\n` of an extended header."""
    records = {}
    at = 0
    while at < len(body):
        length_text, blank, _ = body[at : at + 20].partition(b" ")
        if not blank or not length_text.isdigit() or int(length_text) == 0:
            break
        record = body[at + len(length_text) + 1 : at + int(length_text) - 1]
        key, _, value = record.partition(b"=")
        records[key.decode("utf-8", "surrogateescape")] = value.decode("utf-8", "surrogateescape")
        at += int(length_text)
    return records
