"""Checks the SQL of specs before it runs: one SELECT from known tables, using what docs/spec.md lists.

The check reads the parse tree and fixed lists, never the engine's catalog: what is allowed is the same with
every version of the engine. Whatever is not listed is refused, including unforeseen kinds of nodes.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from vision_flan.errors import Location, SpecError
from vision_flan.records.functions import (
    FUNCTION_NAMES,
    INSTEAD,
    ORDERED_AGGREGATES,
    ORDERED_WINDOWS,
    SESSION_WORDS,
    TABLE_FUNCTIONS,
    TYPE_NAMES,
    names,
)
from vision_flan.records.parse import Node, location, parse, parser, place_of, walk

_COLUMN_TYPE = re.compile(r"[A-Za-z0-9_ (),\[\]\"]+\Z")

_EXPRESSIONS = names(
    """BETWEEN CASE CAST COLUMN_REF COMPARISON CONJUNCTION CONSTANT FUNCTION LAMBDA OPERATOR STAR SUBQUERY
    TYPE WINDOW"""
)
_OPERATORS = names(
    """ARRAY_EXTRACT ARRAY_SLICE ARRAY_CONSTRUCTOR STRUCT_EXTRACT COMPARE_IN COMPARE_NOT_IN GROUPING_FUNCTION
    OPERATOR_COALESCE OPERATOR_IS_NULL OPERATOR_IS_NOT_NULL OPERATOR_NOT OPERATOR_NULLIF OPERATOR_TRY
    OPERATOR_UNPACK"""
)
#: Queries, table references, modifiers and directions of ORDER BY.
_CLAUSES = names(
    """SELECT_NODE SET_OPERATION_NODE BASE_TABLE JOIN SUBQUERY TABLE_FUNCTION EXPRESSION_LIST EMPTY
    ORDER_MODIFIER LIMIT_MODIFIER DISTINCT_MODIFIER ORDER_DEFAULT ASCENDING DESCENDING"""
)
_JOINS = frozenset({"REGULAR", "CROSS", "NATURAL", "DEPENDENT"})
_JOIN_TYPES = frozenset({"INNER", "LEFT", "RIGHT", "OUTER", "SEMI", "ANTI"})

#: Kinds that contributors may try -> what is wrong with them, and what to write instead.
_REFUSED = {
    "RECURSIVE_CTE_NODE": ("WITH RECURSIVE may never end", "range() and unnest() make rows"),
    "SHOW_REF": ("SHOW, DESCRIBE and SUMMARIZE are not for specs", "SELECT from the dataset's tables"),
    "PIVOT": ("PIVOT and UNPIVOT are not for specs", "write max(...) FILTER (WHERE ...), or unnest() a list"),
    "COLLATE": ("COLLATE is not for specs", "compare lower(...), or strip_accents(...)"),
    "VALUE_PARAMETER": ("a spec has no parameters", "write the value"),
    "POSITIONAL_REFERENCE": ("columns have names, not positions", "name the column"),
    "VALUE_DEFAULT": ("DEFAULT is not for specs", "write the value"),
}


@dataclass(frozen=True)
class _Problem:
    at: int
    what: str
    hint: str


def check_select(sql: str, place: Location) -> list[str]:
    """Names of the tables a SELECT reads.

    Raises:
        SpecError: not exactly one SELECT, or it uses something that is not part of the SQL of specs.
    """
    tree = parse(sql, place)
    problem = min(_problems(tree), key=lambda found: found.at, default=None)
    if problem:
        raise SpecError(problem.what, where=place_of(sql, problem.at, place), hint=problem.hint)
    return sorted({str(node["table_name"]) for node, common in walk(tree) if _is_table(node, common)})


def check_tables(sql: str, place: Location, known: Collection[str]) -> None:
    """Like `check_select`, for a SELECT that may read only these tables.

    Raises:
        SpecError: like `check_select`, or another table is read.
    """
    unknown = sorted(set(check_select(sql, place)) - set(known))
    if unknown:
        shown = ", ".join(sorted(known)) or "none"
        raise SpecError(f"there is no table {unknown[0]!r}", where=place, hint=f"tables are: {shown}")


def check_key(key: str, place: Location) -> None:
    """A task's `key`, which is one expression over the columns of its SELECT.

    Raises:
        SpecError: more than one expression, a subquery, or something that is not part of the SQL of specs.
    """
    sql = key_sql(key)
    try:
        check_select(sql, place)
    except SpecError as error:
        # an extra parenthesis is reported after the key's last line, where the spec's next key is
        last = place.line + key.count("\n")
        where = place if error.where and error.where.line > last else error.where
        raise SpecError(error.what, where=where, hint=error.hint) from error
    tree = parse(sql, place)
    alone = len(tree.get("select_list") or ()) == 1
    plain = tree.get("type") == "SELECT_NODE" and (tree.get("from_table") or {}).get("type") == "EMPTY"
    others = ("where_clause", "group_expressions", "having", "qualify", "modifiers")
    tables = any(node.get("class") in ("SUBQUERY", "STAR") for node, _ in walk(tree))
    if not alone or not plain or tables or any(tree.get(other) for other in others):
        raise SpecError(
            "`key` is one expression over the SELECT's columns",
            where=place,
            hint="compute it as a column in `sql`, and name the column here",
        )


def key_sql(key: str) -> str:
    """A SELECT of a key without its table; a comment may end the key."""
    return f"SELECT ({key}\n) AS k"


def _is_table(node: Node, common: Collection[str]) -> bool:
    return node.get("type") == "BASE_TABLE" and str(node.get("table_name", "")).lower() not in common


def _problems(tree: Node) -> Iterator[_Problem]:
    for node, _ in walk(tree):
        kind = node.get("type")
        if not isinstance(kind, str):
            continue  # part of a node
        found = _expression(node) if "class" in node else _clause(node)
        if found:
            yield _Problem(location(node), *found)


def _expression(node: Node) -> tuple[str, str] | None:
    kind, name = str(node["class"]), str(node["type"])
    if kind not in _EXPRESSIONS or (kind == "OPERATOR" and name not in _OPERATORS):
        return _refused(name)
    if kind in ("FUNCTION", "WINDOW"):
        return _function(node)
    if kind == "TYPE":
        written = str(node.get("type_name"))
        if written.upper() not in TYPE_NAMES or _qualified(node):
            return f"{written} is not among the types of specs", _type_hint(written)
    if kind == "COLUMN_REF":
        return _column([str(part).lower() for part in node.get("column_names") or ()])
    return None


def _function(node: Node) -> tuple[str, str] | None:
    name = str(node.get("function_name")).lower()
    if name in FUNCTION_NAMES and _qualified(node):
        written = f"{node.get('schema') or '...'}.{name}"
        return f"{written}() is not among the functions of specs", f"write {name}(...), the value inside"
    if name not in FUNCTION_NAMES:
        return f"{name}() is not among the functions of specs", _nearest(name)
    if name == "age" and len(node.get("arguments") or node.get("children") or ()) != 2:
        return "age() of one value counts from today", "write age(later, earlier)"
    return None


def _nearest(name: str) -> str:
    near = difflib.get_close_matches(name, sorted(FUNCTION_NAMES), n=3, cutoff=0.7)
    meant = f"did you mean {', '.join(f'{one}()' for one in near)}? " if near else ""
    return INSTEAD.get(name) or f"{meant}docs/spec.md lists them"


def _type_hint(written: str) -> str:
    if "TIME" in written.upper():
        return "DATE, TIME and TIMESTAMP do not depend on a time zone"
    return "for example VARCHAR, BIGINT, DOUBLE[], STRUCT(name VARCHAR, n BIGINT)[]"


def _column(names: list[str]) -> tuple[str, str] | None:
    if len(names) == 1 and names[0] in SESSION_WORDS:
        return (
            f"{names[0]} is the clock or the session, not a column",
            f"for a column of that name, write it with its table: t.{names[0]}",
        )
    if names and names[-1] == "rowid":
        return "rowid is not available in specs", "`_index` is the position of a record in its file"
    return None


def _clause(node: Node) -> tuple[str, str] | None:
    kind = str(node["type"])
    if kind not in _CLAUSES:
        return _refused(kind)
    if node.get("sample"):
        return "a sample of rows differs from run to run", INSTEAD["random"]
    if node.get("at_clause"):
        return "AT (VERSION or TIMESTAMP) is not for specs", "the dataset's tables have one version"
    if kind == "BASE_TABLE" and _qualified(node):
        path = ".".join(str(node.get(part)) for part in ("schema_name", "table_name") if node.get(part))
        return f"{path} is not a table of the dataset", "name a table as in dataset.yaml, without a schema"
    if kind == "TABLE_FUNCTION":
        name = str((node.get("function") or {}).get("function_name")).lower()
        if name not in TABLE_FUNCTIONS:
            hint = (
                INSTEAD.get(name) or "FROM takes the dataset's tables, unnest(), range(), generate_series()"
            )
            return f"{name}() is not among the functions of specs", hint
    if kind == "JOIN" and not (node.get("ref_type") in _JOINS and node.get("join_type") in _JOIN_TYPES):
        joined = f"{node.get('ref_type')} {node.get('join_type')} JOIN".replace("_", " ")
        return f"{joined} is not for specs", "JOIN, LEFT, RIGHT, FULL, SEMI, ANTI or CROSS JOIN"
    return None


def _qualified(node: Node) -> bool:
    """Whether a table, function or type is named with a schema or a database."""
    path = (node.get("qualified_name") or {}).get("path") or ()
    named = (node.get(part) for part in ("schema", "schema_name", "catalog", "catalog_name"))
    return len(path) > 1 or any(named)


def _refused(kind: str) -> tuple[str, str]:
    shown = kind.lower().replace("_", " ")
    return _REFUSED.get(kind) or (f"{shown} is not part of the SQL of specs", "docs/spec.md says what is")


def unordered(sql: str) -> list[str]:
    """Parts of a SELECT that depend on row order but have no ORDER BY: `list()`, `LIMIT`, `DISTINCT ON`."""
    return sorted({name for node, _ in walk(parse(sql, Location("sql"))) for name in _unordered(node)})


def _unordered(node: Node) -> Iterator[str]:
    name, modifiers = node.get("function_name"), node.get("modifiers") or ()
    orders = (node.get("order_bys") or {}).get("orders") or node.get("orders") or node.get("arg_orders")
    ordered = ORDERED_WINDOWS if node.get("class") == "WINDOW" else ORDERED_AGGREGATES
    if name in ordered and not orders:
        yield f"{name}()"
    if not any(modifier.get("type") == "ORDER_MODIFIER" for modifier in modifiers):
        kinds = {str(modifier.get("type")): modifier for modifier in modifiers}
        if "LIMIT_MODIFIER" in kinds:
            yield "LIMIT"
        if kinds.get("DISTINCT_MODIFIER", {}).get("distinct_on_targets"):
            yield "DISTINCT ON"


def negated_columns(sql: str) -> list[tuple[str, int]]:
    """Columns and struct fields directly after NOT, or compared by `= false` or `<> true`, with their lines.

    For a record without a value, each is NULL, neither true nor false.
    """
    found: dict[str, int] = {}
    for node, _ in walk(parse(sql, Location("sql"))):
        name = _negated(node)
        if name:
            found.setdefault(name, place_of(sql, location(node), Location("sql", 1)).line)
    return sorted(found.items())


def _negated(node: Node) -> str:
    if node.get("type") == "OPERATOR_NOT":
        (child,) = node["children"]
        return _bare(child)
    wanted = {"COMPARE_EQUAL": "false", "COMPARE_NOTEQUAL": "true"}.get(str(node.get("type")))
    if wanted and node.get("class") == "COMPARISON":
        for side, other in (("left", "right"), ("right", "left")):
            literal = node[side].get("literal") or {}
            if literal.get("kind") == "BOOLEAN" and str(literal.get("text")).lower() == wanted:
                return _bare(node[other])
    return ""


def _bare(node: Node) -> str:
    if node.get("class") == "COLUMN_REF":
        return str(node["column_names"][-1])
    if node.get("type") == "STRUCT_EXTRACT":
        return str((node["children"][-1].get("literal") or {}).get("text") or "")
    return ""


def arrow_type(sql_type: str, place: Location) -> pa.DataType:
    """The Arrow type of a declared column's SQL type, such as `STRUCT(name VARCHAR, box DOUBLE[])[]`.

    Raises:
        SpecError: it is not among the types of specs.
    """
    if not _COLUMN_TYPE.match(sql_type):
        raise SpecError(f"{sql_type!r} is not a SQL type", where=place)
    sql = f"SELECT CAST(NULL AS {sql_type}) AS c"
    try:
        check_select(sql, place)
        return parser().sql(sql).to_arrow_table().schema.field("c").type
    except SpecError as error:
        raise SpecError(
            f"{sql_type!r} is not a SQL type: {error.what}", where=place, hint=error.hint
        ) from error
    except duckdb.Error as error:
        raise SpecError(
            f"{sql_type!r} is not a SQL type: {str(error).splitlines()[0]}", where=place, hint=_type_hint("")
        ) from error
