"""What SQL a spec may hold: our own lists, the same on every engine, machine and command."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_flan.errors import Location, SpecError
from vision_flan.records.functions import FUNCTION_NAMES, FUNCTIONS, TYPE_NAMES, TYPES
from vision_flan.records.parse import parser
from vision_flan.records.sql import (
    arrow_type,
    check_select,
)
from vision_flan.records.store import RecordStore
from vision_flan.records.tables import task_sources
from vision_flan.spec.catalog import Catalog

HERE = Location("task.yaml", 10)
DOCS = Path(__file__).parents[2] / "docs" / "spec.md"


def refusal(sql: str) -> SpecError:
    with pytest.raises(SpecError) as caught:
        check_select(sql, HERE)
    return caught.value


def test_the_sql_and_the_key_of_every_spec_are_allowed() -> None:
    catalog = Catalog.default()
    for task in catalog.task_files:
        task_sources(catalog.task(task), catalog)


@pytest.mark.parametrize(
    "expression",
    [
        "a + b - c * d / e // f % 2 ** 3",
        "-a",
        "a = b AND c <> d OR NOT (e < f)",
        "a IS DISTINCT FROM b",
        "a BETWEEN 1 AND 2",
        "a IN (1, 2)",
        "a NOT IN (1, 2)",
        "a IN (SELECT k FROM u)",
        "EXISTS (SELECT 1)",
        "a IS NULL",
        "a IS NOT TRUE",
        "coalesce(a, b)",
        "nullif(a, b)",
        "if(a, b, c)",
        "CASE WHEN a THEN b ELSE c END",
        "a::BIGINT",
        "TRY_CAST(a AS DECIMAL(9, 2))",
        "a::STRUCT(x INT, y DATE[])[]",
        "a || b",
        "a LIKE 'x%'",
        "a NOT LIKE 'x$%' ESCAPE '$'",
        "a ILIKE 'x'",
        "a SIMILAR TO 'x'",
        "a GLOB 'x*'",
        "a ~ 'x'",
        "position('x' IN a)",
        "substring(a FROM 1 FOR 2)",
        "trim(BOTH ' ' FROM a)",
        "format('{}', a)",
        "[a, b][1]",
        "a[1:3]",
        "a[-1]",
        "list_transform(a, lambda x, i: x || i)",
        "[x + 1 FOR x IN a IF x > 2]",
        "list_filter(a, x -> x <> '')",
        "list_reduce(a, lambda x, y: x + y)",
        "{'a': 1, b: 2}",
        "a.b.c",
        "(a).b",
        "MAP {'a': 1}",
        "map_keys(a)",
        "unnest(a)",
        "range(3)",
        "a->>'$.x'",
        "json_extract_string(a, '$.x')",
        "year(a)",
        "extract(year FROM a)",
        "date_trunc('month', a)",
        "strftime(a, '%Y')",
        "DATE '2020-01-01'",
        "a + INTERVAL 3 DAY",
        "age(a, b)",
        "sum(a ORDER BY a)",
        "count(DISTINCT a)",
        "max(a) FILTER (WHERE b)",
        "list(a ORDER BY b DESC NULLS LAST)",
        "arg_min(a, b)",
        "row_number() OVER (PARTITION BY a ORDER BY b)",
        "lag(a, 1) OVER (ORDER BY b)",
        "sum(a) OVER (ORDER BY b ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)",
        "COLUMNS('a.*')",
        "t.user",
        "md5(a)",
    ],
)
def test_what_a_contributor_expects_is_allowed(expression: str) -> None:
    assert "t" in check_select(f"SELECT {expression} AS c FROM t", HERE)


@pytest.mark.parametrize(
    "sql",
    [
        "FROM t",
        "SELECT DISTINCT a FROM t ORDER BY ALL LIMIT 3 OFFSET 1",
        "SELECT a FROM t GROUP BY ALL",
        "SELECT * EXCLUDE (a) REPLACE (b + 1 AS b) FROM t",
        "SELECT DISTINCT ON (a) b FROM t ORDER BY a, b",
        "SELECT * FROM t AS x (a, b) LEFT JOIN t AS y USING (a)",
        "SELECT * FROM t NATURAL JOIN t AS u",
        "SELECT * FROM t SEMI JOIN t AS u USING (a)",
        "SELECT * FROM t, LATERAL (SELECT t.a)",
        "SELECT * FROM t, unnest([1, 2]) WITH ORDINALITY AS u (x, n), range(3), generate_series(1, 3)",
        "SELECT a FROM t UNION ALL BY NAME SELECT a FROM t EXCEPT SELECT 3",
        "SELECT * FROM t, (VALUES (1)) AS v (a)",
        "WITH w AS MATERIALIZED (FROM t) SELECT a, count(*) FROM w GROUP BY ROLLUP (a) HAVING a > 1",
        "SELECT a FROM t WINDOW w AS (ORDER BY b) QUALIFY rank() OVER w = 1",
    ],
)
def test_the_clauses_a_contributor_expects_are_allowed(sql: str) -> None:
    assert check_select(sql, HERE) == ["t"]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("random()", "random() is not among the functions of specs"),
        ("uuid()", "uuid() is not"),
        ("now()", "now() is not"),
        ("today()", "today() is not"),
        ("current_date", "current_date is the clock"),
        ("CURRENT_TIMESTAMP", "current_timestamp is the clock"),
        ("localtime", "localtime is the clock"),
        ("current_date()", "current_date() is not"),
        ("current_user", "current_user is the clock or the session"),
        ("user", "user is the clock or the"),
        ("current_schema", "current_schema is the"),
        ("age(a)", "age() of one value counts from today"),
        ("nextval('s')", "nextval() is not"),
        ("getvariable('x')", "getvariable() is not"),
        ("getenv('HOME')", "getenv() is not"),
        ("current_setting('threads')", "current_setting() is not"),
        ("version()", "version() is not"),
        ("txid_current()", "txid_current() is not"),
        ("hash(a)", "hash() is not"),
        ("typeof(a)", "typeof() is not"),
        ("list_aggregate(a, 'first')", "list_aggregate() is not"),
        ("approx_count_distinct(a)", "approx_count_distinct() is not"),
        ("reservoir_quantile(a, 1)", "reservoir_"),
        ("to_timestamp(a)", "to_timestamp() is not"),
        ("a AT TIME ZONE 'Asia/Tokyo'", "timezone() is not"),
        ("main.random()", "random() is not"),
        ("main.lower(a)", "main.lower() is not"),
        ("a.lower()", "a.lower()"),
        ("a::TIMESTAMPTZ", "TIMESTAMPTZ is not among the types"),
        ("a::TIMESTAMP WITH TIME ZONE", "TIME ZONE is not"),
        ("TRY_CAST(a AS TIMETZ)", "TIMETZ is not"),
        ("a::STRUCT(x TIMESTAMPTZ[])[]", "TIMESTAMPTZ is not"),
        ("a::MAP(VARCHAR, TIMESTAMPTZ)", "TIMESTAMPTZ is not"),
        ("a::REGTYPE", "REGTYPE is not"),
        ("a COLLATE NOCASE", "COLLATE is not for specs"),
        ("#1", "columns have names"),
        ("?", "no parameters"),
        ("$x", "no parameters"),
        ("rowid", "rowid is not available"),
        ("t.rowid", "rowid is not available"),
        ("(SELECT list_filter([1], lambda x: random() > x))", "random() is not"),
        ("CASE WHEN a THEN 1 ELSE [random()][1] END", "random() is not"),
        ("sum(a) OVER (ORDER BY random())", "random() is not"),
        ("count(*) FILTER (WHERE random() > 0)", "random()"),
        ("a BETWEEN 1 AND random()", "random()"),
        ("* REPLACE (random() AS a)", "random()"),
    ],
)
def test_an_expression_beyond_the_lists_is_refused_by_name(expression: str, message: str) -> None:
    error = refusal(f"SELECT {expression} FROM t")
    assert message in error.what
    assert error.hint and error.where == HERE


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT * FROM pg_catalog.pg_settings", "pg_catalog.pg_settings is not a table of the dataset"),
        ("SELECT * FROM information_schema.tables", "information_schema.tables is not a table"),
        ("SELECT * FROM main.t", "main.t is not a table"),
        ("SELECT * FROM memory.main.t", "main.t is not a table"),
        ("SELECT * FROM duckdb_settings()", "duckdb_settings() is not among"),
        ("SELECT * FROM read_text('/etc/passwd')", "read_text() is not among"),
        ("SELECT * FROM query('SELECT 1')", "query() is not"),
        ("SELECT * FROM query_table('t')", "query_table() is"),
        ("SELECT * FROM glob('*')", "glob() is not"),
        ("SELECT * FROM pragma_table_info('t')", "pragma_table_info()"),
        ("SELECT * FROM (SHOW ALL TABLES)", "SHOW, DESCRIBE and SUMMARIZE"),
        ("DESCRIBE t", "SHOW, DESCRIBE"),
        ("SELECT * FROM (DESCRIBE t)", "SHOW, DESCRIBE"),
        ("SELECT * FROM (SUMMARIZE t)", "SHOW, DESCRIBE"),
        ("SELECT * FROM t USING SAMPLE 3", "a sample of rows"),
        ("SELECT * FROM t TABLESAMPLE 10%", "a sample"),
        ("SELECT * FROM t AT (VERSION => 3)", "AT (VERSION"),
        ("SELECT * FROM t POSITIONAL JOIN t AS u", "POSITIONAL"),
        ("SELECT * FROM t ASOF JOIN t AS u ON t.a >= u.a", "ASOF INNER JOIN is not for specs"),
        (
            "WITH RECURSIVE w AS (SELECT 1 UNION ALL SELECT 1 FROM w) SELECT * FROM w",
            "WITH RECURSIVE may never end",
        ),
        ("SELECT * FROM t PIVOT (max(a) FOR b IN ('x'))", "PIVOT"),
        ("UNPIVOT t ON a, b", "PIVOT"),
        ("SELECT * FROM t ORDER BY random()", "random()"),
        ("SELECT * FROM t LIMIT random()", "random()"),
        ("SELECT a FROM t GROUP BY random()", "random()"),
        ("SELECT * FROM t JOIN t AS u ON random() > 1", "random()"),
        ("SELECT a FROM t QUALIFY random() > 1", "random()"),
        ("SELECT DISTINCT ON (random()) a FROM t", "random()"),
        ("VALUES (random())", "random()"),
        ("SELECT 1 UNION SELECT random()", "random()"),
        ("WITH w AS (SELECT random()) SELECT 1", "random()"),
        ("SELECT * FROM range(CAST(random() AS INT))", "random()"),
        ("CREATE MACRO f(x) AS x", "one SELECT"),
        ("SELECT 1; SELECT 2", "one SELECT"),
        ("PRAGMA version", "one SELECT"),
    ],
)
def test_a_clause_beyond_the_lists_is_refused(sql: str, message: str) -> None:
    assert message in refusal(sql).what


def test_a_refused_function_names_its_line_and_the_nearest_that_is_allowed() -> None:
    error = refusal("SELECT a,\n  -- é\n  regexp_extrac(b, 'x')\nFROM t")
    assert error.where == Location("task.yaml", 12)
    assert error.hint.startswith("did you mean regexp_extract()")


def test_a_common_table_hides_a_table_only_where_it_is_seen() -> None:
    inner = "SELECT * FROM (WITH sqlite_master AS (SELECT 1) FROM sqlite_master), sqlite_master"
    assert check_select(inner, HERE) == ["sqlite_master"]
    assert check_select("WITH w AS (FROM w) FROM W", HERE) == ["w"]  # itself is not seen in its own query
    assert check_select("WITH a AS (FROM b), b AS (FROM a) FROM a, b", HERE) == ["b"]
    assert check_select("WITH a AS (SELECT 1), b AS (FROM a) SELECT (SELECT 1 FROM b) FROM a", HERE) == []


@pytest.mark.parametrize(
    "table", ["sqlite_master", "pg_settings", "duckdb_tables", "'/etc/passwd'", '"a.csv"']
)
def test_the_store_reads_no_table_that_was_not_loaded(table: str) -> None:
    with RecordStore() as store, pytest.raises(SpecError, match="there is no table"):
        store.prepare(f"SELECT * FROM {table}", "1", 0, HERE)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM (" * 400 + "SELECT 1" + ")" * 400,
        "SELECT " + "[" * 400 + "1" + "]" * 400,
        "SELECT 1" + " + 1" * 400,
        "SELECT " + "- " * 4000 + "1",
        "SELECT " + "(" * 4000 + "1" + ")" * 4000,
    ],
    ids=["subqueries", "lists", "sums", "signs", "brackets"],
)
def test_sql_that_is_nested_too_deeply_is_an_error(sql: str) -> None:
    assert refusal(sql).what == "the SQL is nested too deeply"


def test_sql_that_is_too_long_is_an_error() -> None:
    error = refusal("SELECT '" + "x" * 20_000 + "'")
    assert "the limit is 20,000" in error.what and "label table" in error.hint


@settings(max_examples=200, deadline=None)
@given(st.text("abcdefghijklmnopqrstuvwxyz_0123456789", min_size=1, max_size=20))
def test_a_function_is_allowed_if_and_only_if_it_is_listed(name: str) -> None:
    try:
        check_select(f'SELECT "{name}"(a, b) FROM t', HERE)
    except SpecError as error:
        assert name not in FUNCTION_NAMES and f"{name}() is not among" in error.what
    else:
        assert name in FUNCTION_NAMES


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(name for name in FUNCTION_NAMES if name.isidentifier())))
def test_every_listed_function_is_allowed(name: str) -> None:
    assert check_select(f'SELECT "{name}"(a, b) FROM t', HERE) == ["t"]


def test_no_listed_function_is_one_that_the_engine_calls_volatile_for_every_argument() -> None:
    rows = parser().execute(
        "SELECT DISTINCT function_name FROM duckdb_functions() GROUP BY function_name "
        "HAVING bool_and(stability IN ('VOLATILE', 'CONSISTENT_WITHIN_QUERY'))"
    )
    assert not FUNCTION_NAMES & {name for (name,) in rows.fetchall()}


def test_a_column_has_a_type_of_the_list() -> None:
    with pytest.raises(SpecError) as caught:
        arrow_type("STRUCT(x TIMESTAMPTZ)[]", HERE)
    assert "TIMESTAMPTZ is not among the types of specs" in caught.value.what


def listed(lists: dict[str, str]) -> str:
    """The lists as docs/spec.md has them."""
    return "".join(
        f"- {topic}: " + ", ".join(f"`{name}`" for name in names.split()) + "\n"
        for topic, names in lists.items()
    )


def test_the_lists_are_in_the_docs() -> None:
    text = DOCS.read_text("utf-8")
    for heading, lists in (("#### Functions\n\n", FUNCTIONS), ("#### Types\n\n", TYPES)):
        before, after = text.split(heading)
        old, rest = after.split("\n\n", 1)
        if os.environ.get("VFLAN_GOLDEN"):
            text = before + heading + listed(lists) + "\n" + rest
            DOCS.write_text(text, "utf-8")
        else:
            assert old + "\n" == listed(lists), "run: VFLAN_GOLDEN=1 pytest tests/records/test_sql.py"
    assert "TIMESTAMP" in TYPE_NAMES
