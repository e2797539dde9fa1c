"""Parses SQL into a tree, with a locked engine without tables, bounded in length and depth.

A tree is the output of `json_serialize_sql`: dicts and lists. An expression has a `class`, a query, a table
reference or a modifier has a `type` alone.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from typing import Any

import duckdb

from vision_flan.errors import Location, MachineError, SpecError, VflanError
from vision_flan.records.memory import memory_limit
from vision_flan.report import human_bytes

#: Characters of one SELECT; the longest of the shipped specs has 1,700.
MAX_LENGTH = 20_000
#: Levels of the tree, up to four per subquery; the deepest of the shipped specs has 45.
MAX_DEPTH = 300

_LINE = re.compile(r"^LINE (\d+):", re.MULTILINE)

Node = Mapping[str, Any]


@cache
def parser() -> duckdb.DuckDBPyConnection:
    """A locked database without tables; opening one takes 50 ms, and a catalog has hundreds of SELECTs."""
    con = duckdb.connect(":memory:", config={"autoload_known_extensions": "false"})
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")
    return con


def line_of(place: Location, line: int) -> Location:
    """Location of a line, from 1, of a text that starts at `place`."""
    return Location(place.file, place.line + line - 1) if place.line and line > 1 else place


def sql_error(error: duckdb.Error, place: Location) -> VflanError:
    """DuckDB's message at the line of the spec it refers to; `place` is that of the SQL's first line."""
    too_large = isinstance(error, duckdb.IOException) and os.strerror(errno.EFBIG) in str(error)
    if isinstance(error, duckdb.OutOfMemoryException) or too_large:  # of the limits that a command has
        return SpecError(
            f"the SQL takes more memory or disk than it may: {str(error).splitlines()[0]}",
            where=place,
            hint=f"{_room()}; VFLAN_LIMIT_SPILL is what it may take on the disk. A SELECT that builds very "
            "long lists or texts, or a cross join, has to yield less",
        )
    if isinstance(error, duckdb.IOException):
        return machine_error(error)
    text = str(error)
    line = _LINE.search(text)
    if line:
        place = line_of(place, int(line.group(1)))
    return SpecError("SQL: " + text.split("\n\nLINE")[0].strip(), where=place)


def machine_error(error: duckdb.Error) -> MachineError:
    """The error for DuckDB running out of memory or disk, whatever SQL it was running."""
    return MachineError(
        f"the records take more memory or disk than there is: {str(error).splitlines()[0]}",
        hint=f"{_room()}. Free space where tables spill: beside the output for a compile, below TMPDIR "
        "for other commands",
    )


def _room() -> str:
    return f"SQL has {human_bytes(memory_limit())} of memory; give more with --memory, SQL has a quarter"


@lru_cache(maxsize=1024)
def parse(sql: str, place: Location) -> Node:
    """The tree of one SELECT.

    Raises:
        SpecError: not SQL, not exactly one SELECT, or longer or deeper than allowed.
    """
    if len(sql) > MAX_LENGTH:
        raise SpecError(
            f"the SQL has {len(sql):,} characters; the limit is {MAX_LENGTH:,}",
            where=place,
            hint="put a long list of values in a label table",
        )
    try:
        statements = parser().extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise SpecError("`sql` is one SELECT and nothing else", where=place)
        answer = parser().execute("SELECT json_serialize_sql(?)", [sql]).fetchall()[0][0]
        tree = json.loads(answer)
    except duckdb.Error as error:
        if "depth" in str(error):
            raise _too_deep(place) from error
        raise sql_error(error, place) from error
    except RecursionError:
        raise _too_deep(place) from None
    if tree.get("error"):
        raise SpecError(f"SQL: {tree.get('error_message')}", where=place)
    if _depth(tree) > MAX_DEPTH:
        raise _too_deep(place)
    statement: Node = tree["statements"][0]["node"]
    return statement


def _too_deep(place: Location) -> SpecError:
    return SpecError(
        "the SQL is nested too deeply", where=place, hint="name the steps with WITH, or write a list with IN"
    )


def _depth(tree: Any) -> int:
    deepest, stack = 0, [(tree, 1)]
    while stack:
        node, depth = stack.pop()
        deepest = max(deepest, depth)
        if isinstance(node, dict | list):
            stack.extend((value, depth + 1) for value in (node.values() if isinstance(node, dict) else node))
    return deepest


def walk(tree: Node) -> Iterator[tuple[Node, frozenset[str]]]:
    """Every dict of a tree, with the names of common tables (WITH) in scope, in lower case.

    A common table is in scope for those after it and for the query it belongs to, but not for itself.
    """
    stack: list[tuple[Any, frozenset[str]]] = [(tree, frozenset())]
    while stack:
        node, seen = stack.pop()
        if isinstance(node, list):
            stack.extend((value, seen) for value in reversed(node))
        elif isinstance(node, dict):
            yield node, seen
            inside = seen
            for entry in (node.get("cte_map") or {}).get("map") or ():
                stack.append((entry["value"], inside))
                inside |= {str(entry["key"]).lower()}
            stack.extend((value, inside) for name, value in node.items() if name != "cte_map")


def location(node: Node) -> int:
    """Bytes of the SQL before a node; 0 if the parser does not say."""
    found = node.get("query_location")
    return found if isinstance(found, int) and 0 <= found < 2**31 else 0


def place_of(sql: str, at: int, place: Location) -> Location:
    """Location of a byte of the SQL that starts at `place`."""
    return line_of(place, sql.encode("utf-8", "replace")[:at].count(b"\n") + 1)
