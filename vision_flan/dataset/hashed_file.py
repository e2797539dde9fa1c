"""A file that is hashed while it is written."""

from __future__ import annotations

import os
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Protocol

#: Bytes that wait for one call of a Python function: text columns are many small pieces.
HELD = 128 * 2**10
#: Bytes that are hashed in a thread: handing over fewer takes longer than it saves.
_WORTH_A_THREAD = 2**20


class Digest(Protocol):
    """A hash as hashlib makes them."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Hash more bytes."""
        ...

    def hexdigest(self) -> str:
        """The checksum of the bytes so far."""
        ...


class HashedFile:
    """A new file that Arrow writes to, hashed on the way: it is not read a second time.

    It is not synced, which would take longer than everything else. A killed process loses nothing; after a
    power cut, `vflan verify` finds what was lost.

    Args:
        beside: one thread that hashes large pieces while they are written, and the next is made.
    """

    closed = False

    def __init__(self, path: Path, digest: Digest, beside: Executor | None = None) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        self._digest = digest
        self._beside = beside
        self._hashing: Future[None] | None = None
        self.bytes = 0

    def write(self, data: bytes) -> int:
        """Write all of it."""
        self._hashed()
        if self._beside is not None and len(data) >= _WORTH_A_THREAD:
            self._hashing = self._beside.submit(self._digest.update, data)
        else:
            self._digest.update(data)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        self.bytes += len(data)
        return len(data)

    def tell(self) -> int:
        """Bytes written."""
        return self.bytes

    def flush(self) -> None:
        """Nothing is held back."""

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            os.close(self._descriptor)

    def hexdigest(self) -> str:
        """Checksum of the file."""
        self._hashed()
        return self._digest.hexdigest()

    def _hashed(self) -> None:
        """Wait until all that was written is hashed."""
        hashing, self._hashing = self._hashing, None
        if hashing is not None:
            hashing.result()
