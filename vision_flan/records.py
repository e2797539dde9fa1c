"""Rows: the tables of a dataset, reshaped by the task's SQL in a locked DuckDB, in selection order.

The SQL of a spec is untrusted: external access is off, the configuration is locked, one SELECT is all that
runs. Tables stream in from the readers and may spill to the work folder; rows stream out in blocks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import pyarrow as pa

from vision_flan.errors import Place, SpecError
from vision_flan.keyed import order_sql

#: Memory DuckDB may hold before it spills; the readers' and writers' memory comes on top.
MEMORY_LIMIT = "1GB"

_COLUMN_TYPE = re.compile(r"[A-Za-z0-9_ (),\[\]\"]+\Z")
_LINE = re.compile(r"^LINE (\d+):", re.MULTILINE)

TABLE_FUNCTIONS = frozenset({"unnest", "range", "generate_series"})

#: Aggregates whose result depends on the order of rows unless they say ORDER BY.
ORDERED_AGGREGATES = frozenset(
    {"list", "array_agg", "string_agg", "group_concat", "listagg", "first", "last", "any_value", "arbitrary"}
)


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

    def describe(self, sql: str, place: Place) -> dict[str, str]:
        """Columns and SQL types of a SELECT, without running it."""
        rows = self._run(f"DESCRIBE ({sql})", place).fetchall()
        return {str(row[0]): str(row[1]) for row in rows}

    def prepare(self, sql: str, key: str, seed: int, place: Place) -> Candidates:
        """Run a task's SELECT and put its rows in selection order.

        Args:
            sql: one SELECT (`check_select` has passed it).
            key: SQL expression of upstream's key over the SELECT's columns.
            seed: seed of the order.
            place: where the SQL stands, for errors.
        """
        # rows of some readers have a `_key` of their own, which `key` may use and ours takes the place of
        fields = "* EXCLUDE (_key)" if "_key" in self.describe(sql, place) else "*"
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

    def _run(self, sql: str, place: Place) -> duckdb.DuckDBPyConnection:
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


def arrow_type(sql_type: str, place: Place) -> pa.DataType:
    """The Arrow type of a declared column's SQL type, such as `STRUCT(name VARCHAR, box DOUBLE[])[]`.

    Raises:
        SpecError: DuckDB knows no such type.
    """
    if not _COLUMN_TYPE.match(sql_type):
        raise SpecError(f"{sql_type!r} is not a SQL type", where=place)
    try:
        with duckdb.connect(":memory:", config={"autoload_known_extensions": "false"}) as con:
            con.execute("SET enable_external_access = false")
            return con.sql(f"SELECT CAST(NULL AS {sql_type}) AS c").to_arrow_table().schema.field("c").type
    except duckdb.Error as error:
        raise SpecError(
            f"{sql_type!r} is not a SQL type: {str(error).splitlines()[0]}",
            where=place,
            hint="for example VARCHAR, BIGINT, DOUBLE[], STRUCT(name VARCHAR, n BIGINT)[]",
        ) from error


def sql_error(error: duckdb.Error, place: Place) -> SpecError:
    """DuckDB's message at the line of the spec it speaks of."""
    text = str(error)
    line = _LINE.search(text)
    if line and place.line:
        place = Place(place.file, place.line + int(line.group(1)))
    return SpecError("SQL: " + text.split("\n\nLINE")[0].strip(), where=place)


def check_select(sql: str, place: Place) -> list[str]:
    """Names of the tables a SELECT reads.

    Raises:
        SpecError: not exactly one SELECT, or a function whose result changes from run to run.
    """
    with duckdb.connect(":memory:", config={"autoload_known_extensions": "false"}) as con:
        con.execute("SET enable_external_access = false")
        con.execute("SET lock_configuration = true")
        try:
            statements = con.extract_statements(sql)
        except duckdb.Error as error:
            raise sql_error(error, place) from error
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise SpecError("`sql` is one SELECT and nothing else", where=place)
        tree = _tree(con, sql, place)
        functions = {str(node["function_name"]).lower() for node in _nodes(tree) if node.get("function_name")}
        volatile = _volatile_functions(con) & functions
        volatile |= _clock_words(tree)
        readers = {name for name in _table_functions(tree) if name not in TABLE_FUNCTIONS}
    if readers:
        raise SpecError(
            f"{sorted(readers)[0]}() is not for specs: SQL reads the dataset's tables only",
            where=place,
            hint="declare the file under `tables:` in dataset.yaml",
        )
    if volatile:
        raise SpecError(
            f"{sorted(volatile)[0]}() gives another result on every run",
            where=place,
            hint="draw with `derive:`, which depends on the seed and the key alone",
        )
    common = {str(entry["key"]) for node in _nodes(tree) for entry in _entries(node)}
    tables = {str(node["table_name"]) for node in _nodes(tree) if node.get("type") == "BASE_TABLE"}
    return sorted(tables - common)


def _entries(node: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Common table expressions (WITH) of a node of the parse tree."""
    return list((node.get("cte_map") or {}).get("map") or [])


def unordered_aggregates(sql: str) -> list[str]:
    """Names of aggregates in a SELECT whose result depends on the order of rows, with no ORDER BY."""
    with duckdb.connect(":memory:") as con:
        tree = _tree(con, sql, Place("sql"))
    return sorted(
        {
            node["function_name"]
            for node in _nodes(tree)
            if node.get("function_name") in ORDERED_AGGREGATES and not _orders(node)
        }
    )


def _orders(node: Mapping[str, Any]) -> bool:
    order = node.get("order_bys") or {}
    return bool(order.get("orders")) or bool(node.get("orders")) or node.get("class") == "WINDOW"


def _clock_words(tree: Any) -> set[str]:
    """`current_date` and its like parse as column names."""
    words = {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}
    columns = (node.get("column_names") or [""] for node in _nodes(tree) if node.get("class") == "COLUMN_REF")
    return {names[0].lower() for names in columns if len(names) == 1} & words


def _table_functions(tree: Any) -> set[str]:
    nodes = (node for node in _nodes(tree) if node.get("type") == "TABLE_FUNCTION")
    return {str((node.get("function") or {}).get("function_name", "?")).lower() for node in nodes}


def _tree(con: duckdb.DuckDBPyConnection, sql: str, place: Place) -> Any:
    tree = json.loads(con.execute("SELECT json_serialize_sql(?)", [sql]).fetchall()[0][0])
    if tree.get("error"):
        raise SpecError(f"SQL: {tree.get('error_message')}", where=place)
    return tree


def _volatile_functions(con: duckdb.DuckDBPyConnection) -> set[str]:
    rows = con.execute(
        "SELECT DISTINCT function_name FROM duckdb_functions() "
        "WHERE stability IN ('VOLATILE', 'CONSISTENT_WITHIN_QUERY')"
    ).fetchall()
    return {str(row[0]) for row in rows}


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from _nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _nodes(value)
