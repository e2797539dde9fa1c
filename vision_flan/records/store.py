"""Rows: the tables of a dataset, reshaped by the task's SQL in a locked DuckDB, in selection order.

The SQL of a spec is untrusted: external access is off, the configuration is locked, one SELECT is all that
runs. Tables stream in from the readers and may spill to the work folder; rows stream out in blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import pyarrow as pa

from vision_flan.errors import Location
from vision_flan.records.ordering import order_sql
from vision_flan.records.sql import sql_error

#: Memory DuckDB may hold before it spills; the readers' and writers' memory comes on top.
MEMORY_LIMIT = "1GB"


def _config(spill: Path | None) -> dict[str, Any]:
    config: dict[str, Any] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "memory_limit": MEMORY_LIMIT,
        "threads": "2",
    }
    if spill is not None:
        config["temp_directory"] = str(spill / "spill")
    return config


class RecordStore:
    """Tables and candidates of one task. A context manager; closes its database.

    Args:
        work: folder for the database file and what spills; None keeps all in memory (checks of specs).
    """

    def __init__(self, work: Path | None = None) -> None:
        database = ":memory:" if work is None else str(work / "records.duckdb")
        self._con = duckdb.connect(database, config=_config(work))
        self._con.execute("SET enable_external_access = false")
        self._con.execute("SET lock_configuration = true")
        self._limit: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._con.close()

    def load(self, name: str, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> int:
        """Stream a table in. Returns its number of rows; errors of the reader pass through unchanged."""
        failure: list[BaseException] = []

        def guarded() -> Iterator[pa.RecordBatch]:
            try:
                yield from batches
            except BaseException as error:
                # Arrow's C stream flattens exceptions to text: keep the real one for the caller
                failure.append(error)
                raise

        self._con.register("_incoming", pa.RecordBatchReader.from_batches(schema, guarded()))
        try:
            self._con.execute(f'CREATE TABLE "{name}" AS SELECT * FROM _incoming')
        except BaseException:
            if failure:
                raise failure[0] from None
            raise
        finally:
            self._con.unregister("_incoming")
        return self._count(f'"{name}"')

    def load_labels(self, tables: Mapping[str, Mapping[str, str]]) -> None:
        """Label tables become SQL tables `label_<name>(key, value)`."""
        schema = pa.schema([("key", pa.string()), ("value", pa.string())])
        for name, labels in tables.items():
            columns = [list(labels.keys()), list(labels.values())]
            batch = pa.record_batch([pa.array(c, pa.string()) for c in columns], schema=schema)
            self.load(f"label_{name}", schema, iter([batch]))

    def describe(self, sql: str, place: Location) -> dict[str, str]:
        """Columns and SQL types of a SELECT, without running it."""
        rows = self._run(f"DESCRIBE ({sql})", place).fetchall()
        return {str(row[0]): str(row[1]) for row in rows}

    def prepare(
        self, sql: str, key: str, seed: int, place: Location, key_place: Location | None = None
    ) -> Candidates:
        """Run a task's SELECT and put its rows in selection order.

        Args:
            sql: one SELECT (`check_select` has passed it).
            key: SQL expression of upstream's key over the SELECT's columns.
            seed: seed of the order.
            place: where the SQL stands, for errors.
            key_place: where the key stands.
        """
        # rows of some readers have a `_key` of their own, which `key` may use and ours takes the place of
        fields = "* EXCLUDE (_key)" if "_key" in self.describe(sql, place) else "*"
        self.describe(f"SELECT ({key}) AS k FROM ({sql}) AS _", key_place or place)
        self._run(
            f"CREATE TABLE _candidates AS SELECT {fields}, CAST(({key}) AS VARCHAR) AS _key "
            f"FROM ({sql}) AS _",
            place,
        )
        total, keyed, distinct = self._con.execute(
            "SELECT count(*), count(_key), count(DISTINCT _key) FROM _candidates"
        ).fetchall()[0]
        dropped = {"no_key": total - keyed, "duplicate_key": keyed - distinct}
        if keyed > distinct:
            self._con.execute(
                "CREATE OR REPLACE TABLE _candidates AS SELECT * FROM _candidates AS c "
                "QUALIFY row_number() OVER (PARTITION BY _key ORDER BY md5(CAST(c AS VARCHAR))) = 1"
            )
        return Candidates(self._con, seed, total, {k: v for k, v in dropped.items() if v})

    def _count(self, table: str) -> int:
        return int(self._con.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])

    def _run(self, sql: str, place: Location) -> duckdb.DuckDBPyConnection:
        try:
            return self._con.execute(sql)
        except duckdb.Error as error:
            raise sql_error(error, place) from error


class Candidates:
    """Rows in selection order: by MD5 of seed and key, whatever order the files had.

    Attributes:
        total: records the SELECT yields.
        dropped: reason -> number of rows that are no candidates (no key, duplicate key).
    """

    def __init__(
        self, con: duckdb.DuckDBPyConnection, seed: int, total: int, dropped: dict[str, int]
    ) -> None:
        self._con = con
        self._seed = seed
        self.total = total
        self.dropped = dropped
        self.count = total - sum(dropped.values())
        self._sorted = 0

    def block(self, start: int, rows: int) -> list[dict[str, Any]]:
        """Rows [start, start + rows) of the selection order, as dicts; `_key` is upstream's key."""
        stop = min(start + rows, self.count)
        if start >= stop:
            return []
        self._sort_to(stop)
        sql = f"SELECT * EXCLUDE (_order, _rank) FROM _sorted WHERE _rank >= {start} AND _rank < {stop}"
        return list(self._con.sql(f"{sql} ORDER BY _rank").to_arrow_table().to_pylist())

    def others(self, column: str, differ_in: str, rows: int) -> list[tuple[Any, Any]]:
        """A pool of (value, group) pairs from which other records' values are drawn: the first
        `rows` records of a selection order of their own."""
        order = order_sql(self._seed, "'others', chr(31), _key")
        return list(
            self._con.execute(
                f'SELECT "{column}", "{differ_in}" FROM _candidates WHERE _key IS NOT NULL '
                f'AND "{column}" IS NOT NULL ORDER BY {order}, _key LIMIT {rows}'
            ).fetchall()
        )

    def _sort_to(self, stop: int) -> None:
        """Sort as many rows as are needed, with room for drops: a full sort of millions of wide rows
        costs ten times the top few thousand."""
        if stop <= self._sorted:
            return
        wanted = min(self.count, max(20_000, 4 * stop))
        self._con.execute(
            "CREATE OR REPLACE TABLE _sorted AS SELECT *, row_number() OVER () - 1 AS _rank FROM ("
            f"SELECT *, {order_sql(self._seed, '_key')} AS _order FROM _candidates "
            f"WHERE _key IS NOT NULL ORDER BY _order, _key LIMIT {wanted})"
        )
        self._sorted = wanted
