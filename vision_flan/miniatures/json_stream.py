"""JSON files written record by record, with several growing arrays and objects side by side.

Upstream files have millions of records under a few top-level keys. A `JsonDocument` lets a generator add to
all of them in one pass: each part has its own buffer, which moves to a temporary file when it is large, and
the parts are joined in the order they were declared when the document is closed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from tempfile import SpooledTemporaryFile
from typing import IO

#: Bytes a part may use in memory before it moves to a temporary file.
SPOOL_BYTES = 1 << 20

#: Adds one record to an array.
Add = Callable[[object], None]
#: Adds one record to an object, under a key.
Put = Callable[[str, object], None]

_encode = json.JSONEncoder(ensure_ascii=True).encode


class _Part:
    """The text of one growing value between `opening` and `closing`."""

    def __init__(self, opening: str, closing: str) -> None:
        self._buffer: IO[bytes] = SpooledTemporaryFile(SPOOL_BYTES)  # noqa: SIM115 (closed by copy_to)
        self._buffer.write(opening.encode())
        self._closing = closing
        self._first = True

    def add(self, text: str) -> None:
        if self._first:
            self._first = False
        else:
            self._buffer.write(b", ")
        self._buffer.write(text.encode("ascii"))

    def copy_to(self, out: IO[bytes]) -> None:
        with self._buffer:
            self._buffer.seek(0)
            shutil.copyfileobj(self._buffer, out, SPOOL_BYTES)
        out.write(self._closing.encode())


class JsonDocument:
    """An object whose members are declared in their order in the file."""

    def __init__(self) -> None:
        self._members: list[tuple[str, _Part | JsonDocument | str]] = []

    def field(self, name: str, value: object) -> None:
        """A small member, written at once."""
        self._members.append((name, _encode(value)))

    def array(self, name: str) -> Add:
        """A member that is an array; call the result with each record."""
        part = _Part("[", "]")
        self._members.append((name, part))
        return lambda record: part.add(_encode(record))

    def object(self, name: str) -> Put:
        """A member that is an object; call the result with each key and record."""
        part = _Part("{", "}")
        self._members.append((name, part))
        return lambda key, record: part.add(f"{_encode(key)}: {_encode(record)}")

    def nest(self, name: str) -> JsonDocument:
        """A member that is an object with growing members of its own."""
        inner = JsonDocument()
        self._members.append((name, inner))
        return inner

    def copy_to(self, out: IO[bytes]) -> None:
        """Write the whole object; called once, at the end."""
        out.write(b"{")
        for position, (name, member) in enumerate(self._members):
            out.write(f"{', ' if position else ''}{_encode(name)}: ".encode())
            if isinstance(member, str):
                out.write(member.encode("ascii"))
            else:
                member.copy_to(out)
        out.write(b"}")


class JsonList:
    """A file that is one array, or one object keyed by id: nothing above it, so no buffer is needed."""

    def __init__(self, out: IO[bytes], opening: str = "[", closing: str = "]") -> None:
        self._out = out
        self._closing = closing.encode()
        self._separator = opening.encode()
        self._empty = (opening + closing).encode()
        self._first = True

    def add(self, record: object) -> None:
        self._write(_encode(record))

    def put(self, key: str, record: object) -> None:
        self._write(f"{_encode(key)}: {_encode(record)}")

    def close(self) -> None:
        self._out.write(self._empty if self._first else self._closing)

    def _write(self, text: str) -> None:
        self._out.write(self._separator + text.encode("ascii"))
        if self._first:
            self._first = False
            self._separator = b", "
