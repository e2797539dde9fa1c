from __future__ import annotations

import hashlib
import json
from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest

from vision_flan.columns import COLUMNS, TEXT_COLUMNS, arrow_schema, features_dict
from vision_flan.dataset import shards
from vision_flan.dataset.shards import ROW_GROUP_ROWS, ShardFacts, ShardWriter
from vision_flan.instances.maker import Instance


def instance(i: int, image: bytes = b"picture") -> Instance:
    values = tuple(f"{name} {i}" for name in TEXT_COLUMNS)
    return Instance(image + str(i).encode(), f"images/{i}.jpg", ["a", "b"] if i % 2 else [], values)


def write(path: Path, instances: list[Instance]) -> ShardFacts:
    with ShardWriter(path) as writer:
        for one in instances:
            writer.add(one)
    return writer.facts(path.name)


def test_the_facts_are_those_of_the_file(tmp_path: Path) -> None:
    facts = write(tmp_path / "a.parquet", [instance(i) for i in range(7)])
    data = (tmp_path / "a.parquet").read_bytes()
    assert facts == ShardFacts("a.parquet", 7, len(data), hashlib.sha256(data).hexdigest())


def test_rows_come_back_as_they_went_in(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [instance(i) for i in range(250)])
    rows = pq.read_table(tmp_path / "a.parquet").to_pylist()
    assert len(rows) == 250
    assert list(rows[3]) == list(COLUMNS)
    assert rows[3]["image"] == {"bytes": b"picture3", "path": "images/3.jpg"}
    assert rows[3]["options"] == ["a", "b"] and rows[4]["options"] == []
    assert rows[3]["target"] == "target 3"


def test_the_schema_carries_the_features_that_datasets_reads(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [instance(0)])
    schema = pq.read_table(tmp_path / "a.parquet").schema
    assert schema.equals(arrow_schema(), check_metadata=True)
    assert datasets.Features.from_arrow_schema(schema) == datasets.Features.from_dict(features_dict())
    assert json.loads(schema.metadata[b"huggingface"])["info"]["features"]["image"] == {"_type": "Image"}


def test_row_groups_are_small_and_images_lie_in_them_as_they_are(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [instance(i, b"x" * 5000) for i in range(2 * ROW_GROUP_ROWS + 1)])
    metadata = pq.read_metadata(tmp_path / "a.parquet")
    assert [metadata.row_group(i).num_rows for i in range(3)] == [ROW_GROUP_ROWS, ROW_GROUP_ROWS, 1]
    columns = [metadata.row_group(0).column(i) for i in range(metadata.num_columns)]
    (image,) = [column for column in columns if column.path_in_schema == "image.bytes"]
    assert image.compression == "UNCOMPRESSED"
    assert not image.is_stats_set and not image.has_dictionary_page
    assert all(column.has_offset_index for column in columns)


def test_a_row_group_ends_before_it_fills_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "ROW_GROUP_BYTES", 10_000)
    write(tmp_path / "a.parquet", [instance(i, b"x" * 4000) for i in range(9)])
    assert pq.read_metadata(tmp_path / "a.parquet").num_row_groups == 3


def test_a_shard_without_rows_is_a_parquet_file_of_the_schema(tmp_path: Path) -> None:
    assert write(tmp_path / "a.parquet", []).rows == 0
    assert pq.read_table(tmp_path / "a.parquet").schema.equals(arrow_schema())


def test_an_exception_in_the_middle_leaves_no_open_file(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="stop"), ShardWriter(tmp_path / "a.parquet") as writer:
        writer.add(instance(0))
        raise RuntimeError("stop")
    open_files = {str(path.resolve()) for path in Path("/proc/self/fd").iterdir() if path.exists()}
    assert str(tmp_path / "a.parquet") not in open_files
