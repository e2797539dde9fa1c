"""Circulating copies are packaged differently from upstream: those that dataset.yaml names compile."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.tasks.test_every_task import read_rows, tasks_of
from vision_flan.build.compile import Options, compile_task
from vision_flan.cli.main import run, vflan
from vision_flan.miniatures import registry
from vision_flan.miniatures.truth import disagreements, read_truth
from vision_flan.report import Silent
from vision_flan.spec.catalog import Catalog

catalog = Catalog.default()


@pytest.mark.parametrize(
    ("dataset", "there", "here"),
    [
        ("300w", r"^300W/", "300w_cropped/"),
        ("ai2d", r"^ai2d_test_ids\.csv$", "ai2d/ai2d_test_ids.csv"),
        ("crisismmd", r"^CrisisMMD_v2\.0/", ""),
        ("eurosat", r"^2750/", "EuroSAT_RGB/"),
        ("flickrlogos_27", r"^flickr_logos_27_dataset/(?!.*gz$)", ""),
        ("office_31", r"^(amazon|dslr|webcam)/images/", r"\1/"),
        ("office_31", r"^", "domain_adaptation_images/"),
        ("pacs", r"^kfold/", "PACS/"),
        ("places365", r"^data_256/", "data_256_standard/"),
        ("raf_db", r"list_patition_label", "list_partition_label"),
    ],
)
def test_another_packaging_compiles_to_the_same_instances(
    dataset: str, there: str, here: str, tmp_path: Path
) -> None:
    raw, out = tmp_path / "raw", tmp_path / "vision-flan"
    registry.make(dataset, raw, 30, seed=1)
    folder = raw / dataset
    moved = 0
    for path in sorted(file for file in folder.rglob("*") if file.is_file()):
        name = path.relative_to(folder).as_posix()
        other = re.sub(there, here, name, count=1)
        if other != name:
            (folder / other).parent.mkdir(parents=True, exist_ok=True)
            path.rename(folder / other)
            moved += 1
    assert moved
    for task in tasks_of(dataset):
        compile_task(task, raw, out, catalog, Options(limit=None), Silent())
        assert not list(disagreements(read_rows(out, task), read_truth(raw, task)))


def vflan_compile(task: str, raw: Path, out: Path) -> list[dict[str, Any]]:
    """The rows that the command writes."""
    command = ["compile", "--task", task, "--raw", str(raw), "--out", str(out), "--limit", "0"]
    assert run(vflan, command) == 0
    return read_rows(out, task)


def without(mark: str, value: Any) -> Any:
    """A JSON value in which no object has a key."""
    if isinstance(value, dict):
        return {key: without(mark, one) for key, one in value.items() if key != mark}
    return [without(mark, one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("task", "dataset", "files", "marks"),
    [
        ("caption_vizwiz", "vizwiz", "captions/annotations/*.json", ("is_precanned", "is_rejected")),
        ("reasoning_ai2d", "ai2d", "ai2d/questions/*.json", ("abcLabel",)),
    ],
)
def test_records_of_a_release_without_a_mark_are_kept(
    task: str, dataset: str, files: str, marks: tuple[str, ...], tmp_path: Path
) -> None:
    raw = tmp_path / "raw"
    registry.make(dataset, raw, 30, seed=1)
    marked = {row["id"] for row in vflan_compile(task, raw, tmp_path / "marked")}
    paths = list((raw / dataset).glob(files))
    assert paths
    for path in paths:
        document = json.loads(path.read_text("utf-8"))
        for mark in marks:
            document = without(mark, document)
        path.write_text(json.dumps(document), "utf-8")
    unmarked = {row["id"] for row in vflan_compile(task, raw, tmp_path / "unmarked")}
    assert marked and unmarked > marked


@pytest.mark.parametrize(
    "shown",
    [
        {"3-9": "9-Mar", "10-19": "19-Oct"},
        {"3-9": "09-Mar", "10-19": "19-Oct"},
        {"3-9": "3-Sep", "10-19": "Oct-19"},
        {"3-9": "03-Sep", "10-19": "Oct-19"},
        {"3-9": "Mar-09", "10-19": "Oct-19"},
        {"3-9": "Sep-03", "10-19": "Oct-19"},
    ],
    ids=lambda shown: " ".join(shown.values()),
)
def test_ages_that_a_spreadsheet_took_for_dates_are_ages(shown: dict[str, str], tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    registry.make("fairface", raw, 60, seed=1)
    path = raw / "fairface/fairface_label_train.csv"
    lines = path.read_text("utf-8")
    for age, date in shown.items():
        assert f",{age}," in lines
        lines = lines.replace(f",{age},", f",{date},")
    path.write_text(lines, "utf-8")
    rows = vflan_compile("face_fairface_age", raw, tmp_path / "out")
    assert len(rows) == 60
    assert not list(disagreements(rows, read_truth(raw, "face_fairface_age")))
