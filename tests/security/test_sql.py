"""SQL of a spec reads the dataset's tables, and ends."""

# ruff: noqa: E501 - an attempt is a line

from __future__ import annotations

import textwrap

import pytest

from tests.security.conftest import Victim

ROWS = "SELECT name, color FROM records"

#: What must not happen -> a SELECT that would do it. HOME is the folder with the user's file.
READS = {
    "read a file by its name": "SELECT * FROM 'HOME/id_rsa'",
    "read a file as text": "SELECT content AS name, 'r' AS color FROM read_text('HOME/id_rsa')",
    "read a file as bytes": "SELECT content FROM read_blob('HOME/id_rsa')",
    "read a file as CSV": "SELECT * FROM read_csv('HOME/id_rsa')",
    "read a file as CSV, guessing": "SELECT * FROM read_csv_auto('HOME/id_rsa')",
    "read a file as JSON": "SELECT * FROM read_json('HOME/id_rsa')",
    "read a file as Parquet": "SELECT * FROM parquet_scan('HOME/id_rsa')",
    "read a file in a list": "SELECT * FROM read_csv(['HOME/id_rsa'])",
    "look into a CSV": "SELECT * FROM sniff_csv('HOME/id_rsa')",
    "list a folder": "SELECT file AS name FROM glob('HOME/*')",
    "list the user's environment": "SELECT getenv('HOME') AS name, 'r' AS color",
    "fetch a page": "SELECT * FROM 'https://example.org/x.parquet'",
    "write a file": "COPY (SELECT 1) TO 'HOME/new'",
    "export the database": "EXPORT DATABASE 'HOME/new'",
    "attach a database": "ATTACH 'HOME/new.db' AS x",
    "install an extension": "INSTALL httpfs",
    "load an extension": "LOAD 'HOME/x.duckdb_extension'",
    "change a setting": "SET enable_external_access = true",
    "run two statements": f"{ROWS}; COPY records TO 'HOME/new'",
    "insert rows": "INSERT INTO records VALUES ('a', 'b')",
    "drop a table": "DROP TABLE records",
    "run a pragma": "PRAGMA database_list",
    "call a function as a statement": "CALL pragma_version()",
    "show the settings": "SELECT name, value AS color FROM duckdb_settings()",
    "show the files of the database": "SELECT path AS name FROM pragma_database_list()",
    "show the tables": "SELECT * FROM (SHOW ALL TABLES)",
    "describe a table": "SELECT * FROM (DESCRIBE records)",
    "read the catalog of the schema": "SELECT table_name AS name FROM information_schema.tables",
    "read the catalog of Postgres": "SELECT name, setting AS color FROM pg_catalog.pg_settings",
    "read the catalog of SQLite": "SELECT sql AS name FROM sqlite_master",
    "read the catalog by a column": "SELECT (SELECT max(path) FROM duckdb_databases()) AS name, color FROM records",
    "read variables": "SELECT getvariable('x') AS name, color FROM records",
    "read a setting": "SELECT current_setting('temp_directory') AS name, color FROM records",
    "read the version": "SELECT version() AS name, color FROM records",
    "name the user": "SELECT current_user AS name, color FROM records",
    "name the database": "SELECT current_database() AS name, color FROM records",
    "query by text": "SELECT * FROM query('SELECT * FROM records')",
    "query a table by text": "SELECT * FROM query_table('records')",
    "read Python's variables": "SELECT * FROM batches",
    "read an Arrow table of ours": "SELECT * FROM _incoming",
    "read the candidates": "SELECT * FROM _candidates",
    "deserialize a plan": "SELECT json_execute_serialized_sql('{}') AS name, color FROM records",
    "hide a table behind a common one elsewhere": (
        "SELECT * FROM (WITH x AS (SELECT 1 AS name) SELECT * FROM x) UNION ALL SELECT path FROM x"
    ),
    "prepare parameters": "SELECT $1 AS name, color FROM records",
}
#: These differ from run to run.
CHANGES = {
    "draw at random": "SELECT name, color FROM records ORDER BY random()",
    "make ids": "SELECT uuid() AS name, color FROM records",
    "read the clock": "SELECT now() AS name, color FROM records",
    "read the clock as a word": "SELECT current_timestamp AS name, color FROM records",
    "read today": "SELECT today() AS name, color FROM records",
    "sample": "SELECT name, color FROM records USING SAMPLE 3",
    "sample a table": "SELECT name, color FROM records TABLESAMPLE 10%",
    "read row ids": "SELECT rowid AS name, color FROM records",
    "read a sequence": "SELECT nextval('s') AS name, color FROM records",
    "seed the generator": "SELECT setseed(0.5) AS name, color FROM records",
}
ENDLESS = {
    "recurse without end": "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n FROM t) SELECT n AS name FROM t",
    "recurse by name": "WITH RECURSIVE t(n) USING KEY (n) AS (SELECT 1 UNION SELECT n + 1 FROM t) SELECT * FROM t",
    "join everything with everything": (
        "SELECT a.name, a.color FROM range(100000000) AS r(i), range(100000000) AS s(j), records AS a "
        "WHERE (r.i * s.j) % 1000003 = 77777777"
    ),
    "count a cross join": (
        "SELECT count(*)::VARCHAR AS name, 'r' AS color "
        "FROM range(3000000) a(i), range(3000000) b(j) WHERE i * j = 3"
    ),
    "fill the memory with text": "SELECT lpad(name, 2000000000, 'x') AS name, color FROM records",
    "fill the memory with repeated text": "SELECT repeat(name, 1000000000) AS name, color FROM records",
    "fill the memory with a list": "SELECT list(i)::VARCHAR AS name, 'r' AS color FROM range(3000000000) t(i)",
    "fill the memory with one range": "SELECT len(range(5000000000))::VARCHAR AS name, color FROM records",
    "fill the memory with text of an aggregate": (
        "SELECT string_agg(lpad('x', 1000000, 'x'), ',' ORDER BY i) AS name, 'r' AS color FROM range(100000) t(i)"
    ),
    "fill the disk with rows": (
        "SELECT md5(i::VARCHAR) || md5((i * 7)::VARCHAR) AS name, 'r' AS color FROM range(1000000000) t(i)"
    ),
    "fill the disk with a sort": (
        "SELECT md5(i::VARCHAR) AS name, 'r' AS color FROM range(1000000000) t(i) ORDER BY md5(i::VARCHAR) DESC"
    ),
    "measure the distance of long texts": (
        "SELECT levenshtein(repeat('ab', 60000), repeat('ba', 60000))::VARCHAR AS name, color FROM records"
    ),
    "match a pattern that backtracks": (
        "SELECT regexp_extract(repeat('a', 50000), '(a*)*(a*)*(a*)*b') AS name, color FROM records"
    ),
    "nest subqueries": "SELECT * FROM (" * 400 + ROWS + ")" * 400,
    "nest brackets": "SELECT " + "(" * 3000 + "name" + ")" * 3000 + " AS name, color FROM records",
    "nest calls": "SELECT " + "lower(" * 500 + "name" + ")" * 500 + " AS name, color FROM records",
    "nest operators": "SELECT name, color FROM records WHERE " + "NOT " * 5000 + "true",
    "nest CASE": "SELECT " + "CASE WHEN true THEN " * 300 + "name" + " END" * 300 + " AS name FROM records",
    "nest lists": "SELECT " + "[" * 1000 + "1" + "]" * 1000 + " AS name, color FROM records",
    "chain unions": " UNION ALL ".join([ROWS] * 600),
    "be longer than a spec": f"SELECT name, color FROM records WHERE name <> '{'x' * 30000}'",
    "multiply common tables": (
        "WITH a0 AS (SELECT 1 AS n UNION ALL SELECT 2), "
        + ", ".join(f"a{i} AS (SELECT x.n FROM a{i - 1} AS x, a{i - 1} AS y)" for i in range(1, 7))
        + " SELECT sum(n)::VARCHAR AS name, 'r' AS color FROM a6"
    ),
}
KEYS = {
    "a random key": "random()",
    "a key of ids": "uuid()",
    "a key by the clock": "now()",
    "a key of the settings": "(SELECT max(value) FROM duckdb_settings())",
    "a key of a query": "(SELECT max(name) FROM records)",
    "a key of a file": "(SELECT content FROM read_text('HOME/id_rsa'))",
    "a key that closes the query": "name) AS k FROM records; DROP TABLE records; --",
    "a key of all columns": "COLUMNS(*)",
    "an endless key": "repeat(name, 1000000000)",
}


def with_sql(victim: Victim, sql: str) -> None:
    sql = sql.replace("HOME", str(victim.home))
    victim.replace("table: records", "sql: |-\n" + textwrap.indent(sql, "  "))


@pytest.mark.parametrize("attempt", READS)
def test_sql_cannot(victim: Victim, attempt: str) -> None:
    with_sql(victim, READS[attempt])
    assert "task_specs/toy/toy_color.yaml:" in victim.refuses()


@pytest.mark.parametrize("attempt", CHANGES)
def test_sql_cannot_differ_from_run_to_run_as_to(victim: Victim, attempt: str) -> None:
    with_sql(victim, CHANGES[attempt])
    assert "task_specs/toy/toy_color.yaml:" in victim.refuses()


@pytest.mark.parametrize("attempt", ENDLESS)
def test_sql_cannot_stall_or_fill_as_to(victim: Victim, attempt: str) -> None:
    with_sql(victim, ENDLESS[attempt])
    victim.refuses()


@pytest.mark.parametrize("attempt", KEYS)
def test_a_spec_cannot_have(victim: Victim, attempt: str) -> None:
    key = KEYS[attempt].replace("HOME", str(victim.home))
    victim.replace("key: name", f"key: >-\n  {key}")
    assert "task_specs/toy/toy_color.yaml:" in victim.refuses()


@pytest.mark.parametrize("attempt", ["read a file as text", "show the settings", "recurse without end"])
def test_a_view_cannot(victim: Victim, attempt: str) -> None:
    sql = (READS | ENDLESS)[attempt].replace("HOME", str(victim.home))
    dataset = victim.specs / "toy/dataset.yaml"
    dataset.write_text(dataset.read_text() + "views:\n  seen: |-\n" + textwrap.indent(sql, "    ") + "\n")
    victim.replace("table: records", "sql: SELECT * FROM seen")
    assert "task_specs/toy/dataset.yaml:" in victim.refuses()
