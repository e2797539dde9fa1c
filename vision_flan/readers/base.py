"""The base of all readers: the schema, batches of rows, and images by reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa

from vision_flan.errors import SpecError
from vision_flan.raw.folder import RawDataset
from vision_flan.readers.damage import reading, refuse_stand_in
from vision_flan.readers.layout import Layout, Parts, Row, no_images
from vision_flan.readers.reader import TableSpec


class BatchReader:
    """A reader of one file after another. Subclasses read a file in `_file_batches`, and an image in it, if
    the format has images, in `_image`. Whatever a parser raises becomes an error of the raw file here.

    Args:
        columns: the columns of a record; by default those the spec declares.
        images: the option that adds the column `image` of references; "" if the format has none.
    """

    #: Set for formats without a signature: a Git LFS pointer or a web page would pass as data.
    accepts_anything = False

    def __init__(
        self, table: TableSpec, columns: Mapping[str, pa.DataType] | None = None, images: str = ""
    ) -> None:
        self._table = table
        self._layout = Layout(table, with_image_column(table, columns, images))

    def schema(self) -> pa.Schema:
        return self._layout.schema

    def batches(self, raw: RawDataset) -> Iterator[pa.RecordBatch]:
        for file, parts in self._layout.files(raw):
            with reading(raw, file, self._table.reader):
                if self.accepts_anything:
                    refuse_stand_in(raw, file)
                yield from self._file_batches(raw, file, parts)

    def open_image(self, raw: RawDataset, locator: str) -> bytes:
        file = locator.rpartition("#")[0] or locator
        with reading(raw, file, self._table.reader):
            return self._image(raw, locator)

    def _file_batches(self, raw: RawDataset, file: str, parts: Parts) -> Iterator[pa.RecordBatch]:
        raise NotImplementedError

    def _image(self, raw: RawDataset, locator: str) -> bytes:
        raise no_images(self._table, locator)


class RowReader(BatchReader):
    """A reader that yields rows; batches span files, which may be many and small."""

    def batches(self, raw: RawDataset) -> Iterator[pa.RecordBatch]:
        yield from self._layout.batches(self._all_rows(raw))

    def _all_rows(self, raw: RawDataset) -> Iterator[Row]:
        for file, parts in self._layout.files(raw):
            with reading(raw, file, self._table.reader):
                if self.accepts_anything:
                    refuse_stand_in(raw, file)
                yield from self._rows(raw, file, parts)

    def _rows(self, raw: RawDataset, file: str, parts: Parts) -> Iterator[Row]:
        """The rows of one file."""
        raise NotImplementedError


def with_image_column(
    table: TableSpec, columns: Mapping[str, pa.DataType] | None, option: str
) -> dict[str, pa.DataType]:
    """The columns of a table, with `image` if the spec sets the option that adds it.

    Raises:
        SpecError: the spec declares `image` too.
    """
    made = dict(table.columns if columns is None else columns)
    if not option or not table.options.get(option):
        return made
    if "image" in table.columns:
        raise SpecError(
            f"table {table.name!r}: `{option}` adds the column 'image'",
            where=table.place,
            hint="drop it from `columns:`",
        )
    return {**made, "image": pa.string()}
