"""Quotes of delimited text: Arrow lets a quote that is never closed swallow the records after it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from itertools import islice
from typing import IO, TYPE_CHECKING

import pyarrow as pa
import pyarrow.csv

if TYPE_CHECKING:
    from _csv import Reader


class QuoteCounter(io.RawIOBase):
    """A binary stream that counts the quote characters read through it."""

    def __init__(self, below: IO[bytes], quote: str | bool) -> None:
        self._below = below
        self._quote = quote.encode() if isinstance(quote, str) else b""
        self.count = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._below.read(size)
        if self._quote:
            self.count += data.count(self._quote)
        return data


def spans_lines(batch: pa.RecordBatch) -> bool:
    """Whether a text cell contains a line break."""
    import pyarrow.compute as pc

    texts = (column for column in batch.columns if pa.types.is_string(column.type))
    return any(pc.any(pc.match_substring(column, "\n")).as_py() for column in texts)


def records_of(lines: Iterable[str], options: pa.csv.ParseOptions, *, strict: bool = False) -> Reader:
    """Records of lines, parsed by Python, which knows the line it is at."""
    return csv.reader(
        lines,
        delimiter=options.delimiter,
        quotechar=options.quote_char or None,
        quoting=csv.QUOTE_MINIMAL if options.quote_char else csv.QUOTE_NONE,
        strict=strict,
    )


def unclosed_quote(lines: Iterable[str], options: pa.csv.ParseOptions, skip_rows: int) -> int:
    """Number of the line, from 1, whose record opens a quote that is never closed; 0 for none."""
    reader = records_of((line + "\n" for line in islice(lines, skip_rows, None)), options, strict=True)
    first = 1
    try:
        for _ in reader:
            first = reader.line_num + 1
    except csv.Error as error:
        # an open quote runs to the end of the text, or to the limit of a field's length
        is_open = "unexpected end of data" in str(error)
        is_open |= "field larger" in str(error) and reader.line_num > first
        return skip_rows + first if is_open else 0
    return 0


def first_record_over_lines(lines: Iterable[str], options: pa.csv.ParseOptions, skip_rows: int) -> int:
    """Number of the first line, from 1, whose record goes on in the next line; 0 for none."""
    reader = records_of((line + "\n" for line in islice(lines, skip_rows, None)), options)
    last = 0
    try:
        for _ in reader:
            if reader.line_num > last + 1:
                return skip_rows + last + 1
            last = reader.line_num
    except csv.Error:
        return skip_rows + last + 1
    return 0
