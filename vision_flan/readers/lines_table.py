"""Readers `lines`, one row per line of a text list, and `text`, one row per text file."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from vision_flan.errors import BadRawError, Location, SpecError
from vision_flan.raw.folder import RawDataset
from vision_flan.raw.patterns import LinePattern
from vision_flan.readers.base import RowReader
from vision_flan.readers.layout import Parts, Row
from vision_flan.readers.reader import TableSpec
from vision_flan.readers.text_stream import TextStream, encoding_of
from vision_flan.readers.values import shown


class LinesReader(RowReader):
    """Text lists.

    Options: `line`, the pattern of a line, see `vision_flan.raw.patterns` (default `{_value}`);
    `skip_rows`, lines to skip at the start of each file; `skip_blank` (default true); `comment`, a prefix of
    lines to skip; `on_mismatch`, error (default) or skip; `encoding`.

    Attributes:
        skipped: lines skipped by `on_mismatch: skip` in the last full read.
    """

    accepts_anything = True

    def __init__(self, table: TableSpec) -> None:
        options = table.options
        self._line = LinePattern(str(options.get("line", "{_value}")), table.place)
        unknown = [name for name in table.columns if name not in self._line.names]
        if unknown:
            raise SpecError(
                f"table {table.name!r}: column {unknown[0]!r} is not a field of the line {self._line.text!r}",
                where=table.place,
                hint=f"fields are {', '.join(self._line.names) or 'none'}",
            )
        kinds = {name: table.columns.get(name, pa.string()) for name in self._line.names}
        super().__init__(table, kinds)
        self._encoding = encoding_of(table)
        self._skip_rows = int(options.get("skip_rows", 0))
        self._skip_blank = bool(options.get("skip_blank", True))
        self._comment = str(options.get("comment", ""))
        self._lenient = options.get("on_mismatch") == "skip"
        self.skipped = 0

    def batches(self, raw: RawDataset) -> Iterator[pa.RecordBatch]:
        self.skipped = 0
        yield from super().batches(raw)

    def _rows(self, raw: RawDataset, file: str, parts: Parts) -> Iterator[Row]:
        with TextStream(raw, file, self._encoding) as stream:
            yield from self._rows_of(stream, file, parts)

    def _rows_of(self, stream: TextStream, file: str, parts: Parts) -> Iterator[Row]:
        position = 0
        for number, line in enumerate(stream.lines(), start=1):
            if number <= self._skip_rows or (self._skip_blank and not line.strip()):
                continue
            if self._comment and line.startswith(self._comment):
                continue
            values = self._line.match(line)
            if values is not None:
                yield Row(file, parts, position, values, len(line), f"line {number}")
                position += 1
            elif self._lenient:
                self.skipped += 1
            else:
                raise BadRawError(
                    f"the line does not match {self._line.text!r}: {shown(line)}",
                    where=Location(file, number),
                    hint=f"fix `line:` of table {self._table.name!r}, or set `on_mismatch: skip`",
                )


class TextReader(RowReader):
    """Whole text files: `_value` is the text, without a byte order mark. Option `encoding`."""

    accepts_anything = True

    def __init__(self, table: TableSpec) -> None:
        super().__init__(table, {"_value": pa.string()})
        self._encoding = encoding_of(table)

    def _rows(self, raw: RawDataset, file: str, parts: Parts) -> Iterator[Row]:
        with TextStream(raw, file, self._encoding) as stream:
            text = "".join(iter(stream.read, ""))
        yield Row(file, parts, 0, {"_value": text.removeprefix("\ufeff")}, len(text))
