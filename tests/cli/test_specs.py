"""`vflan list`, `vflan show`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.pets import TASK, pets_catalog, pets_raw
from vision_flan.cli.main import vflan
from vision_flan.spec.catalog import Catalog


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    found = pets_catalog(tmp_path)
    monkeypatch.setattr(Catalog, "default", classmethod(lambda cls: found))
    return found


def printed(*arguments: str) -> str:
    result = CliRunner().invoke(vflan, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def listed(*arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(printed("list", "--json", *arguments))
    return found


def test_list_prints_a_task_a_line(catalog: Catalog) -> None:
    header, line = printed("list").splitlines()
    assert header == "task\tcategory\tdataset\tlicense\tavailable\tsuites"
    assert line == "animal_pets\tAnimal Classification\tpets\tCC BY 4.0\t200\tsmall"


@pytest.mark.parametrize(
    "filters",
    [
        ["--category", "animal classification"],
        ["--dataset", "pets"],
        ["--suite", "small"],
        ["--license", "cc-by-4.0"],
        ["--license", "CC BY"],
    ],
)
def test_filters_keep_what_fits(catalog: Catalog, filters: list[str]) -> None:
    assert [row["task"] for row in listed(*filters)] == [TASK]


@pytest.mark.parametrize(
    "filters", [["--category", "OCR"], ["--dataset", "cars"], ["--suite", "large"], ["--license", "MIT"]]
)
def test_filters_leave_out_what_does_not_fit(catalog: Catalog, filters: list[str]) -> None:
    assert listed(*filters) == []


def test_present_asks_for_the_annotation_files(catalog: Catalog, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    assert listed("--present", str(raw)) == []
    (raw / "pets").mkdir()
    assert listed("--present", str(raw)) == []
    (raw / "pets" / "pets.jsonl").write_text("{}\n", "utf-8")
    assert [row["task"] for row in listed("--present", str(raw))] == [TASK]


def test_show_renders_an_example_from_raw_files_and_counts_them(catalog: Catalog, tmp_path: Path) -> None:
    raw = pets_raw(tmp_path / "raw")
    facts = json.loads(printed("show", TASK, "--raw", str(raw), "--json"))
    assert facts["records"] == 10
    assert facts["instruction"].startswith("Which kind of pet")
    assert facts["example"]["prompt"].startswith(facts["instruction"] + "\nOptions:\n(A) ")
    assert facts["example"]["target"] in facts["example"]["prompt"]
    assert facts["source"]["citation"].startswith("@article{doe2020pets")


def test_show_says_that_there_is_no_miniature(catalog: Catalog) -> None:
    text = printed("show", "Pets+kind")
    assert "Example (none: no miniature of a dataset 'pets')" in text
    assert "images may be passed on: yes" in text


def test_show_takes_its_example_from_a_miniature() -> None:
    text = printed("show", "ocr_textocr")
    assert "Example (miniature)" in text
    assert "\n  -> " in text
