"""Reader `parquet`."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

import pyarrow as pa
import pyarrow.parquet as pq

from vision_flan.errors import BadRawError, DamagedFileError, Location, MissingRawError
from vision_flan.raw.folder import RawDataset
from vision_flan.readers.base import BatchReader
from vision_flan.readers.damage import reading
from vision_flan.readers.layout import BATCH_ROWS, Parts, no_images, split_locator
from vision_flan.readers.pixels import Cache
from vision_flan.readers.reader import TableSpec
from vision_flan.readers.values import column

#: Bytes of row groups kept for single images.
_GROUPS = 256 << 20
#: Most rows and bytes of images taken from a row group at a time, and bytes read of a column at a time.
_ROWS_AT_ONCE, _BYTES_AT_ONCE, _BUFFER = 1000, 4 << 20, 1 << 20


class ParquetReader(BatchReader):
    """Parquet files; only declared columns are read.

    Option `image_column`: a column of encoded images, binary or a struct with a field `bytes` (as
    `datasets` writes them), which become references in `image`.
    """

    image_hint = "an image is binary, or a struct with a field `bytes`"

    def __init__(self, table: TableSpec) -> None:
        super().__init__(table, images="image_column")
        self._image_column: str | None = table.options.get("image_column")
        self.has_images = bool(self._image_column)
        self._groups: Cache[pa.ChunkedArray] = Cache(limit=_GROUPS)
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
        image = _image_in(images[offset])
        if image is None:
            raise DamagedFileError(self._nothing(row), where=Location(file), hint=self.image_hint)
        return image

    def _nothing(self, row: int) -> str:
        return f"record {row}: column {self._image_column!r} has no image"

    def entries(self, raw: RawDataset, file: str) -> Sequence[int]:
        """The first row of each row group. Raises MissingRawError or BadRawError."""
        with reading(raw, file, self._table.reader):
            return self._starts_of(raw, file)

    def images_in_order(
        self, raw: RawDataset, file: str, rows: Sequence[int]
    ) -> Iterator[tuple[int, bytes | str]]:
        """The images of some rows, sorted, or what is wrong with them; rows beyond the last are left out.

        Each row group is read once and a few pages at a time, so one that is larger than memory does no harm.

        Raises:
            MissingRawError, BadRawError: the file is missing, or not such a file.
        """
        starts = self._starts_of(raw, file)
        with reading(raw, file, self._table.reader), _opened(raw, file) as parquet:
            done = 0
            for number, (start, end) in enumerate(pairwise(starts)):
                until = bisect.bisect_left(rows, end, done)
                if until > done:
                    yield from self._of_group(parquet, number, start, rows[done:until])
                done = until

    def _of_group(
        self, parquet: pq.ParquetFile, number: int, start: int, rows: Sequence[int]
    ) -> Iterator[tuple[int, bytes | str]]:
        first, done = start, 0
        at_once = self._rows_at_once(parquet, number)
        for batch in parquet.iter_batches(at_once, row_groups=[number], columns=[self._image_column]):
            until = bisect.bisect_left(rows, first + batch.num_rows, done)
            wanted = pa.array([row - first for row in rows[done:until]], pa.int64())
            for row, cell in zip(rows[done:until], batch.column(0).take(wanted), strict=True):
                image = _image_in(cell)
                yield row, self._nothing(row) if image is None else image
            if until == len(rows):
                return
            first, done = first + batch.num_rows, until

    def _rows_at_once(self, parquet: pq.ParquetFile, number: int) -> int:
        """Rows of a group whose images have about `_BYTES_AT_ONCE`."""
        group = parquet.metadata.row_group(number)
        columns = (group.column(i) for i in range(group.num_columns))
        of_images = (one for one in columns if one.path_in_schema.split(".")[0] == self._image_column)
        each = sum(one.total_uncompressed_size for one in of_images) / max(group.num_rows, 1)
        return int(min(max(_BYTES_AT_ONCE / max(each, 1), 1), _ROWS_AT_ONCE))

    def _group_of(self, raw: RawDataset, file: str, row: int) -> tuple[pa.ChunkedArray, int]:
        """The images of a row's group, and the row's position in it.

        A row group cannot be read in part, so the last ones are kept. A build takes `images_in_order`.
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


def _image_in(cell: pa.Scalar) -> bytes | None:
    value = cell.as_py()
    if isinstance(value, dict):
        value = value.get("bytes")
    return value if isinstance(value, bytes) else None


def _opened(raw: RawDataset, file: str) -> pq.ParquetFile:
    stream = raw.open(file)
    try:
        return pq.ParquetFile(pa.PythonFile(stream, mode="r"), buffer_size=_BUFFER)
    except (pa.ArrowException, OSError) as error:
        stream.close()
        raise _damaged(file, error) from error


def _damaged(file: str, error: Exception) -> BadRawError:
    return BadRawError(f"not valid Parquet: {error}", where=Location(file), hint="download the file again")


def _unfit(file: str, row: int, what: str) -> BadRawError:
    return BadRawError(f"record {row}, {what}", where=Location(file), hint="fix the column's type")
