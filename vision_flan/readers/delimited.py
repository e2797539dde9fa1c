"""Reader `delimited`: CSV, TSV and their kin."""

from __future__ import annotations

import base64
import binascii
import os
import re
import tempfile
import threading
from array import array
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.csv

from vision_flan.errors import BadRawError, MissingRawError, Location, SpecError
from vision_flan.raw.folder import RawDataset
from vision_flan.readers.layout import Layout, no_images, split_locator
from vision_flan.readers.reader import TableSpec
from vision_flan.readers.text_stream import TextStream, encoding_of, open_unpacked

#: Bytes Arrow parses at a time, which also bounds a row.
_BLOCK = 8 << 20
_IMAGE_BLOCK = 64 << 20
_ROW = re.compile(r"Row #(\d+)")


class DelimitedReader:
    """Delimited text, plain or .gz.

    Options: `delimiter` (default: tab for .tsv, else comma); `quote` (default `"`, null: no quoting);
    `header` (default true); `names_in_file`, names of all columns where there is no header (default: the
    declared columns); `skip_rows`; `encoding`; `null_values`, texts that are NULL (default: what Arrow takes
    for NULL in number columns, none in text columns); `allow_newlines` in quoted cells; `image_column`,
    a column of images in base64, which the table shows as references in `image`.
    """

    def __init__(self, table: TableSpec) -> None:
        self._table = table
        self._image_column: str | None = table.options.get("image_column")
        nested = [name for name, kind in table.columns.items() if pa.types.is_nested(kind)]
        if not table.columns and not self._image_column:
            raise SpecError(f"table {table.name!r} declares no columns", where=table.place)
        if nested or (self._image_column and "image" in table.columns):
            wrong = nested[0] if nested else "image"
            raise SpecError(
                f"table {table.name!r}: column {wrong!r} cannot be declared so in delimited text",
                where=table.place,
                hint="declare VARCHAR and take it apart in SQL" if nested else "`image_column` makes `image`",
            )
        extra = {"image": pa.string()} if self._image_column else {}
        self._layout = Layout(table, {**table.columns, **extra})
        self._encoding = encoding_of(table)
        self._spools: dict[str, _ImageSpool] = {}
        self._lock = threading.Lock()

    def schema(self) -> pa.Schema:
        return self._layout.schema

    def batches(self, raw: RawDataset) -> Iterator[pa.RecordBatch]:
        for file, parts in self._layout.files(raw):
            first = 0
            # Arrow counts rows by a column, so a table of nothing but images reads theirs.
            shown = self._table.columns or {self._image_column or "": pa.string()}
            for batch in self._stream(raw, file, shown):
                rows = batch.num_rows
                arrays = dict(zip(batch.schema.names, batch.columns, strict=True))
                if self._image_column:
                    refs = [f"@{self._table.name}/{file}#{row}" for row in range(first, first + rows)]
                    arrays["image"] = pa.array(refs, pa.string())
                yield self._layout.batch(file, parts, first, arrays, rows)
                first += rows

    def open_image(self, raw: RawDataset, locator: str) -> bytes:
        if not self._image_column:
            raise no_images(self._table, locator)
        file, row = split_locator(locator)
        with self._lock:
            if file not in self._spools:
                cells = self._stream(raw, file, {self._image_column: pa.string()})
                self._spools[file] = _ImageSpool(cells, file)
        return self._spools[file].read(row)

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
        with open_unpacked(raw, file) as stream:
            try:
                yield from pa.csv.open_csv(
                    pa.PythonFile(stream, mode="r"), self._read_options(), self._parse_options(file), convert
                )
            except (pa.ArrowException, UnicodeError, EOFError, OSError) as error:
                if not isinstance(error, pa.ArrowInvalid) or "Empty CSV" not in str(error):
                    raise self._explained(raw, file, error) from error

    def _read_options(self) -> pa.csv.ReadOptions:
        options: Mapping[str, Any] = self._table.options
        names = None
        if not options.get("header", True):
            names = options.get("names_in_file") or list(self._table.columns)
        return pa.csv.ReadOptions(
            use_threads=False,  # else errors do not tell the row
            block_size=_IMAGE_BLOCK if self._image_column else _BLOCK,
            skip_rows=int(options.get("skip_rows", 0)),
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
        row = _ROW.search(text)
        hint = f"fix the file, or the options and columns of table {self._table.name!r}"
        if "does not exist in CSV" in text:
            hint = f"its header begins {self._header(raw, file)!r}; is `delimiter:` right?"
        elif "straddles" in text:
            hint = "a quote is not closed, or a row is too long; `quote: null` reads quotes as they are"
        elif "Expected" in text:
            hint = "quotes or delimiters differ: see `quote:`, `delimiter:`, `allow_newlines:`"
        what = text.removeprefix('"').removesuffix('"').replace("In CSV column", "column")
        return BadRawError(
            f"no valid delimited text: {what}", where=Location(file, int(row[1]) if row else 0), hint=hint
        )

    def _find_undecodable(self, raw: RawDataset, file: str) -> None:
        """Raise for the first byte that is not in the file's encoding."""
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


class _ImageSpool:
    """Decoded images of one file, in a temporary file that vanishes with the process."""

    def __init__(self, batches: Iterator[pa.RecordBatch], file: str) -> None:
        self._file = file
        self._ends = array("Q", [0])
        self._images = tempfile.TemporaryFile(prefix="vflan-")  # noqa: SIM115 - lives as long as we do
        for batch in batches:
            for cell in batch.column(0):
                image = self._decoded(cell.as_py(), len(self._ends) - 1)
                self._images.write(image)
                self._ends.append(self._ends[-1] + len(image))
        self._images.flush()

    def read(self, row: int) -> bytes:
        if row >= len(self._ends) - 1:
            raise MissingRawError(
                f"record {row} is not there, the file has {len(self._ends) - 1}", where=Location(self._file)
            )
        start, end = self._ends[row], self._ends[row + 1]
        if start == end:
            raise BadRawError(f"record {row} has no image", where=Location(self._file))
        return os.pread(self._images.fileno(), end - start, start)

    def _decoded(self, cell: str | None, row: int) -> bytes:
        try:
            return base64.b64decode(cell or "", validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadRawError(
                f"record {row}: the image is no base64: {error}",
                where=Location(self._file),
                hint="download the file again",
            ) from error
