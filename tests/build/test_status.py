"""`vflan status`: raw files, configs and the next step, as they are on disk; nothing is written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.toy import Toy
from vision_flan.cli.main import run, vflan
from vision_flan.spec.catalog import Catalog

Status = Callable[[], dict[str, Any]]


@pytest.fixture
def status(toy: Toy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Status:
    """What `vflan status --json` says of the toy task."""
    monkeypatch.setattr(Catalog, "default", classmethod(lambda cls: toy.catalog))
    monkeypatch.chdir(toy.root)

    def typed() -> dict[str, Any]:
        assert run(vflan, ["status", "--task", "toy_color", "--json"]) == 0
        (found,) = json.loads(capsys.readouterr().out)
        return dict(found)

    return typed


def seen(found: dict[str, Any]) -> tuple[str, str, int | None]:
    return found["raw"], found["build"], found["instances"]


COMPILE = "vflan compile --task toy_color --raw raw --out vision-flan"


def test_raw_files_without_a_config_are_compiled_next(status: Status) -> None:
    found = status()
    assert seen(found) == ("there", "not built", None)
    assert found["next"] == COMPILE


def test_a_config_that_a_build_would_make_again_needs_nothing(toy: Toy, status: Status) -> None:
    toy.compile(limit=5)
    found = status()
    assert seen(found) == ("there", "built", 5)
    assert found["next"] == ""


def test_no_folder_no_annotations_and_no_images_are_told_apart(toy: Toy, status: Status) -> None:
    (toy.raw / "toy/images").rename(toy.root / "images")
    found = status()
    assert (found["raw"], found["raw_note"]) == ("incomplete", "not there: images.zip")
    (toy.raw / "toy/toy.json").unlink()
    assert status()["raw"] == "missing"
    (toy.raw / "toy").rmdir()
    found = status()
    assert seen(found) == ("missing", "not built", None)
    assert found["next"] == "vflan fetch toy --raw raw"


def test_one_of_two_tables_missing_is_incomplete(toy: Toy, status: Status) -> None:
    path = toy.specs / "toy/dataset.yaml"
    path.write_text(path.read_text() + "  more: {reader: json, file: more.json, columns: {name: VARCHAR}}\n")
    toy.replace("table: records", "sql: SELECT * FROM records JOIN more USING (name)")
    found = status()
    assert (found["raw"], found["raw_note"]) == ("incomplete", "raw files of Toy are missing: more.json")


def test_an_archive_in_parts_is_incomplete(toy: Toy, status: Status) -> None:
    (toy.raw / "toy/images").rename(toy.root / "images")
    for number in (1, 2):
        (toy.raw / f"toy/images.zip.{number:03}").write_bytes(b"PK")
    found = status()
    assert found["raw"] == "incomplete"
    assert "split into 2 parts" in found["raw_note"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda toy: toy.write_records([toy.record(i) for i in range(9)]), "toy.json changed"),
        (lambda toy: (toy.raw / "toy/images/0001.png").write_bytes(b"other"), "images/0001.png changed"),
        (lambda toy: (toy.raw / "toy/images/0001.png").unlink(), "images/0001.png changed"),
        (lambda toy: toy.replace("key: name", "key: lower(name)"), "the spec changed"),
        (
            lambda toy: (toy.out / "toy_color/train-00000-of-00001.parquet").unlink(),
            "not as it was installed",
        ),
        (lambda toy: (toy.out / "manifest/toy_color.json").write_text("{"), "its manifest is broken"),
        (lambda toy: (toy.out / ".vflan/toy_color/installed.json").unlink(), "no record of the raw files"),
    ],
)
def test_what_a_build_would_not_make_again_is_out_of_date(
    toy: Toy, status: Status, change: Callable[[Toy], object], why: str
) -> None:
    toy.compile()
    change(toy)
    found = status()
    assert found["build"] == "out of date"
    assert why in found["build_note"]
    assert found["next"] == COMPILE


def test_a_config_without_its_raw_files_is_built_and_cannot_be_compared(toy: Toy, status: Status) -> None:
    toy.compile()
    (toy.raw / "toy").rename(toy.root / "elsewhere")
    found = status()
    assert seen(found) == ("missing", "built", 12)
    assert "cannot be compared" in found["build_note"]


def test_nothing_is_written(toy: Toy, status: Status) -> None:
    toy.compile()
    before = {path: os.lstat(path).st_mtime_ns for path in toy.root.rglob("*")}
    status()
    assert {path: os.lstat(path).st_mtime_ns for path in toy.root.rglob("*")} == before


def test_the_whole_suite_in_one_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "raw").mkdir()
    assert run(vflan, ["status", "--raw", str(tmp_path / "raw"), "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 188
    assert "raw files: 187 missing; configs: 187 not built; 0 instances" in printed.err
