"""SQL of specs, looked at before it runs: types of columns, one SELECT, which tables, no clocks and dice."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import duckdb
import pyarrow as pa

from vision_flan.errors import Location, SpecError

_COLUMN_TYPE = re.compile(r"[A-Za-z0-9_ (),\[\]\"]+\Z")
_LINE = re.compile(r"^LINE (\d+):", re.MULTILINE)

TABLE_FUNCTIONS = frozenset({"unnest", "range", "generate_series"})

#: Aggregates whose result depends on the order of rows unless they say ORDER BY.
ORDERED_AGGREGATES = frozenset(
    {"list", "array_agg", "string_agg", "group_concat", "listagg", "first", "last", "any_value", "arbitrary"}
)


@cache
def _parser() -> duckdb.DuckDBPyConnection:
    """A locked database without tables; opening one takes 50 ms, and a catalog has hundreds of SELECTs."""
    con = duckdb.connect(":memory:", config={"autoload_known_extensions": "false"})
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")
    return con


def arrow_type(sql_type: str, place: Location) -> pa.DataType:
    """The Arrow type of a declared column's SQL type, such as `STRUCT(name VARCHAR, box DOUBLE[])[]`.

    Raises:
        SpecError: DuckDB knows no such type.
    """
    if not _COLUMN_TYPE.match(sql_type):
        raise SpecError(f"{sql_type!r} is not a SQL type", where=place)
    try:
        probe = _parser().sql(f"SELECT CAST(NULL AS {sql_type}) AS c")
        return probe.to_arrow_table().schema.field("c").type
    except duckdb.Error as error:
        raise SpecError(
            f"{sql_type!r} is not a SQL type: {str(error).splitlines()[0]}",
            where=place,
            hint="for example VARCHAR, BIGINT, DOUBLE[], STRUCT(name VARCHAR, n BIGINT)[]",
        ) from error


def sql_error(error: duckdb.Error, place: Location) -> SpecError:
    """DuckDB's message at the line of the spec it speaks of; `place` is that of the SQL's first line."""
    text = str(error)
    line = _LINE.search(text)
    if line and place.line and int(line.group(1)) > 1:
        place = Location(place.file, place.line + int(line.group(1)) - 1)
    return SpecError("SQL: " + text.split("\n\nLINE")[0].strip(), where=place)


def check_select(sql: str, place: Location) -> list[str]:
    """Names of the tables a SELECT reads.

    Raises:
        SpecError: not exactly one SELECT, or a function whose result changes from run to run.
    """
    try:
        statements = _parser().extract_statements(sql)
    except duckdb.Error as error:
        raise sql_error(error, place) from error
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise SpecError("`sql` is one SELECT and nothing else", where=place)
    tree = _tree(sql, place)
    functions = {str(node["function_name"]).lower() for node in _nodes(tree) if node.get("function_name")}
    volatile = _volatile_functions() & functions | _clock_words(tree)
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
    tree = _tree(sql, Location("sql"))
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


def _tree(sql: str, place: Location) -> Any:
    tree = json.loads(_parser().execute("SELECT json_serialize_sql(?)", [sql]).fetchall()[0][0])
    if tree.get("error"):
        raise SpecError(f"SQL: {tree.get('error_message')}", where=place)
    return tree


@cache
def _volatile_functions() -> frozenset[str]:
    rows = (
        _parser()
        .execute(
            "SELECT DISTINCT function_name FROM duckdb_functions() "
            "WHERE stability IN ('VOLATILE', 'CONSISTENT_WITHIN_QUERY')"
        )
        .fetchall()
    )
    return frozenset(str(row[0]) for row in rows)


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from _nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _nodes(value)
