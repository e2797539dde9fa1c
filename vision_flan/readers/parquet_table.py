"""Reader `parquet`."""

from __future__ import annotations

import bisect
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

import pyarrow as pa
import pyarrow.parquet as pq

from vision_flan.errors import BadRawError, MissingRawError, Location, SpecError
from vision_flan.raw.folder import RawDataset
from vision_flan.readers.layout import BATCH_ROWS, Layout, no_images, split_locator
from vision_flan.readers.reader import TableSpec
from vision_flan.readers.values import column


@dataclass
class _Group:
    """The images of one row group, as a thread last read them."""

    file: str
    number: int
    images: pa.ChunkedArray


class ParquetReader:
    """Parquet files; only declared columns are read.

    Option `image_column`: a column of encoded images, binary or a struct with a field `bytes` (as
    `datasets` writes them), which the table shows as references in `image`.
    """

    def __init__(self, table: TableSpec) -> None:
        self._table = table
        self._image_column: str | None = table.options.get("image_column")
        if self._image_column and "image" in table.columns:
            raise SpecError(
                f"table {table.name!r}: `image_column` makes the column 'image'",
                where=table.place,
                hint="drop it from `columns:`",
            )
        extra = {"image": pa.string()} if self._image_column else {}
        self._layout = Layout(table, {**table.columns, **extra})
        self._last = threading.local()

    def schema(self) -> pa.Schema:
        return self._layout.schema

    def batches(self, raw: RawDataset) -> Iterator[pa.RecordBatch]:
        names = list(self._table.columns)
        for file, parts in self._layout.files(raw):
            first = 0
            with _opened(raw, file) as parquet:
                self._check_names(parquet, names, file)
                try:
                    for batch in parquet.iter_batches(BATCH_ROWS, columns=names):
                        arrays = {name: self._cast(batch.column(name), name, file, first) for name in names}
                        refs = [f"@{self._table.name}/{file}#{first + row}" for row in range(batch.num_rows)]
                        arrays["image"] = pa.array(refs if self._image_column else [], pa.string())
                        yield self._layout.batch(file, parts, first, arrays, batch.num_rows)
                        first += batch.num_rows
                except (pa.ArrowException, OSError) as error:
                    raise _damaged(file, error) from error

    def open_image(self, raw: RawDataset, locator: str) -> bytes:
        if not self._image_column:
            raise no_images(self._table, locator)
        file, row = split_locator(locator)
        group, offset = self._group_of(raw, file, row)
        image = group.images[offset].as_py()
        if isinstance(image, dict):
            image = image.get("bytes")
        if not isinstance(image, bytes):
            raise BadRawError(
                f"record {row}: column {self._image_column!r} holds no image",
                where=Location(file),
                hint="an image is binary, or a struct with a field `bytes`",
            )
        return image

    def _group_of(self, raw: RawDataset, file: str, row: int) -> tuple[_Group, int]:
        """The row group that holds a row, and the row's place in it."""
        starts = self._starts_of(raw, file)
        if row >= starts[-1]:
            raise MissingRawError(f"record {row} is not there, the file has {starts[-1]}", where=Location(file))
        number = bisect.bisect_right(starts, row) - 1
        last: _Group | None = getattr(self._last, "group", None)
        if last is None or (last.file, last.number) != (file, number):
            with _opened(raw, file) as parquet:
                self._check_names(parquet, [str(self._image_column)], file)
                try:
                    images = parquet.read_row_group(number, columns=[self._image_column]).column(0)
                except (pa.ArrowException, OSError) as error:
                    raise _damaged(file, error) from error
            last = self._last.group = _Group(file, number, images)
        return last, row - starts[number]

    def _starts_of(self, raw: RawDataset, file: str) -> list[int]:
        """First row of each row group, and the number of rows."""
        known: dict[str, list[int]] = self._last.__dict__.setdefault("starts", {})
        if file not in known:
            with _opened(raw, file) as parquet:
                groups = range(parquet.metadata.num_row_groups)
                sizes = [parquet.metadata.row_group(group).num_rows for group in groups]
            known[file] = list(accumulate(sizes, initial=0))
        return known[file]

    def _check_names(self, parquet: pq.ParquetFile, names: list[str], file: str) -> None:
        known = parquet.schema_arrow.names
        for name in names:
            if name not in known:
                raise BadRawError(
                    f"no column {name!r}",
                    where=Location(file),
                    hint=f"columns are {', '.join(known[:20])}",
                )

    def _cast(self, values: pa.Array, name: str, file: str, first: int) -> pa.Array:
        wanted = self._table.columns[name]
        if values.type == wanted:
            return values
        try:
            return values.cast(wanted)
        except (pa.ArrowException, ValueError):
            return column(values.to_pylist(), name, wanted, lambda row, what: _unfit(file, first + row, what))


def _opened(raw: RawDataset, file: str) -> pq.ParquetFile:
    stream = raw.open(file)
    try:
        return pq.ParquetFile(pa.PythonFile(stream, mode="r"))
    except (pa.ArrowException, OSError) as error:
        stream.close()
        raise _damaged(file, error) from error


def _damaged(file: str, error: Exception) -> BadRawError:
    return BadRawError(f"no valid Parquet: {error}", where=Location(file), hint="download the file again")


def _unfit(file: str, row: int, what: str) -> BadRawError:
    return BadRawError(f"record {row}, {what}", where=Location(file), hint="fix the type of the column")
