"""A proposed table, and what its rows hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from vision_flan.errors import Location
from vision_flan.raw.folder import RawDataset
from vision_flan.readers.reader import Reader, TableSpec
from vision_flan.readers.registry import make_reader
from vision_flan.records.sql import arrow_type

#: Rows kept as examples, rows looked at for distinct values, and distinct values kept of a column.
EXAMPLES, LOOKED_AT, DISTINCT = 400, 1_000_000, 5_000

#: Fields and columns that hold the name of a category.
NAMES = ("name", "label", "title", "category", "class", "class_name")


def name_field(kind: str) -> str:
    """The field of the name in a list of structs, as VOC's objects are; empty if there is none."""
    if not (kind.startswith("STRUCT(") and kind.endswith(")[]")):
        return ""
    return next((one for one in NAMES if f"{one} VARCHAR" in kind), "")


@dataclass
class Column:
    """What the rows that were looked at hold in a column of plain values.

    Attributes:
        counts: value -> rows; None once there are more than `DISTINCT` values.
        is_unique: no value, and no null, occurs twice.
    """

    kind: str
    counts: dict[object, int] | None = field(default_factory=dict)
    seen: set[object] = field(default_factory=set)
    is_unique: bool = True
    nulls: int = 0

    def add(self, value: object) -> None:
        """Look at one value."""
        if value is None:
            self.nulls += 1
            self.is_unique = False
            return
        if self.is_unique:
            self.is_unique = value not in self.seen
            self.seen.add(value)
        if self.counts is not None:
            self.counts[value] = self.counts.get(value, 0) + 1
            if len(self.counts) > DISTINCT:
                self.counts = None


@dataclass
class Table:
    """A table that dataset.yaml may declare.

    Attributes:
        file: path pattern; `paths` are the files it matches.
        declared: columns with their SQL types; `options` are those of the reader.
        labels: column -> names of its numbers, where the file has them.
        rows: the first rows, as the reader gives them.
        count: rows that were looked at.
        columns: facts of every column of plain values, those of the path too.
        nested: columns of lists and structs, and their types.
        inside: such a column -> the names of its objects, with their number.
        label_list: a column whose lists have a label for each image of a file.
    """

    name: str
    reader: str
    file: str
    paths: tuple[str, ...]
    declared: dict[str, str] = field(default_factory=dict)
    options: dict[str, object] = field(default_factory=dict)
    labels: dict[str, list[str]] = field(default_factory=dict)
    rows: list[dict[str, object]] = field(default_factory=list)
    count: int = 0
    columns: dict[str, Column] = field(default_factory=dict)
    nested: dict[str, str] = field(default_factory=dict)
    inside: dict[str, Counter[object]] = field(default_factory=dict)
    label_list: str = ""

    @property
    def last_part(self) -> str:
        """The pattern of the files' names."""
        return self.file.rpartition("/")[2]

    def reader_of(self) -> Reader:
        """The registered reader of this table."""
        place = Location(self.file)
        types = {name: arrow_type(kind, place) for name, kind in self.declared.items()}
        return make_reader(TableSpec(self.name, self.reader, self.file, self.options, types, place))

    def read(self, raw: RawDataset) -> None:
        """Fill `rows`, `count`, `columns` and `nested`.

        Raises:
            BadRawError: a file does not match its format.
        """
        reader = self.reader_of()
        for kind in reader.schema():
            if pa.types.is_nested(kind.type):
                self.nested[kind.name] = self.declared.get(kind.name, "")
                if name_field(self.nested[kind.name]):
                    self.inside[kind.name] = Counter()
            else:
                usual = "BIGINT" if pa.types.is_integer(kind.type) else "VARCHAR"
                self.columns[kind.name] = Column(self.declared.get(kind.name, usual))
        for batch in reader.batches(raw):
            self._look_at(batch)
            if self.count >= LOOKED_AT:
                break
        for column in self.columns.values():
            column.seen.clear()

    def forget(self) -> None:
        """Be as before `read`: the declared columns have changed."""
        self.rows, self.count, self.columns, self.nested, self.inside = [], 0, {}, {}, {}

    def _look_at(self, batch: pa.RecordBatch) -> None:
        if len(self.rows) < EXAMPLES:
            self.rows += batch.slice(0, EXAMPLES - len(self.rows)).to_pylist()
        self.count += batch.num_rows
        for name, names in self.inside.items():
            named = name_field(self.nested[name])
            for items in batch.column(name).to_pylist():
                names.update(item[named] for item in items or () if item and item[named])
        for name, column in self.columns.items():
            if column.counts is not None or column.is_unique:
                for value in batch.column(name).to_pylist():
                    column.add(value)

    def as_yaml(self) -> dict[str, object]:
        """The entry below `tables:`, without the table's name."""
        entry: dict[str, object] = {"reader": self.reader, "file": self.file, **self.options}
        if self.declared:
            entry["columns"] = dict(self.declared)
        return entry

    def values(self, name: str) -> Mapping[object, int]:
        """Distinct values of a column with their rows; empty where there are too many."""
        column = self.columns.get(name)
        return (column.counts if column else None) or {}

    def plain(self) -> Iterator[tuple[str, Column]]:
        """Columns of plain values that a person would use: not `_index` and its like."""
        for name, column in self.columns.items():
            if name not in ("_file", "_index"):
                yield name, column
