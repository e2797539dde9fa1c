"""Records of a suite's tasks are counted side by side, with the numbers one process finds."""

from __future__ import annotations

from pathlib import Path

import pytest

from vision_flan.build.counting import count_records
from vision_flan.miniatures import registry
from vision_flan.records.table_cache import TableCache
from vision_flan.report import Silent
from vision_flan.spec.catalog import Catalog

RECORDS = 12
TASKS = ("knowledge_vqarad", "object_imagenet_r", "rationale_vqg", "caption_vqg")


class Noted(Silent):
    """What a user is told."""

    def __init__(self) -> None:
        self.steps = 0
        self.notes: list[str] = []

    def advance(self, steps: int, size: int = 0) -> None:
        self.steps += steps

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raw files of two of three datasets, of which one holds a broken file."""
    folder = tmp_path_factory.mktemp("raw")
    for dataset in ("vqa_rad", "vqg"):
        registry.make(dataset, folder, RECORDS, seed=0)
    (folder / "vqg/coco_train_all.csv").write_text('image_id,questions\n"1', "utf-8")
    return folder


@pytest.mark.parametrize("jobs", [1, 2, 8])
def test_any_number_of_jobs_finds_the_same_and_notes_what_is_broken(
    raw: Path, jobs: int, tmp_path: Path
) -> None:
    catalog, report = Catalog.default(), Noted()
    tasks = [catalog.task(name) for name in TASKS]
    found = count_records(tasks, raw, catalog, report, TableCache(tmp_path), jobs)
    assert set(found) == set(TASKS)
    assert found["knowledge_vqarad"] == (RECORDS, "")
    assert found["object_imagenet_r"] == (None, "no raw files")
    assert found["rationale_vqg"][0] is None
    assert found["rationale_vqg"][1].startswith("not counted: ")
    assert report.steps == len(TASKS)
    assert any(note.startswith("rationale_vqg is not counted: ") for note in report.notes)
