from __future__ import annotations

import hashlib
import json
import tempfile
from itertools import pairwise
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_flan.columns import COLUMNS, TEXT_COLUMNS, arrow_schema, features_dict
from vision_flan.dataset import hashed_file, row_groups, shards
from vision_flan.dataset.parts import PartWriter, part_checksum
from vision_flan.dataset.row_groups import ROW_GROUP_ROWS
from vision_flan.dataset.shards import ShardFacts, ShardWriter, batches_of
from vision_flan.instances.maker import Instance, Instances


def instance(i: int, image: bytes = b"picture") -> Instance:
    values = tuple(f"{name} {i}" for name in TEXT_COLUMNS)
    return Instance(image + str(i).encode(), f"images/{i}.jpg", ["a", "b"] if i % 2 else [], values)


def write(folder: Path, instances: list[Instance]) -> tuple[ShardFacts, ...]:
    with ShardWriter(folder, "a") as writer:
        writer.add(Instances.of(instances))
    return writer.facts


def test_the_facts_are_those_of_the_file(tmp_path: Path) -> None:
    facts = write(tmp_path, [instance(i) for i in range(7)])
    data = (tmp_path / "a.0.parquet").read_bytes()
    assert facts == (ShardFacts("a.0.parquet", 7, len(data), hashlib.sha256(data).hexdigest()),)


@pytest.mark.parametrize("behind", [True, False])
def test_a_checksum_is_that_of_the_file_in_whatever_thread_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behind: bool
) -> None:
    monkeypatch.setattr(hashed_file, "_WORTH_A_CALL", 400_000)  # in several calls
    with ShardWriter(tmp_path, "a", behind=behind) as writer:
        for i in range(350):
            writer.add(Instances.of([instance(i, b"x" * 3_000)]))
    (facts,) = writer.facts
    assert facts.sha256 == hashlib.sha256((tmp_path / facts.path).read_bytes()).hexdigest()


def test_rows_come_back_as_they_went_in(tmp_path: Path) -> None:
    write(tmp_path, [instance(i) for i in range(250)])
    rows = pq.read_table(tmp_path / "a.0.parquet").to_pylist()
    assert len(rows) == 250
    assert list(rows[3]) == list(COLUMNS)
    assert rows[3]["image"] == {"bytes": b"picture3", "path": "images/3.jpg"}
    assert rows[3]["options"] == ["a", "b"] and rows[4]["options"] == []
    assert rows[3]["target"] == "target 3"


def test_the_schema_carries_the_features_that_datasets_reads(tmp_path: Path) -> None:
    write(tmp_path, [instance(0)])
    schema = pq.read_table(tmp_path / "a.0.parquet").schema
    assert schema.equals(arrow_schema(), check_metadata=True)
    assert datasets.Features.from_arrow_schema(schema) == datasets.Features.from_dict(features_dict())
    assert json.loads(schema.metadata[b"huggingface"])["info"]["features"]["image"] == {"_type": "Image"}


@given(st.lists(st.integers(0, 40), min_size=1, max_size=20))
def test_a_shard_has_the_bytes_that_arrow_writes_of_a_binary_column(sizes: list[int]) -> None:
    rows = [instance(i, b"x" * size) for i, size in enumerate(sizes)]
    values = [
        dict(zip(TEXT_COLUMNS, one.values, strict=True))
        | {
            "image": {"bytes": one.image, "path": one.image_path},
            "options": one.options,
            "turns": [turn._asdict() for turn in one.turns],
        }
        for one in rows
    ]
    with tempfile.TemporaryDirectory() as folder:
        (facts,) = write(Path(folder), rows)
        pq.write_table(
            pa.Table.from_pylist(values, shards.SCHEMA),
            Path(folder, "plain"),
            compression=shards.COMPRESSION,
            use_dictionary=shards._DICTIONARY,
            write_statistics=["id", "source_id"],
            write_page_index=True,
        )
        assert Path(folder, facts.path).read_bytes() == Path(folder, "plain").read_bytes()


def test_row_groups_are_small_and_images_lie_in_them_as_they_are(tmp_path: Path) -> None:
    write(tmp_path, [instance(i, b"x" * 5000) for i in range(2 * ROW_GROUP_ROWS + 1)])
    metadata = pq.read_metadata(tmp_path / "a.0.parquet")
    assert [metadata.row_group(i).num_rows for i in range(3)] == [ROW_GROUP_ROWS, ROW_GROUP_ROWS, 1]
    columns = [metadata.row_group(0).column(i) for i in range(metadata.num_columns)]
    (image,) = [column for column in columns if column.path_in_schema == "image.bytes"]
    assert image.compression == "UNCOMPRESSED"
    assert not image.is_stats_set and not image.has_dictionary_page
    assert all(column.has_offset_index for column in columns)


def test_a_row_group_ends_before_it_fills_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_groups, "ROW_GROUP_BYTES", 10_000)
    write(tmp_path, [instance(i, b"x" * 4000) for i in range(9)])
    assert pq.read_metadata(tmp_path / "a.0.parquet").num_row_groups == 3


def test_without_rows_there_is_no_shard(tmp_path: Path) -> None:
    assert write(tmp_path, []) == ()
    assert list(tmp_path.iterdir()) == []


def test_a_shard_ends_before_it_is_too_large_and_the_next_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SHARD_BYTES", 100_000)
    facts = write(tmp_path, [instance(i, b"x" * 1000) for i in range(450)])
    assert [shard.rows for shard in facts] == [100, 100, 100, 100, 50]
    assert [shard.path for shard in facts] == [f"a.{i}.parquet" for i in range(5)]


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(0, 900), max_size=250), cuts=st.sets(st.integers(0, 250)))
def test_parts_of_any_length_are_joined_to_the_bytes_of_one_piece(sizes: list[int], cuts: set[int]) -> None:
    rows = [instance(i, b"x" * size) for i, size in enumerate(sizes)]
    bounds = [0, *sorted(cut for cut in cuts if cut < len(rows)), len(rows)]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        patched.setattr(row_groups, "ROW_GROUP_BYTES", 20_000)
        patched.setattr(shards, "SHARD_BYTES", 60_000)
        whole = write(Path(folder), rows)
        with ShardWriter(Path(folder), "a") as joining:
            for number, (start, stop) in enumerate(pairwise(bounds)):
                part = Path(folder, f"{number}.arrow")
                with PartWriter(part) as writer:
                    for row in rows[start:stop]:
                        writer.add(Instances.of([row]))
                assert part_checksum(part) == writer.checksum
                for batch in batches_of(part):
                    joining.add_batch(batch)
        assert joining.facts == whole


@pytest.mark.parametrize("first", [50, 100, 130])
def test_the_rest_of_a_batch_may_be_a_row_group_of_its_own(tmp_path: Path, first: int) -> None:
    rows = [instance(i, b"x" * 40) for i in range(first + ROW_GROUP_ROWS)]
    (whole,) = write(tmp_path, rows)
    with ShardWriter(tmp_path, "a") as joining:
        for some in (rows[:first], rows[first:]):
            joining.add_batch(shards.record_batch(Instances.of(some)))
    assert joining.facts == (whole,)


def test_an_exception_in_the_middle_leaves_no_open_file(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="stop"), ShardWriter(tmp_path, "a") as writer:
        for i in range(ROW_GROUP_ROWS):
            writer.add(Instances.of([instance(i)]))
        raise RuntimeError("stop")
    open_files = {str(path.resolve()) for path in Path("/proc/self/fd").iterdir() if path.exists()}
    assert not [path for path in open_files if path.startswith(str(tmp_path))]
    assert [path.suffix for path in tmp_path.iterdir()] == [".tmp"]
