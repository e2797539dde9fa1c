"""Gzip files: as a stream, and as bytes at an offset through restart points.

A restart point is a copy of the decompressor (its 32 KiB window and its state), taken while the file is read
once from front to back. That one pass also checks every checksum, so a file that is cut short is noticed.
Several gzip streams in a row are one file; what follows the last one and is no gzip is padding.
"""

from __future__ import annotations

import io
import os
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vision_flan.raw.members import ReadAt, reading

MAGIC = b"\x1f\x8b"
_HEAD = MAGIC + b"\x08"
_CHUNK = 1 << 16
_OUTPUT = 1 << 20
#: zlib: a gzip header and trailer, whose checksum and length are checked.
_GZIP = 31
#: About 40 KiB of memory a restart point: this many at most, for archives of any usual ratio.
_POINTS = 8192


class _Cursor:
    """A place in a gzip file from which it can be read on."""

    def __init__(self, read_at: ReadAt, packed_at: int = 0, inflate: Any = None) -> None:
        self._read_at = read_at
        self._packed_at = packed_at
        self.inflate = inflate
        self._pending = b""  # read from the file, not given to the decompressor yet
        self._started = inflate is not None

    def copy(self) -> _Cursor:
        """The same place again; what is pending is read again, so that a copy takes little memory."""
        inflate = self.inflate.copy() if self.inflate else None
        other = _Cursor(self._read_at, self._packed_at - len(self._pending), inflate)
        other._started = self._started
        return other

    def next(self, at_most: int) -> bytes:
        """The next bytes, b"" only at the end.

        Raises:
            EOFError: the file ends in the middle.
            zlib.error: its data or checksum is wrong.
        """
        while True:
            if not self._pending:
                self._more()
            if self.inflate is None and not self._begin():
                return b""
            ended = not self._pending
            data = self.inflate.decompress(self._pending, at_most)
            self._pending = self.inflate.unconsumed_tail
            if self.inflate.eof:
                self._pending = self.inflate.unused_data
                self.inflate = None
            elif ended and not data:
                raise EOFError("the compressed data ends in the middle")
            if data:
                return bytes(data)

    def _more(self) -> bool:
        data = self._read_at(self._packed_at, _CHUNK)
        self._packed_at += len(data)
        self._pending += data
        return bool(data)

    def _begin(self) -> bool:
        """Whether another gzip stream begins here; padding after the last one is passed over."""
        while len(self._pending) < len(_HEAD) and self._more():
            pass
        if self._started and not self._pending.startswith(_HEAD):
            if self._pending and _HEAD.startswith(self._pending):
                raise EOFError("the compressed data ends in the middle")
            return False
        self._started = True
        self.inflate = zlib.decompressobj(_GZIP)
        return True


class GzipIndex:
    """Bytes of a gzip file at an uncompressed offset; from several threads at once.

    Args:
        read_at: reads the compressed file.
        packed_size: its size in bytes.
    """

    def __init__(self, read_at: ReadAt, packed_size: int) -> None:
        self._read_at = read_at
        self._spacing = max(1 << 20, packed_size // _POINTS)
        self._offsets = [0]
        self._points = [_Cursor(read_at)]
        self.size = 0

    def scan(self) -> Iterator[bytes]:
        """The whole content, front to back; takes the restart points and learns `size` on its way."""
        cursor, at, last = _Cursor(self._read_at), 0, 0
        while data := cursor.next(_OUTPUT):
            at += len(data)
            yield data
            if at - last >= self._spacing and cursor.inflate is not None:
                self._offsets.append(at)
                self._points.append(cursor.copy())
                last = at
        self.size = at

    def read_at(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes; fewer only at the end. For what it raises see `_Cursor.next`."""
        point = bisect_right(self._offsets, offset) - 1
        at, cursor = self._offsets[point], self._points[point].copy()
        parts: list[bytes] = []
        while size > 0:
            skipped = offset - at
            data = cursor.next(min(_OUTPUT, skipped if skipped > 0 else size))
            if not data:
                break
            at += len(data)
            if skipped > 0:
                continue
            parts.append(data)
            offset += len(data)
            size -= len(data)
        return b"".join(parts)


class Forward:
    """`read_at` over content that comes once, front to back; offsets must not go back.

    Skipping and reading hold one piece of the content at a time.
    """

    def __init__(self, content: Iterator[bytes]) -> None:
        self._content = content
        self._start = 0
        self._held = b""

    def read_at(self, offset: int, size: int) -> bytes:
        while self._start + len(self._held) <= offset and self._next():
            pass
        parts = [self._held[offset - self._start :]]
        length = len(parts[0])
        while length < size and self._next():
            parts.append(self._held)
            length += len(self._held)
        whole = parts[0] if len(parts) == 1 else b"".join(parts)
        if len(parts) > 1:
            self._start, self._held = offset, whole
        return whole[:size]

    def drain(self) -> None:
        """Read to the end, so that what checks the content has seen all of it."""
        for _ in self._content:
            pass

    def _next(self) -> bool:
        data = next(self._content, None)
        if data is None:
            return False
        self._start += len(self._held)
        self._held = data
        return True


class GunzipStream(io.RawIOBase):
    """The decompressed content as a stream; seeking back starts again from the first byte.

    Args:
        below: the compressed file, seekable; closed with this stream.
        path: what it is called, for errors.

    Raises:
        BadRawError: the file is cut short or damaged.
    """

    def __init__(self, below: Any, path: Path | str) -> None:
        self._below = below
        self._path = Path(path)
        self._restart()

    def _restart(self) -> None:
        self._cursor = _Cursor(self._read_below)
        self._position = 0

    def _read_below(self, offset: int, size: int) -> bytes:
        if self._below.tell() != offset:
            self._below.seek(offset)
        return bytes(self._below.read(size))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            while self._skip(1 << 62):
                pass
            target = self._position + offset
        else:
            target = offset + (self._position if whence == os.SEEK_CUR else 0)
        if target < self._position:
            self._restart()
        while self._position < target and self._skip(target - self._position):
            pass
        return self._position

    def _skip(self, size: int) -> int:
        return len(self._next(size))

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        data = self._next(len(view)) if len(view) else b""
        view[: len(data)] = data
        return len(data)

    def _next(self, size: int) -> bytes:
        with reading(self._path):
            data = self._cursor.next(min(size, _OUTPUT))
        self._position += len(data)
        return data

    def close(self) -> None:
        if not self.closed:
            self._below.close()
        super().close()
