"""Candidates as columns, so that a template renders a group of rows in one go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import compress
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa

from vision_flan.columns import Turn
from vision_flan.instances.derive import NoValueError
from vision_flan.instances.rendering import Expression, UnknownLabelError

Row = dict[str, Any]
T = TypeVar("T")


class Dropped(NamedTuple):
    """Why a candidate is not written; `detail` is its image, or what is wrong with the image file."""

    reason: str
    detail: str = ""


class Rows:
    """Candidates as columns. A row that drops is left out of all of them from then on.

    Args:
        fields: what templates see: name -> values.
        count: number of rows.
        rows: the same rows one by one, if they are at hand; derived fields are added to them.

    Attributes:
        texts: columns of the instances that are made of the rows, by name.
        options: likewise.
        later: likewise; empty where no row has more than one turn.
        refs: the references to their images, if there is one for each.
        keys: upstream's keys of all rows.
        places: the place among all rows of each that is left.
        dropped: place -> why, of the others.
    """

    def __init__(self, fields: dict[str, list[Any]], count: int, rows: list[Row] | None = None) -> None:
        self.fields = fields
        self.texts: dict[str, list[str]] = {}
        self.options: list[list[str]] = []
        self.later: list[tuple[Turn, ...]] = []
        self.refs: list[str] = []
        self.keys: list[str] = fields["_key"]
        self.places: Sequence[int] = range(count)
        self.dropped: dict[int, Dropped] = {}
        self._rows = rows

    @classmethod
    def of(cls, table: pa.Table) -> Rows:
        """The rows of a table."""
        columns = [column.to_pylist() for column in table.columns]
        return cls(dict(zip(table.column_names, columns, strict=True)), table.num_rows)

    @classmethod
    def one(cls, row: Row) -> Rows:
        """A single row."""
        return cls({name: [value] for name, value in row.items()}, 1, [row])

    def __len__(self) -> int:
        return len(self.places)

    @property
    def rows(self) -> list[Row]:
        """The rows that are left, one by one."""
        if self._rows is None:
            names = self.fields.keys()
            self._rows = [
                dict(zip(names, row, strict=True)) for row in zip(*self.fields.values(), strict=True)
            ]
        return self._rows

    def put(self, name: str, values: list[Any]) -> None:
        """Add a field."""
        self.fields[name] = values
        if self._rows is not None:
            for row, value in zip(self._rows, values, strict=True):
                row[name] = value

    def rendered(self, expression: Expression) -> list[str]:
        """The texts of a template; rows with a value that is not in its label table drop."""
        column = expression.column(self.fields, len(self))
        return self.each(expression.render) if column is None else column

    def each(self, make: Callable[..., T], *columns: Sequence[object]) -> list[T]:
        """What a function makes of each row and its values in more columns; rows without a value drop."""
        made: list[T] = []
        failed: dict[int, Dropped] = {}
        for at, arguments in enumerate(zip(self.rows, *columns, strict=True)):
            try:
                made.append(make(*arguments))
            except NoValueError as error:
                failed[at] = Dropped(str(error))
            except UnknownLabelError:
                failed[at] = Dropped("unknown_label")
        self.drop(failed)
        return made

    def drop_empty(self, name: str, reason: str) -> None:
        """Drop the rows without a text there."""
        texts = self.texts[name]
        if not all(texts):
            self.drop({at: Dropped(reason) for at, text in enumerate(texts) if not text})

    def drop(self, failed: Mapping[int, Dropped]) -> None:
        """Drop rows, by their place among those that are left."""
        if not failed:
            return
        for at, why in failed.items():
            self.dropped[self.places[at]] = why
        left = [at not in failed for at in range(len(self))]
        self.places = list(compress(self.places, left))
        for columns in (self.fields, self.texts):
            for name, values in columns.items():
                columns[name] = list(compress(values, left))
        self.options = list(compress(self.options, left))
        self.later = list(compress(self.later, left))
        self.refs = list(compress(self.refs, left))
        if self._rows is not None:
            self._rows = list(compress(self._rows, left))
