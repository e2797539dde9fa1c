"""Reader `delimited`: CSV, TSV and similar formats."""

from __future__ import annotations

import re
import threading
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.csv

from vision_flan.errors import BadRawError, Location, SpecError
from vision_flan.raw.folder import RawDataset
from vision_flan.readers.base import BatchReader
from vision_flan.readers.damage import reading
from vision_flan.readers.image_spool import HINT, ImageSpool, decoded
from vision_flan.readers.layout import Parts, no_images, split_locator
from vision_flan.readers.quotes import (
    QuoteCounter,
    first_record_over_lines,
    records_of,
    spans_lines,
    unclosed_quote,
)
from vision_flan.readers.reader import TableSpec
from vision_flan.readers.text_stream import TextStream, encoding_of, open_unpacked

#: Bytes Arrow parses at a time, which also bounds a row.
_BLOCK = 8 << 20
_IMAGE_BLOCK = 64 << 20
_ROW = re.compile(r"Row #(\d+)")


class DelimitedReader(BatchReader):
    """Delimited text, plain or .gz.

    Options: `delimiter` (default: tab for .tsv, else comma); `quote` (default `"`, null: no quoting);
    `header` (default true); `names_in_file`, names of all columns if there is no header (default: the
    declared columns); `skip_rows`; `encoding`; `null_values`, texts that are NULL (default: Arrow's own
    in number columns, none in text columns); `allow_newlines` in quoted cells; `image_column`,
    a column of images in base64, which become references in `image`.
    """

    accepts_anything = True
    image_hint = HINT

    def __init__(self, table: TableSpec) -> None:
        self._image_column: str | None = table.options.get("image_column")
        self.has_images = bool(self._image_column)
        nested = [name for name, kind in table.columns.items() if pa.types.is_nested(kind)]
        if not table.columns and not self._image_column:
            raise SpecError(f"table {table.name!r} declares no columns", where=table.place)
        if nested or (self._image_column and "image" in table.columns):
            wrong = nested[0] if nested else "image"
            raise SpecError(
                f"table {table.name!r}: column {wrong!r} cannot be declared in delimited text",
                where=table.place,
                hint="declare VARCHAR and parse it in SQL" if nested else "`image_column` adds `image`",
            )
        super().__init__(table, images="image_column")
        self._encoding = encoding_of(table)
        self._skip_rows = int(table.options.get("skip_rows", 0))
        self._spools: dict[str, ImageSpool] = {}
        self._lock = threading.Lock()

    def _file_batches(self, raw: RawDataset, file: str, parts: Parts) -> Iterator[pa.RecordBatch]:
        self._refuse_double_names(raw, file)
        first = 0
        # Arrow counts rows by a column, so a table with only images reads that one.
        shown = self._table.columns or {self._image_column or "": pa.string()}
        for batch in self._stream(raw, file, shown):
            rows = batch.num_rows
            arrays = dict(zip(batch.schema.names, batch.columns, strict=True))
            if self._image_column:
                refs = [f"@{self._table.name}/{file}#{row}" for row in range(first, first + rows)]
                arrays["image"] = pa.array(refs, pa.string())
            yield self._layout.batch(file, parts, first, arrays, rows)
            first += rows

    def _image(self, raw: RawDataset, locator: str) -> bytes:
        if not self._image_column:
            raise no_images(self._table, locator)
        file, row = split_locator(locator)
        with self._lock:
            if file not in self._spools:
                cells = self._stream(raw, file, {self._image_column: pa.string()})
                self._spools[file] = ImageSpool(cells, file)
        return self._spools[file].read(row)

    def entries(self, raw: RawDataset, file: str) -> Sequence[int]:
        """A text is read from its beginning."""
        return ()

    def images_in_order(
        self, raw: RawDataset, file: str, rows: Sequence[int]
    ) -> Iterator[tuple[int, bytes | str]]:
        """The images of some rows, sorted, or what is wrong with them; rows beyond the last are left out.

        Raises:
            MissingRawError, BadRawError: the file is missing, or not such a file.
        """
        first, done = 0, 0
        with reading(raw, file, self._table.reader):
            for batch in self._stream(raw, file, {self._image_column or "": pa.string()}):
                until = bisect_left(rows, first + batch.num_rows, done)
                for row in rows[done:until]:
                    yield row, decoded(batch.column(0)[row - first].as_py(), row)
                first, done = first + batch.num_rows, until

    def _stream(
        self, raw: RawDataset, file: str, columns: Mapping[str, pa.DataType]
    ) -> Iterator[pa.RecordBatch]:
        """The file's columns, in batches."""
        names = list(columns)
        nulls = self._table.options.get("null_values")
        convert = pa.csv.ConvertOptions(
            column_types=dict(columns),
            include_columns=names,
            null_values=nulls,
            strings_can_be_null=nulls is not None,
        )
        if self._encoding == "iso8859-1":
            self._find_undecodable(raw, file)
        parse = self._parse_options(file)
        with open_unpacked(raw, file) as stream:
            counted = QuoteCounter(stream, parse.quote_char)
            try:
                for batch in pa.csv.open_csv(
                    pa.PythonFile(counted, mode="r"), self._read_options(), parse, convert
                ):
                    if not parse.newlines_in_values and spans_lines(batch):
                        raise self._refused_quotes(raw, file)
                    yield batch
            except (pa.ArrowException, UnicodeError, EOFError, OSError) as error:
                raise self._explained(raw, file, error) from error
        if counted.count % 2:  # Arrow silently closes a quote at the end of the file
            self._refuse_unclosed_quote(raw, file)

    def _refuse_unclosed_quote(self, raw: RawDataset, file: str) -> None:
        """Raise for an unclosed quote; an odd number of quotes may also be a literal one in a cell."""
        with TextStream(raw, file, self._encoding) as stream:
            line = unclosed_quote(stream.lines(), self._parse_options(file), self._skip_rows)
        if line:
            raise BadRawError(
                "not valid delimited text: this record opens a quote that is never closed",
                where=Location(file, line),
                hint="fetch the file again if it was cut off, or fix the record; "
                "`quote: null` reads quotes as they are",
            )

    def _refused_quotes(self, raw: RawDataset, file: str) -> BadRawError:
        """The error for a quoted cell with a line break in it, which the table does not allow."""
        self._refuse_unclosed_quote(raw, file)
        with TextStream(raw, file, self._encoding) as stream:
            line = first_record_over_lines(stream.lines(), self._parse_options(file), self._skip_rows)
        return BadRawError(
            "not valid delimited text: a quoted cell spans lines",
            where=Location(file, line),
            hint="close the quote, or set `allow_newlines: true` if cells may hold line breaks",
        )

    def _refuse_double_names(self, raw: RawDataset, file: str) -> None:
        """Raise if the header has a declared column twice: Arrow would silently take the last."""
        if not self._table.options.get("header", True):
            return
        options = self._parse_options(file)
        with TextStream(raw, file, self._encoding) as stream:
            lines = (line for line in islice(stream.lines(), self._skip_rows, None) if line.strip())
            names: list[str] = next(records_of(lines, options), [])
        for name in (*self._table.columns, *([self._image_column] if self._image_column else ())):
            if names.count(name) > 1:
                raise BadRawError(
                    f"the header names the column {name!r} twice",
                    where=Location(file, self._skip_rows + 1),
                    hint="rename one in the file, or read it with `header: false` and `names_in_file:`",
                )

    def _read_options(self) -> pa.csv.ReadOptions:
        options: Mapping[str, Any] = self._table.options
        names = None
        if not options.get("header", True):
            names = options.get("names_in_file") or list(self._table.columns)
        return pa.csv.ReadOptions(
            use_threads=False,  # otherwise errors lack the row
            block_size=_IMAGE_BLOCK if self._image_column else _BLOCK,
            skip_rows=self._skip_rows,
            column_names=names,
            encoding="utf8" if self._encoding == "utf-8-sig" else self._encoding,
        )

    def _parse_options(self, file: str) -> pa.csv.ParseOptions:
        options = self._table.options
        suffix = file.lower().removesuffix(".gz").rpartition(".")[2]
        quote = options.get("quote", '"')
        return pa.csv.ParseOptions(
            delimiter=options.get("delimiter") or ("\t" if suffix in ("tsv", "tab") else ","),
            quote_char=quote or False,
            newlines_in_values=bool(options.get("allow_newlines", False)),
        )

    def _explained(self, raw: RawDataset, file: str, error: Exception) -> BadRawError:
        text = str(error)
        if isinstance(error, UnicodeError) or "UTF8" in text:
            self._find_undecodable(raw, file)
        if "Empty CSV" in text:
            return self._empty(raw, file)
        if "straddles" in text or "Expected" in text:
            self._refuse_unclosed_quote(raw, file)
        row = _ROW.search(text)
        hint = f"fix the file, or the options and columns of table {self._table.name!r}"
        if "does not exist in CSV" in text:
            hint = f"its header begins {self._header(raw, file)!r}; is `delimiter:` right?"
        elif "straddles" in text:
            hint = f"a row has more than {_BLOCK >> 20} MiB; is `delimiter:` right?"
        elif "Expected" in text:
            hint = "quotes or delimiters differ: see `quote:`, `delimiter:`, `allow_newlines:`"
        what = text.removeprefix('"').removesuffix('"').replace("In CSV column", "column")
        return BadRawError(
            f"not valid delimited text: {what}", where=Location(file, int(row[1]) if row else 0), hint=hint
        )

    def _empty(self, raw: RawDataset, file: str) -> BadRawError:
        if not self._header(raw, file):
            return BadRawError("the file is empty", where=Location(file), hint="fetch it again")
        return BadRawError(
            "the file has no lines to read",
            where=Location(file),
            hint=f"fetch it again, or fix `skip_rows:` of table {self._table.name!r}",
        )

    def _find_undecodable(self, raw: RawDataset, file: str) -> None:
        """Raise for the first byte that is not valid in the file's encoding."""
        stream = TextStream(raw, file, self._encoding)
        try:
            while stream.read():
                pass
        finally:
            stream.close()

    def _header(self, raw: RawDataset, file: str) -> str:
        stream = TextStream(raw, file, self._encoding)
        try:
            return next(stream.lines(), "")[:200]
        finally:
            stream.close()
