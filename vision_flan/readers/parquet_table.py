"""Reader `parquet`."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from itertools import accumulate

import pyarrow as pa
import pyarrow.parquet as pq

from vision_flan.errors import BadRawError, DamagedFileError, Location, MissingRawError
from vision_flan.raw.folder import RawDataset
from vision_flan.readers.base import BatchReader
from vision_flan.readers.layout import BATCH_ROWS, Parts, no_images, split_locator
from vision_flan.readers.pixels import Cache
from vision_flan.readers.reader import TableSpec
from vision_flan.readers.values import column


class ParquetReader(BatchReader):
    """Parquet files; only declared columns are read.

    Option `image_column`: a column of encoded images, binary or a struct with a field `bytes` (as
    `datasets` writes them), which become references in `image`.
    """

    def __init__(self, table: TableSpec) -> None:
        super().__init__(table, images="image_column")
        self._image_column: str | None = table.options.get("image_column")
        self._groups: Cache[pa.ChunkedArray] = Cache()
        self._starts: dict[str, list[int]] = {}

    def _file_batches(self, raw: RawDataset, file: str, parts: Parts) -> Iterator[pa.RecordBatch]:
        names = list(self._table.columns)
        first = 0
        with _opened(raw, file) as parquet:
            self._check_names(parquet, names, file)
            try:
                for batch in parquet.iter_batches(BATCH_ROWS, columns=names):
                    batch.validate(full=True)  # Arrow accepts bytes that are not UTF-8
                    arrays = {name: self._cast(batch.column(name), name, file, first) for name in names}
                    refs = [f"@{self._table.name}/{file}#{first + row}" for row in range(batch.num_rows)]
                    arrays["image"] = pa.array(refs if self._image_column else [], pa.string())
                    yield self._layout.batch(file, parts, first, arrays, batch.num_rows)
                    first += batch.num_rows
            except (pa.ArrowException, OSError) as error:
                raise _damaged(file, error) from error

    def _image(self, raw: RawDataset, locator: str) -> bytes:
        if not self._image_column:
            raise no_images(self._table, locator)
        file, row = split_locator(locator)
        images, offset = self._group_of(raw, file, row)
        image = images[offset].as_py()
        if isinstance(image, dict):
            image = image.get("bytes")
        if not isinstance(image, bytes):
            raise DamagedFileError(
                f"record {row}: column {self._image_column!r} has no image",
                where=Location(file),
                hint="an image is binary, or a struct with a field `bytes`",
            )
        return image

    def _group_of(self, raw: RawDataset, file: str, row: int) -> tuple[pa.ChunkedArray, int]:
        """The images of a row's group, and the row's position in it.

        Instances come in random order and a row group cannot be read in part, so groups are cached, up to a
        gigabyte for all threads together.
        """
        starts = self._starts_of(raw, file)
        if row >= starts[-1]:
            raise MissingRawError(
                f"there is no record {row}, the file has {starts[-1]}", where=Location(file)
            )
        number = bisect.bisect_right(starts, row) - 1
        images = self._groups.get(f"{file}#{number}", lambda: self._load_group(raw, file, number))
        return images, row - starts[number]

    def _load_group(self, raw: RawDataset, file: str, number: int) -> pa.ChunkedArray:
        with _opened(raw, file) as parquet:
            self._check_names(parquet, [str(self._image_column)], file)
            try:
                return parquet.read_row_group(number, columns=[self._image_column]).column(0)
            except (pa.ArrowException, OSError) as error:
                raise _damaged(file, error) from error

    def _starts_of(self, raw: RawDataset, file: str) -> list[int]:
        """First row of each row group, and the number of rows."""
        known = self._starts.get(file)
        if known is None:
            with _opened(raw, file) as parquet:
                groups = range(parquet.metadata.num_row_groups)
                sizes = [parquet.metadata.row_group(group).num_rows for group in groups]
            known = self._starts[file] = list(accumulate(sizes, initial=0))
        return known

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
    return BadRawError(f"not valid Parquet: {error}", where=Location(file), hint="download the file again")


def _unfit(file: str, row: int, what: str) -> BadRawError:
    return BadRawError(f"record {row}, {what}", where=Location(file), hint="fix the column's type")
