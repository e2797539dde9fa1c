"""The rows that a task's SELECT yields, in selection order, a block at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
import pyarrow as pa

from vision_flan.records.ordering import order_sql
from vision_flan.records.parse import machine_error


@contextmanager
def machine_errors() -> Iterator[None]:
    """Turns running out of memory or disk into the machine's error, wherever it happens.

    Raises:
        MachineError: over the memory limit, with no space to spill.
    """
    try:
        yield
    except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
        raise machine_error(error) from error


class Candidates:
    """Rows in selection order: by MD5 of seed and key, whatever the order in the files.

    Attributes:
        total: number of records that the SELECT yields.
        dropped: reason -> number of rows that are not candidates (no key, duplicate key).
        examples: reason -> one of these rows: its text if it has no key, else its key.
    """

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        seed: int,
        total: int,
        dropped: dict[str, int],
        examples: dict[str, str],
        splits: Sequence[str] = (),
    ) -> None:
        named = ", ".join(f"'{split}'" for split in splits)
        self._first = f"list_position([{named}], split), " if splits else ""
        self._con = con
        self._seed = seed
        self.total = total
        self.dropped = dropped
        self.examples = examples
        self.count = total - sum(dropped.values())
        self._sorted = self._expected = 0
        self._has_order = False

    def expect(self, rows: int) -> None:
        """So many rows will be asked for if none is dropped: they are put in order at once."""
        self._expected = rows

    def block(self, start: int, rows: int) -> list[dict[str, Any]]:
        """Rows [start, start + rows) of the selection order, as dicts; `_key` is upstream's key."""
        return list(self.table(start, rows).to_pylist())

    @machine_errors()
    def table(self, start: int, rows: int) -> pa.Table:
        """The same rows as an Arrow table."""
        stop = min(start + rows, self.count)
        self._sort_to(stop)
        sql = f"SELECT * EXCLUDE (_order, _rank) FROM _sorted WHERE _rank >= {start} AND _rank < {stop}"
        return self._con.sql(f"{sql} ORDER BY _rank").to_arrow_table()

    @machine_errors()
    def others(self, column: str, differ_in: str, rows: int) -> pa.Table:
        """A pool of values and their groups to draw other records' values from: the first `rows` records in
        a separate selection order."""
        order = order_sql(self._seed, "'others', chr(31), _key")
        return self._con.sql(
            f'SELECT "{column}" AS value, "{differ_in}" AS other FROM _candidates WHERE _key IS NOT NULL '
            f'AND "{column}" IS NOT NULL ORDER BY {order}, _key LIMIT {rows}'
        ).to_arrow_table()

    def _sort_to(self, stop: int) -> None:
        """Sort as many rows as needed, with a reserve for drops: sorting millions of wide rows costs ten
        times as much as finding the first few thousand."""
        if stop <= self._sorted and self._has_order:
            return
        self._has_order = True
        wanted = min(self.count, max(20_000, 4 * stop, self._expected))
        self._con.execute(
            "CREATE OR REPLACE TABLE _sorted AS SELECT *, row_number() OVER () - 1 AS _rank FROM ("
            f"SELECT *, {order_sql(self._seed, '_key')} AS _order FROM _candidates "
            f"WHERE _key IS NOT NULL ORDER BY {self._first}_order, _key LIMIT {wanted})"
        )
        self._sorted = wanted
