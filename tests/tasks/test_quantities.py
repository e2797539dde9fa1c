"""What tasks say they make of upstream's files, against what upstream's own files and lists say."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import pytest

from tests.real_samples import MISSING, sample_of
from vision_flan.spec.catalog import Catalog

catalog = Catalog.default()
CORE50 = sample_of("core50")
#: Tasks whose train split is below the cap of 10,000, and that take upstream's validation split after it.
BOTH_SPLITS = [
    "vehicle_fgvc_aircraft_family",
    "vehicle_fgvc_aircraft_manufacturer",
    "vehicle_fgvc_aircraft_model",
    "vehicle_fgvc_aircraft_variant",
    "texture_dtd",
    "texture_dtd_multiple",
    "vqa_tdiuc_activity",
    "vqa_tdiuc_sentiment",
    "vqa_tdiuc_utility_affordance",
    "knowledge_viquae",
    "knowledge_okvqa",
    "caption_senticap",
    "scene_jhu_crowd",
    "reasoning_geometry3k",
    "scene_dark_zurich",
    "object_exdark",
]


@pytest.mark.skipif(CORE50 is None, reason=MISSING)
def test_core50_has_the_frames_of_its_train_sessions() -> None:
    assert CORE50 is not None
    archive = zipfile.ZipFile(Path(CORE50, "extras", "dataset_dims.zip"))
    table = io.TextIOWrapper(archive.open("dataset_dims/Color128x128.tsv"), "utf-8")
    rows = [row for row in csv.DictReader(table, delimiter="\t") if row[""].startswith("o")]
    assert len(rows) == 50
    train = [f"s{session}" for session in range(1, 12) if session not in (3, 7, 10)]
    assert (
        sum(int(row[session]) for row in rows for session in train) == catalog.task("object_core50").available
    )


def test_what_is_not_counted_says_so() -> None:
    for name in ("human_yoga82", "matching_vqav2_question"):
        task = catalog.task(name)
        assert task.confidence == "low"
        assert "confidence: low  # " in catalog.task_files[name].read_text("utf-8"), name


def test_charts_of_one_column_and_of_several_are_all_of_chart2text() -> None:
    task = catalog.task("caption_chart2text")
    assert task.available == 6763
    assert catalog.dataset("chart2text").splits["all"]["records"] == 6763 + 1542


def test_small_tasks_take_the_validation_split_after_train() -> None:
    both = [name for name in catalog.task_files if catalog.task(name).splits]
    assert sorted(both) == sorted(BOTH_SPLITS)
    for name in both:
        assert catalog.task(name).splits == ("train", "validation")


@pytest.mark.parametrize(
    "name", ["vqa_tdiuc_activity", "vqa_tdiuc_sentiment", "vqa_tdiuc_utility_affordance"]
)
def test_a_type_of_tdiuc_has_the_questions_of_both_splits(name: str) -> None:
    # by type: of train as the dataset's paper counts them, and of val as its evaluation does
    counted = {"activity": 5848 + 2682, "sentiment": 1461 + 634, "utility_affordance": 350 + 171}
    assert catalog.task(name).available == counted[name.removeprefix("vqa_tdiuc_")]
