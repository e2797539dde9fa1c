"""Reads gzip files as a stream, and at any offset through restart points.

A restart point is a copy of the decompressor (its 32 KiB window and its state), taken while the file is read
once from front to back. That one pass also checks every checksum, so a file that is cut short is noticed.
Consecutive gzip streams are one file; anything after the last one is padding.
"""

from __future__ import annotations

import threading
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vision_flan.raw.members import reading
from vision_flan.raw.streams import CHUNK, ForwardStream, ReadAt

MAGIC = b"\x1f\x8b"
_HEAD = MAGIC + b"\x08"
_PACKED = 1 << 16
#: zlib: a gzip header and trailer, whose checksum and length are checked.
_GZIP = 31
#: Most restart points in memory, of about 40 KiB each.
_POINTS = 8192


class _Cursor:
    """A position in a gzip file to continue reading from."""

    def __init__(self, read_at: ReadAt, packed_at: int = 0, inflate: Any = None) -> None:
        self._read_at = read_at
        self._packed_at = packed_at
        self.inflate = inflate
        self._pending = b""  # read from the file, not given to the decompressor yet
        self._started = inflate is not None

    def copy(self) -> _Cursor:
        """Another cursor at this position; pending bytes are read again, so a copy takes little memory."""
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
            if self.inflate is None and not self._open_next():
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
        data = self._read_at(self._packed_at, _PACKED)
        self._packed_at += len(data)
        self._pending += data
        return bool(data)

    def _open_next(self) -> bool:
        """Start the next gzip stream; False at the end of the file or at padding."""
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
    """Reads a gzip file at uncompressed offsets, from several threads at once.

    Args:
        read_at: reads the compressed file.
        packed_size: its size in bytes.
    """

    def __init__(self, read_at: ReadAt, packed_size: int) -> None:
        self._read_at = read_at
        self._spacing = max(1 << 20, packed_size // _POINTS)
        self._offsets = [0]
        self._points = [_Cursor(read_at)]
        self._lock = threading.Lock()
        self._last: tuple[int, _Cursor] | None = None  # where the last read ended
        self.size = 0

    def scan(self, *, restarts: bool = True) -> Iterator[bytes]:
        """The whole content, front to back; sets `size`, and the restart points if they are wanted."""
        cursor, at, last = _Cursor(self._read_at), 0, 0
        while data := cursor.next(CHUNK):
            at += len(data)
            yield data
            if restarts and at - last >= self._spacing and cursor.inflate is not None:
                self._offsets.append(at)
                self._points.append(cursor.copy())
                last = at
        self.size = at

    def read_at(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes; fewer only at the end. For what it raises see `_Cursor.next`."""
        at, cursor = self._cursor_before(offset)
        parts: list[bytes] = []
        while size > 0:
            skipped = offset - at
            data = cursor.next(min(CHUNK, skipped if skipped > 0 else size))
            if not data:
                break
            at += len(data)
            if skipped > 0:
                continue
            parts.append(data)
            offset += len(data)
            size -= len(data)
        with self._lock:
            self._last = at, cursor
        return b"".join(parts)

    def _cursor_before(self, offset: int) -> tuple[int, _Cursor]:
        """The nearest cursor: that of a restart point, or of the last read if that ended between the two."""
        point = bisect_right(self._offsets, offset) - 1
        with self._lock:
            last, self._last = self._last, None
        if last is not None and self._offsets[point] <= last[0] <= offset:
            return last
        return self._offsets[point], self._points[point].copy()


class Forward:
    """`read_at` over content that can be read only once; offsets must not decrease.

    Holds one piece of the content at a time.
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
        """Read to the end, so that every checksum is verified."""
        for _ in self._content:
            pass

    def _next(self) -> bool:
        data = next(self._content, None)
        if data is None:
            return False
        self._start += len(self._held)
        self._held = data
        return True


class GunzipStream(ForwardStream):
    """The decompressed content as a stream.

    Args:
        below: the compressed file, seekable; closed with this stream.
        path: its name in errors.

    Raises:
        BadRawError: the file is cut short or damaged.
    """

    def __init__(self, below: Any, path: Path | str) -> None:
        self._below = below
        self._path = Path(path)
        self._restart()

    def _restart(self) -> None:
        self._cursor = _Cursor(self._read_below)

    def _read_below(self, offset: int, size: int) -> bytes:
        if self._below.tell() != offset:
            self._below.seek(offset)
        return bytes(self._below.read(size))

    def _next(self, size: int) -> bytes:
        with reading(self._path):
            return self._cursor.next(min(size, CHUNK))

    def close(self) -> None:
        if not self.closed:
            self._below.close()
        super().close()
