"""A file that is hashed while it is written."""

from __future__ import annotations

import errno
import os
from concurrent.futures import Executor, Future
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import pyarrow as pa

#: Bytes that wait for one call of the system: text columns are many small pieces.
_HELD = 128 * 2**10
#: Bytes that are read again at a time: they are in the processor's cache when they are hashed.
_PIECE = 256 * 2**10
#: Bytes that are hashed at a time while a file is written: fewer are not worth a thread's while.
_WORTH_A_CALL = 2**20


class Digest(Protocol):
    """A hash as hashlib makes them."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Hash more bytes."""
        ...

    def hexdigest(self) -> str:
        """The checksum of the bytes so far."""
        ...


class HashedFile:
    """A new file that Arrow writes by itself. What it wrote is read again at once, while the kernel holds it,
    and hashed: to hand it to Python instead takes as many copies, and large ones.

    It is not synced, which would take longer than everything else. A killed process loses nothing; after a
    power cut, `vflan verify` finds what was lost.

    Args:
        beside: one thread that hashes what is written, while more is made and written.

    Attributes:
        sink: what Arrow writes to.
        bytes: size of the file, once it is finished.
    """

    def __init__(self, path: Path, digest: Digest, beside: Executor | None = None) -> None:
        # made here, so that an error names it
        self._written: int | None = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        self.sink = pa.BufferedOutputStream(pa.OSFile(os.fsencode(path), "w"), _HELD)
        self._digest = digest
        self._beside = beside
        self._hashing: Future[None] | None = None
        self._asked = self._hashed = 0
        self.bytes = 0

    def hash_written(self) -> None:
        """Hash what was written, if that is much."""
        if self._written is None or self.sink.tell() - self._asked < _WORTH_A_CALL:
            return
        self._wait()
        self._asked = os.fstat(self._written).st_size
        if self._beside is None:
            self._hash(self._written, self._asked)
        else:
            self._hashing = self._beside.submit(self._hash, self._written, self._asked)

    def finish(self) -> None:
        """Write what waits, and hash the rest.

        Raises:
            OSError: it cannot be written, or is not as long as it should be.
        """
        self.bytes = self.sink.tell()
        self.sink.close()
        self._wait()
        if self._written is not None:
            self._hash(self._written, self.bytes)

    def close(self) -> None:
        """Close the file, also one that is given up. Raises nothing."""
        with suppress(Exception):  # of a file that is given up; a finished one waits for nothing
            self._wait()
        with suppress(Exception):
            self.sink.close()
        if self._written is not None:
            os.close(self._written)
            self._written = None

    def hexdigest(self) -> str:
        """Checksum of the finished file."""
        return self._digest.hexdigest()

    def _hash(self, file: int, end: int) -> None:
        """Hash what is before `end` and was not hashed yet."""
        while self._hashed < end:
            piece = os.pread(file, min(_PIECE, end - self._hashed), self._hashed)
            if not piece:
                raise OSError(errno.EIO, os.strerror(errno.EIO))  # something else made it shorter
            self._digest.update(piece)
            self._hashed += len(piece)

    def _wait(self) -> None:
        """Wait until what was asked for is hashed."""
        hashing, self._hashing = self._hashing, None
        if hashing is not None:
            hashing.result()
