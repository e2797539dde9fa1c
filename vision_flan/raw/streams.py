"""Read-only seekable streams: over a part of another file, and over content that only reads forward."""

from __future__ import annotations

import io
import os
from collections.abc import Callable

#: Reads up to n bytes at an offset; shorter only at the end of the file.
ReadAt = Callable[[int, int], bytes]

#: Bytes read at a time.
CHUNK = 1 << 20


class ReadOnlyStream(io.RawIOBase):
    """A read-only seekable stream. Subclasses implement `_next` and `seek`."""

    _position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        data = self._advance(len(view))
        view[: len(data)] = data
        return len(data)

    def _advance(self, size: int) -> bytes:
        data = self._next(size) if size else b""
        self._position += len(data)
        return data

    def _next(self, size: int) -> bytes:
        """Up to `size` bytes at the position, b"" only at the end."""
        raise NotImplementedError


class Slice(ReadOnlyStream):
    """Bytes `start` to `start + size` of another file."""

    def __init__(self, read_at: ReadAt, start: int, size: int) -> None:
        self._read_at = read_at
        self._start = start
        self._size = size

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative position {base + offset}")
        self._position = base + offset
        return self._position

    def _next(self, size: int) -> bytes:
        wanted = min(size, self._size - self._position)
        return self._read_at(self._start + self._position, wanted) if wanted > 0 else b""


class ForwardStream(ReadOnlyStream):
    """Content that only reads forward; seeking back restarts at the first byte.

    Subclasses implement `_next` and `_restart`.
    """

    def _restart(self) -> None:
        """Go back to the first byte."""
        raise NotImplementedError

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = 0
        if whence == os.SEEK_CUR:
            base = self._position
        elif whence == os.SEEK_END:
            while self._advance(CHUNK):
                pass
            base = self._position
        target = base + offset
        if target < 0:
            raise ValueError(f"negative position {target}")
        if target < self._position:
            self._restart()
            self._position = 0
        while self._position < target and self._advance(min(CHUNK, target - self._position)):
            pass
        return self._position


def read_up_to(stream: io.BufferedIOBase, at_most: int) -> bytes:
    """The rest of a stream, or its next `at_most` bytes; `read(at_most)` would allocate all of them first."""
    parts: list[bytes] = []
    left = at_most
    while left > 0 and (data := stream.read(min(CHUNK, left))):
        parts.append(data)
        left -= len(data)
    return b"".join(parts)
