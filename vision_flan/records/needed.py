"""Which rows of its tables some records of a task come from: for miniatures cut from real files.

SQL does not say where a row comes from, so it is tried: rows are left out, in halves, then quarters, and so
on, as long as the records stay as they are. It begins with the rows that share a value with the records,
over a few joins; if these do not suffice, with all rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from vision_flan.errors import Location
from vision_flan.raw.folder import RawDataset
from vision_flan.records.sources import TaskSources
from vision_flan.records.sql import check_key
from vision_flan.records.store import RecordStore
from vision_flan.records.tables import create_views
from vision_flan.spec.model import TaskSpec

#: A row of a table: the file it is in, and its position there.
Row = tuple[str, int]

#: Joins that values are followed over, values followed at a time, and rows below which a table is taken
#: whole.
_JOINS, _VALUES, _SMALL = 4, 50_000, 200


class RowFinder(RecordStore):
    """The tables of a task in a database where rows can be left out.

    Args:
        work: folder for the database file.
    """

    def __init__(self, task: TaskSpec, sources: TaskSources, raw: RawDataset, work: Path) -> None:
        super().__init__(work)
        self._task = task
        self._columns_of: dict[str, dict[str, str]] = {}
        self.load_labels(sources.labels)
        for name, reader in sources.readers.items():
            self.load(f"_all_{name}", reader.schema(), reader.batches(raw))
            self._con.execute(f'ALTER TABLE "_all_{name}" ADD COLUMN _row BIGINT')
            self._con.execute(f'UPDATE "_all_{name}" SET _row = rowid')
            self._con.execute(f'CREATE TABLE "_kept_{name}" AS SELECT _row FROM "_all_{name}"')
            self._con.execute(
                f'CREATE VIEW "{name}" AS SELECT * EXCLUDE (_row) FROM "_all_{name}" '
                f'WHERE _row IN (SELECT _row FROM "_kept_{name}")'
            )
            self._tables.add(name)
            described = self._con.execute(f'DESCRIBE "_all_{name}"').fetchall()
            self._columns_of[name] = {str(row[0]): str(row[1]) for row in described}
        create_views(sources, self)

    def find(self, keys: Sequence[str]) -> Mapping[str, list[Row]]:
        """For each table the rows that the records of these keys need; at least one of every table.

        Raises:
            SpecError: the SQL does not run.
        """
        wanted = self._records(keys)
        kept = self._sharing_values(keys)
        self._keep(kept)
        if self._records(keys) != wanted:
            kept = {name: self._numbers(f'SELECT _row FROM "_all_{name}"') for name in self._columns_of}
            self._keep(kept)
        for name in sorted(kept, key=lambda one: -len(kept[one])):
            kept[name] = self._fewest(name, kept[name], keys, wanted)
        return {name: self._rows(name, rows) for name, rows in kept.items()}

    # --- the records

    def _records(self, keys: Sequence[str]) -> list[str]:
        """The records of these keys as text, in the order of the text."""
        key = self._task.key
        check_key(key, self._task.key_place)
        self._set_values(keys)
        sql = (
            f"SELECT CAST(r AS VARCHAR) FROM (SELECT *, CAST(({key}\n) AS VARCHAR) AS _k "
            f"FROM ({self._task.records_sql}\n) AS _) AS r WHERE _k IN (SELECT v FROM _values)"
        )
        return sorted(str(row[0]) for row in self._run(sql, self._task.records_place).fetchall())

    # --- rows that share values

    def _sharing_values(self, keys: Sequence[str]) -> dict[str, list[int]]:
        self._set_values(keys)
        select = (
            f"SELECT * FROM (SELECT *, CAST(({self._task.key}\n) AS VARCHAR) AS _k "
            f"FROM ({self._task.records_sql}\n) AS _) WHERE _k IN (SELECT v FROM _values)"
        )
        place: Location = self._task.records_place
        found = self._run(select, place).fetchall()
        values = set(_leaves(found))
        kept: dict[str, set[int]] = {name: set() for name in self._columns_of}
        small = [name for name in self._columns_of if self._size(name) <= _SMALL]
        for name in small:
            kept[name] = set(self._numbers(f'SELECT _row FROM "_all_{name}"'))
        for _ in range(_JOINS):
            new: set[str] = set()
            for name in self._columns_of:
                if name not in small:
                    rows = set(self._holding(name, values)) - kept[name]
                    kept[name] |= rows
                    new |= set(_leaves(self._content(name, sorted(rows)[:_VALUES])))
            if new <= values or len(values) > _VALUES:
                break
            values |= new
        return {name: sorted(rows) for name, rows in kept.items()}

    def _holding(self, name: str, values: Iterable[str]) -> list[int]:
        self._set_values(values)
        plain = [
            c
            for c, kind in self._columns_of[name].items()
            if c not in ("_row", "_file") and not _is_nested(kind)
        ]
        tests = " OR ".join(f'CAST("{column}" AS VARCHAR) IN (SELECT v FROM _values)' for column in plain)
        return self._numbers(f'SELECT _row FROM "_all_{name}" WHERE {tests}')

    def _content(self, name: str, rows: Sequence[int]) -> list[dict[str, object]]:
        if not rows:
            return []
        sql = f'SELECT * EXCLUDE (_row, _file) FROM "_all_{name}" WHERE _row IN ({", ".join(map(str, rows))})'
        return list(self._con.sql(sql).to_arrow_table().to_pylist())

    def _set_values(self, values: Iterable[str]) -> None:
        self._con.execute("CREATE OR REPLACE TEMP TABLE _values (v VARCHAR)")
        known = list(dict.fromkeys(values))
        if known:
            self._con.execute("INSERT INTO _values SELECT unnest(?)", [known])

    # --- leaving rows out

    def _fewest(self, name: str, rows: list[int], keys: Sequence[str], wanted: list[str]) -> list[int]:
        """The fewest rows of a table that give the records, by leaving out ever smaller parts."""
        size = len(rows)
        while size:
            start = 0
            while start < len(rows):
                fewer = rows[:start] + rows[start + size :]
                self._keep({name: fewer})
                if fewer and self._records(keys) == wanted:
                    rows = fewer
                else:
                    start += size
            size //= 2
        self._keep({name: rows})
        return rows

    def _keep(self, kept: Mapping[str, Sequence[int]]) -> None:
        for name, rows in kept.items():
            self._con.execute(
                f'CREATE OR REPLACE TABLE "_kept_{name}" AS SELECT unnest(?) AS _row', [list(rows)]
            )

    def _rows(self, name: str, numbers: Sequence[int]) -> list[Row]:
        shown = ", ".join(map(str, numbers))
        sql = f'SELECT _file, _index FROM "_all_{name}" WHERE _row IN ({shown}) ORDER BY _file, _index'
        return [(str(file), int(index)) for file, index in self._con.execute(sql).fetchall()]

    def _size(self, name: str) -> int:
        return self._numbers(f'SELECT count(*) FROM "_all_{name}"')[0]

    def _numbers(self, sql: str) -> list[int]:
        return [int(row[0]) for row in self._con.execute(sql).fetchall()]


def _is_nested(kind: str) -> bool:
    return kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION", "BLOB"))


def _leaves(value: object) -> Iterator[str]:
    """Every text and number inside of a value, as text."""
    if isinstance(value, dict):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        yield str(value)
