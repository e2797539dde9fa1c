"""Miniatures of many datasets at once: the same files as one by one, resumed after a stop."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from vision_flan.cli.main import run, vflan

#: Two that stand alone, one that lends images, one that borrows them.
DATASETS = ["textocr", "textcaps", "stl_10", "cinic_10"]


def digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def make(root: Path, *arguments: str) -> int:
    return run(vflan, ["miniature", *arguments, "--out", str(root), "--n", "5"])


@pytest.fixture(scope="module")
def one_by_one(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("alone")
    for dataset in DATASETS:
        assert make(root, dataset) == 0
    return digests(root)


def test_many_at_once_have_the_files_of_one_by_one(
    one_by_one: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert make(tmp_path, *DATASETS, "--jobs", "2") == 0
    assert digests(tmp_path) == one_by_one
    assert "4 miniatures, 0 there already" in capsys.readouterr().out


def test_the_same_command_goes_on_after_a_stop(
    one_by_one: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path, *DATASETS, "--jobs", "2")
    marker = tmp_path / ".truth/made/stl_10.json"
    marker.write_text(json.dumps({"unfinished": True, "n": 5, "seed": 0}))
    next((tmp_path / "stl_10").rglob("*.bin")).unlink()
    capsys.readouterr()
    assert make(tmp_path, *DATASETS, "--jobs", "2") == 0
    assert "4 miniatures, 3 there already" in capsys.readouterr().out
    assert digests(tmp_path) == one_by_one


def test_real_data_is_never_overwritten_and_stops_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "stl_10").mkdir()
    (tmp_path / "stl_10/mine.txt").write_text("real")
    assert make(tmp_path, "stl_10", "cinic_10", "--jobs", "2") == 5
    assert "no miniature made it" in capsys.readouterr().err
    assert (tmp_path / "stl_10/mine.txt").read_text() == "real"
    assert (tmp_path / "cinic_10").is_dir()
