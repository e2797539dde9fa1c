"""Tables are read once for all tasks of a dataset; what is kept is never stale and changes no shard."""

from __future__ import annotations

import errno
import json
import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.toy import Toy
from vision_flan.cli.main import run, vflan
from vision_flan.raw.folder import RawDataset
from vision_flan.readers.json_table import JsonReader
from vision_flan.readers.reader import TableSpec
from vision_flan.records import table_cache
from vision_flan.records.table_cache import TableCache
from vision_flan.spec.catalog import Catalog

TABLE = TableSpec("t", "json", "a.json", {}, {"id": pa.int64(), "tags": pa.list_(pa.string())})
ROWS: list[dict[str, Any]] = [{"id": i, "tags": ["x"] * (i % 3) or None} for i in range(20_000)]


@pytest.fixture
def raw(tmp_path: Path) -> RawDataset:
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy/a.json").write_text(json.dumps(ROWS))
    return RawDataset(tmp_path / "toy", "toy")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of tables, each time that a reader reads one."""
    found: list[str] = []
    read = JsonReader.batches

    def counted(self: JsonReader, raw: RawDataset) -> Any:
        found.append(self._table.name)
        return read(self, raw)

    monkeypatch.setattr(JsonReader, "batches", counted)
    return found


def rows_of(cache: TableCache, raw: RawDataset, table: TableSpec = TABLE) -> list[dict[str, Any]]:
    batches = cache.batches(table, JsonReader(table), raw)
    return [{name: row[name] for name in ("id", "tags")} for batch in batches for row in batch.to_pylist()]


def cache_in(tmp_path: Path, **options: Any) -> TableCache:
    return TableCache(tmp_path / "cache", least=0, **options)


def test_the_second_time_no_reader_is_asked(raw: RawDataset, tmp_path: Path, reads: list[str]) -> None:
    assert rows_of(cache_in(tmp_path), raw) == ROWS
    assert rows_of(cache_in(tmp_path), raw) == ROWS
    assert reads == ["t"]


def read_elsewhere(place: Path, begun: Path) -> int:
    """In another process: a table that is read slowly. Returns how often its reader was asked."""
    raw, asked = RawDataset(place / "toy", "toy"), []

    class Slow(JsonReader):
        def batches(self, raw: RawDataset) -> Any:
            asked.append(1)
            begun.touch()
            time.sleep(0.5)
            yield from super().batches(raw)

    assert sum(b.num_rows for b in cache_in(place).batches(TABLE, Slow(TABLE), raw)) == len(ROWS)
    return len(asked)


def test_of_two_processes_one_waits_for_what_the_other_reads(raw: RawDataset, tmp_path: Path) -> None:
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        asked = [pool.submit(read_elsewhere, tmp_path, tmp_path / "begun") for _ in range(2)]
        assert sum(one.result() for one in asked) == 1
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".parquet"]


def test_a_reading_that_was_left_open_holds_nobody_up(raw: RawDataset, tmp_path: Path) -> None:
    left = cache_in(tmp_path).batches(TABLE, JsonReader(TABLE), raw)
    next(left)
    assert rows_of(cache_in(tmp_path), raw) == ROWS
    left.close()  # type: ignore[attr-defined]


def test_a_changed_file_or_table_is_read_again(raw: RawDataset, tmp_path: Path, reads: list[str]) -> None:
    rows_of(cache_in(tmp_path), raw)
    (raw.root / "a.json").write_text(json.dumps(ROWS[:5]))
    assert rows_of(cache_in(tmp_path), raw) == ROWS[:5]
    other = TableSpec("t", "json", "a.json", {}, {"id": pa.int32(), "tags": pa.list_(pa.string())})
    rows_of(cache_in(tmp_path), raw, other)
    rows_of(cache_in(tmp_path, fresh=True), raw)
    assert len(reads) == 4


def test_a_file_that_changes_while_it_is_read_is_not_kept(raw: RawDataset, tmp_path: Path) -> None:
    batches = cache_in(tmp_path).batches(TABLE, JsonReader(TABLE), raw)
    next(batches)
    os.utime(raw.root / "a.json", (1, 1))
    list(batches)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_reading_that_ends_early_leaves_nothing(raw: RawDataset, tmp_path: Path) -> None:
    batches = cache_in(tmp_path).batches(TABLE, JsonReader(TABLE), raw)
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_cut_entry_is_read_again(raw: RawDataset, tmp_path: Path, reads: list[str]) -> None:
    rows_of(cache_in(tmp_path), raw)
    (entry,) = (tmp_path / "cache").iterdir()
    entry.write_bytes(entry.read_bytes()[:-100])
    assert rows_of(cache_in(tmp_path), raw) == ROWS
    assert len(reads) == 2


def test_the_entries_used_last_stay_within_the_bound(raw: RawDataset, tmp_path: Path) -> None:
    names = []
    for size in (10_000, 11_000, 12_000):
        (raw.root / "a.json").write_text(json.dumps(ROWS[:size]))
        rows_of(cache_in(tmp_path, most=1), raw)
        names.append([path.name for path in (tmp_path / "cache").iterdir()])
    assert [len(one) for one in names] == [1, 1, 1]
    assert len({one[0] for one in names}) == 3


def test_a_folder_that_cannot_be_written_costs_only_time(raw: RawDataset, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    assert rows_of(cache_in(tmp_path), raw) == ROWS


def test_two_tasks_of_a_dataset_read_its_table_once_and_have_the_same_shards(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, reads: list[str]
) -> None:
    monkeypatch.setattr(Catalog, "default", classmethod(lambda cls: toy.catalog))
    monkeypatch.chdir(toy.root)
    plain = toy.compile(out=toy.root / "plain").manifest.shards
    reads.clear()
    monkeypatch.setattr(table_cache, "LEAST_BYTES", 0)
    text = (toy.specs / "toy/toy_color.yaml").read_text().replace("alias: Toy+color\n", "")
    (toy.specs / "toy/toy_hue.yaml").write_text(text.replace("toy_color", "toy_hue"))
    (toy.instructions / "toy_hue.j2").write_text("Which hue has the square? Answer with its option.\n")
    assert run(vflan, ["compile", "--task", "toy_color", "--task", "toy_hue", "--jobs", "1"]) == 0
    assert reads == ["records"]
    manifest = json.loads((toy.out / "manifest/toy_color.json").read_text())
    assert [shard["sha256"] for shard in manifest["shards"]] == [shard.sha256 for shard in plain]
    assert run(vflan, ["compile", "--task", "toy_color", "--force", "--jobs", "1"]) == 0
    assert len(reads) == 2, "--force trusts no cache"


@pytest.mark.parametrize("fails_at", [1, 2])
def test_a_disk_that_fills_costs_only_time(
    raw: RawDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    written: list[pa.RecordBatch] = []

    def write_batch(_writer: object, batch: pa.RecordBatch) -> None:
        written.append(batch)
        if len(written) == fails_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pq.ParquetWriter, "write_batch", write_batch)
    assert rows_of(cache_in(tmp_path), raw) == ROWS
    assert len(written) == fails_at
    assert list((tmp_path / "cache").iterdir()) == []
