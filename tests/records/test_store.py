from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.toy import Toy
from vision_flan.dataset.manifest import manifest_path, read_manifest
from vision_flan.errors import BadRawError, Location, SpecError
from vision_flan.records.ordering import order_sql
from vision_flan.records.sql import arrow_type, check_select, unordered
from vision_flan.records.store import RecordStore

HERE = Location("task.yaml", 10)


def batches(rows: list[dict[str, Any]]) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    table = pa.Table.from_pylist(rows)
    return table.schema, iter(table.to_batches(max_chunksize=3))


def store_with(rows: list[dict[str, Any]], work: Path | None = None) -> RecordStore:
    store = RecordStore(work)
    store.load("t", *batches(rows))
    return store


def keys(rows: list[dict[str, Any]], seed: int = 0) -> list[str]:
    with store_with(rows) as store:
        candidates = store.prepare("SELECT * FROM t", "k", seed, HERE)
        return [row["_key"] for row in candidates.block(0, 10_000)]


def test_rows_come_in_an_order_that_the_files_order_does_not_change() -> None:
    rows = [{"k": f"k{i}"} for i in range(50)]
    assert keys(rows) == keys(rows[::-1])
    assert keys(rows) != sorted(keys(rows))


def test_another_seed_selects_in_another_order() -> None:
    rows = [{"k": f"k{i}"} for i in range(50)]
    assert keys(rows, 0) != keys(rows, 1)
    assert sorted(keys(rows, 0)) == sorted(keys(rows, 1))


def test_taking_fewer_rows_takes_the_first_of_the_same_order() -> None:
    rows = [{"k": f"k{i}"} for i in range(50)]
    with store_with(rows) as store:
        candidates = store.prepare("SELECT * FROM t", "k", 0, HERE)
        blocks = [row["_key"] for start in (0, 20, 40) for row in candidates.block(start, 20)]
    assert blocks == keys(rows)


def test_as_many_rows_as_are_expected_are_put_in_order_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sorts: list[str] = []

    def counted(seed: int, key: str) -> str:
        sorts.append(key)
        return order_sql(seed, key)

    monkeypatch.setattr("vision_flan.records.candidates.order_sql", counted)
    table = pa.table({"k": [f"k{i}" for i in range(30_000)]})
    found = {}
    for expected in (0, 30_000):
        with RecordStore() as store:
            store.load("t", table.schema, iter(table.to_batches()))
            sorts.clear()
            prepared = store.prepare("SELECT * FROM t", "k", 0, HERE)
            prepared.expect(expected)
            found[expected] = prepared.block(0, 16) + prepared.block(29_990, 10)
            assert len(sorts) == (1 if expected else 2)
    assert found[0] == found[30_000]


def test_a_key_of_the_readers_own_gives_way_to_the_tasks() -> None:
    rows = [{"k": "a", "_key": None}, {"k": "b", "_key": "object key"}]
    assert sorted(keys(rows)) == ["a", "b"]
    with store_with(rows) as store:
        candidates = store.prepare("SELECT * FROM t", "_key", 0, HERE)
        assert [row["_key"] for row in candidates.block(0, 10)] == ["object key"]


def test_rows_without_a_key_and_with_a_key_seen_before_are_counted() -> None:
    rows = [{"k": "a", "v": 2}, {"k": "a", "v": 1}, {"k": None, "v": 3}, {"k": "b", "v": 4}]
    for order in (rows, rows[::-1]):
        with store_with(order) as store:
            candidates = store.prepare("SELECT * FROM t", "k", 0, HERE)
            assert candidates.dropped == {"no_key": 1, "duplicate_key": 1}
            assert candidates.examples == {"no_key": "{'k': NULL, 'v': 3}", "duplicate_key": "a"}
            assert (candidates.total, candidates.count) == (4, 2)
            kept = {row["_key"]: row["v"] for row in candidates.block(0, 10)}
    assert kept == {"a": kept["a"], "b": 4}


def test_the_examples_of_dropped_rows_are_short_and_do_not_depend_on_the_order_of_rows() -> None:
    rows = [{"k": key, "v": text} for key in ("b", "a", None) for text in ("x\ny" * 300, "z", "x")]
    found = set()
    for order in (rows, rows[::-1]):
        with store_with(order) as store:
            found.add(tuple(store.prepare("SELECT * FROM t", "k", 0, HERE).examples.items()))
    ((no_key, duplicate_key),) = found
    assert no_key[1].startswith("{'k': NULL, 'v': x yx yx") and duplicate_key == ("duplicate_key", "a")
    assert len(no_key[1]) <= 300


def test_a_manifest_shows_an_example_of_each_reason(toy: Toy, compile_toy: Any) -> None:
    records = [{"name": f"{number:04}.png", "color": "r"} for number in (0, 1, 2, 2, 1)]
    toy.write_records([*records, {"name": None, "color": "g"}, {"color": "b"}])
    assert compile_toy()[0] == 0
    counts = read_manifest(manifest_path(toy.out, "toy_color")).counts
    assert counts["dropped"] == {"duplicate_key": 2, "no_key": 2}
    assert counts["examples"]["duplicate_key"] == "0001.png"
    assert "'name': NULL, 'color': b" in counts["examples"]["no_key"]


def test_which_of_two_rows_of_one_key_is_kept_does_not_depend_on_their_order() -> None:
    rows = [{"k": "a", "v": 2}, {"k": "a", "v": 1}]
    kept = set()
    for order in (rows, rows[::-1]):
        with store_with(order) as store:
            kept.add(store.prepare("SELECT * FROM t", "k", 0, HERE).block(0, 1)[0]["v"])
    assert len(kept) == 1


def test_the_readers_own_error_reaches_the_caller() -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"k": ["a"]})
        raise BadRawError("truncated", where=Location("x.json", 3))

    with RecordStore() as store, pytest.raises(BadRawError, match="truncated"):
        store.load("t", pa.schema([("k", pa.string())]), broken())


def test_label_tables_are_tables_of_sql() -> None:
    with RecordStore() as store:
        store.load_labels({"colors": {"r": "red"}})
        candidates = store.prepare("SELECT * FROM label_colors", "key", 0, HERE)
        assert candidates.block(0, 5) == [{"key": "r", "value": "red", "_key": "r"}]


def test_others_gives_pairs_in_an_order_of_their_own() -> None:
    rows = [{"k": f"k{i}", "g": i // 2} for i in range(30)]
    with store_with(rows) as store:
        candidates = store.prepare("SELECT * FROM t", "k", 0, HERE)
        pool = candidates.others("k", "g", 1000)
    values, groups = pool["value"].to_pylist(), pool["other"].to_pylist()
    assert sorted(zip(values, groups, strict=True)) == sorted((row["k"], row["g"]) for row in rows)
    assert values != keys(rows)


def test_a_table_that_does_not_fit_memory_spills_to_the_work_folder(tmp_path: Path) -> None:
    with store_with([{"k": str(i)} for i in range(10)], tmp_path) as store:
        assert store.prepare("SELECT * FROM t", "k", 0, HERE).count == 10
    assert (tmp_path / "records.duckdb").exists()


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT * FROM read_csv('/etc/passwd')", "read_csv() is not among"),
        ("SELECT * FROM read_text('/etc/passwd')", "read_text() is not among"),
        ("COPY t TO '/tmp/out'", "one SELECT"),
        ("ATTACH '/tmp/x.db'", "one SELECT"),
        ("INSTALL httpfs", "one SELECT"),
        ("SELECT 1; SELECT 2", "one SELECT"),
        ("CREATE TABLE x AS SELECT 1", "one SELECT"),
        ("SET threads = 1", "one SELECT"),
        ("SELECT random() FROM t", "random() is not among"),
        ("SELECT * FROM t ORDER BY uuid()", "uuid() is not among"),
        ("SELECT current_date FROM t", "current_date is the clock"),
        ("SELECT FROM WHERE", "syntax error"),
    ],
)
def test_sql_that_specs_may_not_have_is_refused(sql: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        check_select(sql, HERE)
    assert message in caught.value.what


@pytest.mark.parametrize(
    "sql", ["SELECT * FROM '/etc/passwd'", "SELECT * FROM read_text('/etc/passwd')", "COPY t TO '/tmp/x'"]
)
def test_sql_that_slipped_through_cannot_touch_files(sql: str) -> None:
    with store_with([{"k": "a"}]) as store, pytest.raises(SpecError):
        store.prepare(sql, "k", 0, HERE)


def test_the_tables_a_select_reads_are_found_without_its_common_tables() -> None:
    sql = "WITH w AS (SELECT * FROM a) SELECT * FROM w JOIN b USING (k) WHERE k IN (SELECT k FROM c)"
    assert check_select(sql, HERE) == ["a", "b", "c"]


def test_an_sql_error_names_the_line_of_the_spec() -> None:
    with store_with([{"k": "a"}]) as store, pytest.raises(SpecError) as caught:
        store.prepare("SELECT k,\n  nothing\nFROM t", "k", 0, HERE)
    assert "nothing" in caught.value.what
    assert caught.value.where is not None and caught.value.where.line == 11


def test_aggregates_without_an_order_are_found() -> None:
    sql = "SELECT list(a), string_agg(b, ',' ORDER BY b), first(c), max(d) FROM t GROUP BY e"
    assert unordered(sql) == ["first()", "list()"]


def test_types_are_sql_types() -> None:
    found = arrow_type("STRUCT(name VARCHAR, box DOUBLE[])[]", HERE)
    assert found.value_type.field("box").type.value_type == pa.float64()


@pytest.mark.parametrize("bad", ["STRING_", "VARCHAR; DROP TABLE x", "STRUCT(a", "(SELECT 1)"])
def test_a_type_that_sql_does_not_know_is_an_error_with_examples(bad: str) -> None:
    with pytest.raises(SpecError) as caught:
        arrow_type(bad, HERE)
    assert "is not a SQL type" in caught.value.what


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=40), st.integers(0, 3))
def test_every_different_key_is_a_candidate_once(texts: list[str], seed: int) -> None:
    rows = [{"k": text} for text in texts]
    assert sorted(keys(rows, seed)) == sorted(set(texts))
