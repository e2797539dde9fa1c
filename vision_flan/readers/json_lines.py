"""Reader `json_lines`: one JSON object per line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.json

from vision_flan.errors import BadRawError, Location
from vision_flan.raw.folder import RawDataset
from vision_flan.readers.base import BatchReader
from vision_flan.readers.json_scan import CUT_OFF, is_cut_off
from vision_flan.readers.layout import Parts, Row
from vision_flan.readers.reader import TableSpec
from vision_flan.readers.text_stream import TextStream, encoding_of, open_unpacked
from vision_flan.readers.values import shown

#: Bytes Arrow parses at a time, and it reads up to 32 times as much ahead; longer lines are parsed by Python.
_BLOCK = 2 << 20


#: NaN and Infinity, which JSON does not have and Python writes, are null.
_DECODER = json.JSONDecoder(parse_constant=lambda _: None)


@dataclass
class _Progress:
    """How far Arrow got in a file: the rows it read, and whether it reached the end."""

    rows: int = 0
    complete: bool = False


class JsonLinesReader(BatchReader):
    """JSON lines, plain or .gz. Empty lines are skipped. Option `encoding`.

    Arrow parses a file while each value has its declared type. From the first batch where one does not,
    Python takes over, converts what can be converted, and finds the line that cannot be read.
    """

    def __init__(self, table: TableSpec) -> None:
        super().__init__(table)
        self._encoding = encoding_of(table)

    def _file_batches(self, raw: RawDataset, file: str, parts: Parts) -> Iterator[pa.RecordBatch]:
        state = _Progress()
        if self._encoding == "utf-8-sig" and self._layout.columns:
            for batch in self._by_arrow(raw, file, state):
                arrays = dict(zip(batch.schema.names, batch.columns, strict=True))
                yield self._layout.batch(file, parts, state.rows, arrays, batch.num_rows)
                state.rows += batch.num_rows
        if not state.complete:
            yield from self._layout.batches(self._by_python(raw, file, parts, state.rows))

    def _by_arrow(self, raw: RawDataset, file: str, state: _Progress) -> Iterator[pa.RecordBatch]:
        """Batches up to the end of the file or the first one that Arrow rejects."""
        parse = pa.json.ParseOptions(
            explicit_schema=pa.schema(list(self._layout.columns.items())), unexpected_field_behavior="ignore"
        )
        with open_unpacked(raw, file) as stream:
            try:
                reader = pa.json.open_json(
                    pa.PythonFile(stream, mode="r"), pa.json.ReadOptions(block_size=_BLOCK), parse
                )
                for batch in reader:
                    batch.validate(full=True)  # Arrow's parser accepts bytes that are not UTF-8
                    yield batch.select(list(self._layout.columns))
                state.complete = True
            except (pa.ArrowException, EOFError, OSError):
                return  # Python continues from here, and reports what is wrong and where

    def _by_python(self, raw: RawDataset, file: str, parts: Parts, done: int) -> Iterator[Row]:
        """Rows from number `done` on."""
        position = 0
        with TextStream(raw, file, self._encoding) as stream:
            lines = enumerate(stream.lines(), start=1)
            for number, line in lines:
                if not line.strip():
                    continue
                if position >= done:
                    try:
                        value = _DECODER.decode(line)
                    except (ValueError, RecursionError) as error:
                        is_last = not any(other.strip() for _, other in lines)
                        raise _invalid(error, Location(file, number), is_last) from None
                    values = self._object(value, file, number)
                    yield Row(file, parts, position, values, len(line), f"line {number}")
                position += 1

    def _object(self, value: Any, file: str, number: int) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise BadRawError(
                f"the line is not a JSON object: {shown(value)}",
                where=Location(file, number),
                hint="reader `json` reads documents that span lines",
            )
        return value


def _invalid(error: ValueError | RecursionError, place: Location, is_last: bool) -> BadRawError:
    """The error for a line that cannot be parsed."""
    hint = "fix the line, or download the file again"
    if isinstance(error, RecursionError):
        return BadRawError("not valid JSON: values are nested too deep", where=place, hint=hint)
    if not isinstance(error, json.JSONDecodeError):  # an integer of thousands of digits
        return BadRawError(f"not valid JSON: {error}", where=place, hint=hint)
    place = Location(place.file, place.line, error.colno)
    if is_last and is_cut_off(error.doc[error.pos :], error.msg):
        return BadRawError(f"not valid JSON: {CUT_OFF}{error.msg}", where=place, hint="fetch the file again")
    return BadRawError(f"not valid JSON: {error.msg}", where=place, hint=hint)
