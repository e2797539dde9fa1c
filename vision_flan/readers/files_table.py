"""Reader `files`: one row per file, from its path alone, for labels in folder names."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import pyarrow as pa

from vision_flan.errors import BadRawError, Location, MissingRawError, SpecError
from vision_flan.raw.folder import RawDataset
from vision_flan.raw.patterns import Pattern
from vision_flan.raw.roots import fetch_command
from vision_flan.readers.layout import BATCH_ROWS, no_images
from vision_flan.readers.reader import TableSpec
from vision_flan.readers.values import column


class FilesReader:
    """Paths that match. No content is read.

    Columns: the named parts, VARCHAR or as declared, and `path`. Option `suffixes`: [.jpg, .png] keeps files
    with one of these suffixes, in upper or lower case.
    """

    def __init__(self, table: TableSpec) -> None:
        self._table = table
        self._pattern = Pattern(table.file, table.place)
        self._suffixes = tuple(str(suffix).lower() for suffix in table.options.get("suffixes", ()))
        names = (*self._pattern.names, "path")
        unknown = [name for name in table.columns if name not in names]
        if unknown or "path" in self._pattern.names:
            wrong = unknown[0] if unknown else "path"
            raise SpecError(
                f"table {table.name!r}: column {wrong!r} is not a part of the path {table.file!r}",
                where=table.place,
                hint=f"columns of this table are {', '.join(dict.fromkeys(names))}, _file and _index",
            )
        kinds = {name: table.columns.get(name, pa.string()) for name in names}
        self._schema = pa.schema(list({**kinds, "_file": pa.string(), "_index": pa.int64()}.items()))

    def schema(self) -> pa.Schema:
        return self._schema

    def batches(self, raw: RawDataset) -> Iterator[pa.RecordBatch]:
        found = raw.list(self._pattern)
        if self._suffixes:
            found = (item for item in found if item[0].lower().endswith(self._suffixes))
        nothing = True
        while rows := list(islice(found, BATCH_ROWS)):
            nothing = False
            yield self._batch(rows)
        if nothing:
            suffixes = f" and ends in {' or '.join(self._suffixes)}" if self._suffixes else ""
            raise MissingRawError(
                f"table {self._table.name!r}: no file of {raw.dataset!r} matches "
                f"{self._table.file!r}{suffixes}",
                where=Location(raw.root),
                hint=fetch_command(raw.dataset, raw.root),
            )

    def open_image(self, raw: RawDataset, locator: str) -> bytes:
        raise no_images(self._table, locator)

    def _batch(self, rows: list[tuple[str, dict[str, str]]]) -> pa.RecordBatch:
        def error(at: int, what: str) -> BadRawError:
            return BadRawError(what, where=Location(rows[at][0]), hint="fix the column's type")

        paths = pa.array([path for path, _ in rows], pa.string())
        arrays = [
            column([parts[name] for _, parts in rows], name, self._schema.field(name).type, error)
            for name in self._pattern.names
        ]
        indexes = pa.repeat(pa.scalar(0, pa.int64()), len(rows))
        return pa.record_batch([*arrays, paths, paths, indexes], schema=self._schema)
