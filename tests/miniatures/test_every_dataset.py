"""What holds for the miniature of every dataset."""

from __future__ import annotations

import json
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import pytest

from vision_flan.miniatures import registry

from .conftest import Make

N = 30
every_dataset = pytest.mark.parametrize("dataset", registry.generators())


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Miniatures with seed 3, unpacked."""

    @lru_cache
    def make(dataset: str) -> Path:
        root = tmp_path_factory.mktemp(dataset)
        registry.make(dataset, root, N, 3)
        return root

    return make


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def members(path: Path) -> dict[str, bytes]:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as zipped:
            return {info.filename: zipped.read(info) for info in zipped.infolist() if not info.is_dir()}
    with tarfile.open(path) as tar:
        return {one.name: tar.extractfile(one).read() for one in tar if one.isfile()}  # type: ignore[union-attr]


@every_dataset
def test_a_seed_gives_the_same_bytes_and_another_seed_others(
    dataset: str, plain: Make, tmp_path: Path
) -> None:
    registry.make(dataset, tmp_path / "again", N, 3)
    registry.make(dataset, tmp_path / "other", N, 4)
    one = files(plain(dataset))
    assert one == files(tmp_path / "again")
    assert one != files(tmp_path / "other")


def place(member: str, inside: Iterable[str], unpacked: Iterable[str]) -> str:
    """Where a member lies unpacked: all members of an archive lie below one folder."""
    folders = {path.removesuffix(member) for path in unpacked if path.endswith(f"/{member}")}
    whole = [folder for folder in folders if {folder + name for name in inside} <= set(unpacked)]
    assert whole, f"{member} is nowhere"
    return min(whole, key=len) + member


@every_dataset
def test_archives_hold_what_lies_unpacked(dataset: str, plain: Make, tmp_path: Path) -> None:
    registry.make(dataset, tmp_path, N, 3, archives=True)
    unpacked, packed = files(plain(dataset)), files(tmp_path)
    for name in set(packed) - set(unpacked):
        inside = members(tmp_path / name)
        del packed[name]
        packed |= {place(member, inside, unpacked): data for member, data in inside.items()}
    note = f".truth/made/{dataset}.json"  # of how it was asked for
    assert packed.pop(note) != unpacked.pop(note)
    assert packed == unpacked


@every_dataset
def test_each_task_has_one_truth_a_record_and_something_to_write(dataset: str, plain: Make) -> None:
    tasks = list((plain(dataset) / ".truth").glob("*.jsonl"))
    assert tasks
    for path in tasks:
        records = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        assert max(Counter(record["source_id"] for record in records).values()) == 1, path.stem
        assert any("dropped" not in record for record in records), path.stem
        for record in records:
            for claim in ("target", "answer"):
                assert record.get(claim, "x").strip(), record


@every_dataset
def test_no_reader_finds_the_truth_among_the_raw_files(dataset: str, plain: Make) -> None:
    root = plain(dataset)
    truth = {path.name for path in (root / ".truth").glob("*.jsonl")}
    raw = {path.name for path in root.rglob("*") if ".truth" not in path.parts}
    assert dataset in raw and not truth & raw
