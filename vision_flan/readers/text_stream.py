"""Text of raw files: decompressed and decoded in pieces, with the location of undecodable bytes."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from typing import IO, Self, cast

from vision_flan.errors import BadRawError, Location, SpecError
from vision_flan.raw.folder import RawDataset
from vision_flan.raw.gzip_stream import MAGIC, GunzipStream
from vision_flan.readers.reader import TableSpec

#: Bytes read at a time.
CHUNK = 1 << 20
_C1 = re.compile("[\x80-\x9f]")


def open_unpacked(raw: RawDataset, path: str) -> IO[bytes]:
    """The file as a binary stream; a file that ends in .gz is decompressed if it is gzip."""
    file = raw.open(path)
    if not path.lower().endswith(".gz"):
        return file
    is_gzip = file.read(2) == MAGIC
    file.seek(0)
    if not is_gzip:  # a server may have decompressed it in transit
        return file
    return cast("IO[bytes]", io.BufferedReader(GunzipStream(file, path), 1 << 17))


def newlines(text: str, end: int | None = None) -> int:
    """Line breaks up to a place. Most JSON documents have none, and looking is faster than counting."""
    return text.count("\n", 0, end) if text.find("\n", 0, end) >= 0 else 0


def encoding_of(table: TableSpec) -> str:
    """The text encoding a table declares; UTF-8 with or without a byte order mark by default.

    Raises:
        SpecError: Python knows no such encoding.
    """
    name = str(table.options.get("encoding", "utf-8"))
    try:
        known = codecs.lookup(name).name
    except LookupError:
        raise SpecError(
            f"table {table.name!r}: there is no text encoding {name!r}",
            where=table.place,
            hint="for instance utf-8, latin-1, cp1252, utf-16",
        ) from None
    return "utf-8-sig" if known == "utf-8" else known


class TextStream:
    """A raw file's text, in pieces.

    Attributes:
        bytes_read: bytes decoded so far.

    Raises:
        BadRawError: the file is not in this encoding, or its compression is damaged.
    """

    def __init__(self, raw: RawDataset, path: str, encoding: str, chunk: int = CHUNK) -> None:
        self.path = path
        self.encoding = encoding
        self.bytes_read = 0
        self._file = open_unpacked(raw, path)
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._chunk = chunk
        self._lines = 0
        self._ended = False

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self) -> str:
        """The next piece, "" only at the end."""
        text = ""
        while not text and not self._ended:
            data = self._file.read(self._chunk)
            self._ended = not data
            pending = len(self._decoder.getstate()[0])
            try:
                text = self._decoder.decode(data, final=self._ended)
            except UnicodeDecodeError as error:
                raise self._undecodable(error, data, self.bytes_read - pending) from None
            if self.encoding == "iso8859-1" and (found := _C1.search(text)):
                raise self._windows(found, data)
            self.bytes_read += len(data)
        self._lines += newlines(text)
        return text

    def lines(self) -> Iterator[str]:
        """Lines without their ends (`\\n`, `\\r\\n`, or `\\r` alone)."""
        rest = ""
        while piece := self.read():
            rest += piece
            if rest.endswith("\r") and not self._ended:
                rest, held = rest[:-1], "\r"  # half of a \r\n, perhaps
            else:
                held = ""
            if "\n" not in piece and "\r" not in piece:
                rest += held
                continue
            lines = rest.replace("\r\n", "\n").replace("\r", "\n").split("\n")
            rest = lines.pop() + held
            yield from lines
        if rest:
            yield from rest.rstrip("\r").split("\r")

    def _windows(self, found: re.Match[str], data: bytes) -> BadRawError:
        """The error for a byte that is a control character in latin-1 but text in cp1252."""
        return BadRawError(
            f"byte {self.bytes_read + found.start()} (0x{data[found.start()]:02x}) is a control character "
            "in latin-1, but text in cp1252",
            where=Location(self.path, self._lines + 1 + data[: found.start()].count(b"\n")),
            hint="the text is most likely from Windows: set `encoding: cp1252`",
        )

    def _undecodable(self, error: UnicodeDecodeError, data: bytes, base: int) -> BadRawError:
        shift = self.bytes_read - base
        line = self._lines + 1 + data[: max(0, error.start - shift)].count(b"\n")
        name = "UTF-8" if self.encoding == "utf-8-sig" else self.encoding
        bad = error.object[error.start : error.start + 1].hex()
        return BadRawError(
            f"byte {base + error.start} (0x{bad}) is not {name} text",
            where=Location(self.path, line),
            hint="declare the table's encoding, for instance `encoding: cp1252`",
        )
