"""Text of raw files: decompressed, decoded in pieces, with the place of what cannot be decoded."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from typing import IO, cast

from vision_flan.errors import BadRawError, Location, SpecError
from vision_flan.raw.folder import RawDataset
from vision_flan.readers.reader import TableSpec

#: Bytes read at a time.
CHUNK = 1 << 20


def open_unpacked(raw: RawDataset, path: str) -> IO[bytes]:
    """The file as a binary stream; one that ends in .gz is decompressed on the way."""
    file = raw.open(path)
    return cast("IO[bytes]", _Gunzip(file)) if path.lower().endswith(".gz") else file


class _Gunzip(gzip.GzipFile):
    """A decompressed stream that closes the file below it, which `GzipFile` leaves open."""

    def __init__(self, below: IO[bytes]) -> None:
        super().__init__(fileobj=below, mode="rb")
        self._below = below

    def close(self) -> None:
        super().close()
        self._below.close()


def encoding_of(table: TableSpec) -> str:
    """The text encoding a table declares; UTF-8 with or without a byte order mark where it declares none.

    Raises:
        SpecError: Python knows no such encoding.
    """
    name = str(table.options.get("encoding", "utf-8"))
    try:
        known = codecs.lookup(name).name
    except LookupError:
        raise SpecError(
            f"table {table.name!r}: no text encoding is called {name!r}",
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

    def read(self) -> str:
        """The next piece, "" only at the end."""
        text = ""
        while not text and not self._ended:
            data = self._read()
            self._ended = not data
            pending = len(self._decoder.getstate()[0])
            try:
                text = self._decoder.decode(data, final=self._ended)
            except UnicodeDecodeError as error:
                raise self._undecodable(error, data, self.bytes_read - pending) from None
            self.bytes_read += len(data)
        self._lines += text.count("\n")
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

    def _read(self) -> bytes:
        try:
            return self._file.read(self._chunk)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise BadRawError(
                f"the file's compression is damaged: {error}",
                where=Location(self.path),
                hint="download it again",
            ) from error

    def _undecodable(self, error: UnicodeDecodeError, data: bytes, base: int) -> BadRawError:
        shift = self.bytes_read - base
        line = self._lines + 1 + data[: max(0, error.start - shift)].count(b"\n")
        name = "UTF-8" if self.encoding == "utf-8-sig" else self.encoding
        bad = error.object[error.start : error.start + 1].hex()
        return BadRawError(
            f"byte {base + error.start} (0x{bad}) is not {name} text",
            where=Location(self.path, line),
            hint="give the table its encoding, for instance `encoding: latin-1`",
        )
