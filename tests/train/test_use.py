"""What its makers forbid to train on stays out of training and exports."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.train.drawn import row, write_compiled
from vision_flan.exports.write import ExportChoices, export
from vision_flan.spec.catalog import Catalog
from vision_flan.train.config import Data, Source
from vision_flan.train.corpus import open_corpus
from vision_flan.train.use import ForbiddenError, forbidden

TASKS = ("object_objectnet", "ocr_textocr")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = {task: [row(task, f"{n}", None, "Say it.", f"it {n}", "Text") for n in range(3)] for task in TASKS}
    return write_compiled(tmp_path / "vision-flan", rows)


def test_objectnet_is_forbidden_and_its_makers_say_why() -> None:
    assert list(forbidden(TASKS)) == ["object_objectnet"]
    assert "never be used to tune" in forbidden(TASKS)["object_objectnet"]


def test_an_export_leaves_forbidden_tasks_out_and_says_so(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(folder, tmp_path / "out", "messages").total == 3
    assert "object_objectnet: left out" in capsys.readouterr().err
    assert "objectnet" not in "".join(p.read_text() for p in (tmp_path / "out").glob("*.jsonl"))


def test_a_forbidden_task_wants_a_reason(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ForbiddenError, match="no reason"):
        export(folder, tmp_path / "out", "messages", ExportChoices(include_forbidden=["object_objectnet"]))
    asked = ExportChoices(include_forbidden=["object_objectnet"], reason="Its authors agreed.")
    assert export(folder, tmp_path / "all", "messages", asked).total == 6


def test_a_forbidden_task_is_asked_for_by_its_published_name_too(folder: Path, tmp_path: Path) -> None:
    name = Catalog.default().task("object_objectnet").alias
    assert name and name != "object_objectnet"
    asked = ExportChoices(tasks=[name], include_forbidden=[name], reason="Its authors agreed.")
    assert export(folder, tmp_path / "one", "messages", asked).total == 3
    wanted = Data(
        root=str(folder), sources=(Source(),), include_forbidden=(name,), reason="Its authors agreed."
    )
    assert {t.task for t in open_corpus(wanted, 0).tables} == set(TASKS)


def test_the_trainer_leaves_forbidden_tasks_out(folder: Path) -> None:
    sources = (Source(),)
    assert {t.task for t in open_corpus(Data(root=str(folder), sources=sources), 0).tables} == {"ocr_textocr"}
    asked = Data(
        root=str(folder),
        sources=sources,
        include_forbidden=("object_objectnet",),
        reason="Its authors agreed.",
    )
    assert {t.task for t in open_corpus(asked, 0).tables} == set(TASKS)
