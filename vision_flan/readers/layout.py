"""The columns of a table and how readers fill them: path parts, declared columns, `_file`, `_index`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from unicodedata import normalize

import pyarrow as pa

from vision_flan.errors import BadRawError, Location, MissingRawError, SpecError
from vision_flan.raw.folder import RawDataset
from vision_flan.raw.patterns import Pattern
from vision_flan.raw.roots import fetch_command
from vision_flan.readers.reader import TableSpec
from vision_flan.readers.values import column, settled

#: Bounds of a record batch; a row's size is its size in the file, so the second one is approximate.
BATCH_ROWS = 8192
BATCH_BYTES = 8 << 20

#: Most digits of the number of a record.
_DIGITS = 18

Parts = Mapping[str, str]


class Row(NamedTuple):
    """A record before it is in a batch: `position` becomes `_index`, `label` is for errors ("line 7")."""

    file: str
    parts: Parts
    position: int
    values: Mapping[str, Any]
    size: int = 0
    label: str = ""


class Layout:
    """All columns of a table.

    Args:
        table: the declared table.
        columns: the columns of a record; by default those the spec declares.

    Attributes:
        pattern: the path pattern of the table's files.
        columns: the columns of a record, with their types.
        schema: parts of the path, `columns`, `_file`, `_index`.

    Raises:
        SpecError: a column has the name of a part of the path or of another column, or the pattern is wrong.
    """

    def __init__(self, table: TableSpec, columns: Mapping[str, pa.DataType] | None = None) -> None:
        self.table = table
        self.pattern = Pattern(table.file, table.place)
        self.columns = dict(table.columns if columns is None else columns)
        own = {"_file": pa.string(), "_index": pa.int64()}
        twice = [name for name in self.columns if name in self.pattern.names or name in own]
        if twice:
            raise SpecError(
                f"table {table.name!r}: column {twice[0]!r} is declared, but the path already gives it",
                where=table.place,
                hint=f"rename {{{twice[0]}}} in `file:`, or drop the column",
            )
        self._refuse_twins([*self.pattern.names, *self.columns, *own])
        names = {name: pa.string() for name in self.pattern.names} | self.columns | own
        self.schema = pa.schema(list(names.items()))

    def _refuse_twins(self, names: Sequence[str]) -> None:
        """SQL does not tell capitals, and a reader of the spec not two ways to write a letter."""
        seen: dict[str, str] = {}
        for name in names:
            other = seen.setdefault(normalize("NFKC", name).casefold(), name)
            if other != name:
                raise SpecError(
                    f"table {self.table.name!r}: the columns {other!r} and {name!r} are one name to SQL",
                    where=self.table.place,
                    hint="declare one of them",
                )

    def files(self, raw: RawDataset) -> Iterator[tuple[str, Parts]]:
        """Files of the table, sorted.

        Raises:
            MissingRawError: no file matches.
        """
        nothing = True
        for found in raw.list(self.pattern):
            nothing = False
            yield found
        if nothing:
            raise MissingRawError(
                f"table {self.table.name!r}: no file of {raw.dataset!r} matches {self.table.file!r}",
                where=Location(raw.root),
                hint=fetch_command(raw.dataset, raw.root),
            )

    def batch(
        self, file: str, parts: Parts, first: int, arrays: Mapping[str, pa.Array], rows: int
    ) -> pa.RecordBatch:
        """A batch of `rows` rows of one file, the first of which is row `first` of it."""

        own = {name: pa.repeat(pa.scalar(parts[name]), rows) for name in self.pattern.names}
        own["_file"] = pa.repeat(pa.scalar(file), rows)
        own["_index"] = pa.array(range(first, first + rows), pa.int64())
        return pa.record_batch(
            [own[name] if name in own else settled(arrays[name]) for name in self.schema.names],
            schema=self.schema,
        )

    def batches(self, rows: Iterable[Row]) -> Iterator[pa.RecordBatch]:
        """Records as batches of bounded size that may span files; keys missing from a record are NULL.

        Raises:
            BadRawError: a value does not fit its column; names file, record, column and value.
        """
        held: list[Row] = []
        size = 0
        for row in rows:
            held.append(row)
            size += row.size
            if len(held) >= BATCH_ROWS or size >= BATCH_BYTES:
                yield self.of_rows(held)
                held, size = [], 0
        if held:
            yield self.of_rows(held)

    def of_rows(self, rows: list[Row]) -> pa.RecordBatch:
        """Records as one batch; see `batches`."""

        def error(at: int, what: str) -> BadRawError:
            row = rows[at]
            return BadRawError(
                f"{row.label or f'record {row.position}'}, {what}",
                where=Location(row.file),
                hint=f"fix the file, or the type of the column in table {self.table.name!r}",
            )

        arrays = [pa.array([row.parts[name] for row in rows], pa.string()) for name in self.pattern.names]
        for name, kind in self.columns.items():
            values = column([row.values.get(name) for row in rows], name, kind, error)
            arrays.append(settled(values))
        arrays.append(pa.array([row.file for row in rows], pa.string()))
        arrays.append(pa.array([row.position for row in rows], pa.int64()))
        return pa.record_batch(arrays, schema=self.schema)


def no_images(table: TableSpec, locator: str) -> BadRawError:
    """The error for an image reference into a table whose format has no images."""
    return BadRawError(
        f"image reference '@{table.name}/{locator}': reader {table.reader!r} has no images here",
        where=table.place,
        hint="give the image's path in the layout instead",
    )


def split_locator(locator: str) -> tuple[str, int]:
    """File and record of `<file>#<record>`.

    Raises:
        BadRawError: there is no record number.
    """
    file, mark, record = locator.rpartition("#")
    if not mark or not record.isdecimal() or len(record) > _DIGITS:
        raise BadRawError(f"image reference {locator!r} has no record number", hint="write <file>#<record>")
    return file, int(record)
