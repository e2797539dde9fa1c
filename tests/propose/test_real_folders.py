"""Folders as newcomers have them: `vflan new --raw` proposes what a person would, and it compiles."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.folders_of_users import (
    FOLDERS,
    boxes_in_csv,
    hub_image_folder,
    kaggle_competition,
    one_hot,
    put,
    roboflow_coco,
    yolo,
)
from vision_flan.errors import ExitCode


@pytest.mark.parametrize(
    ("make", "reader", "form", "count", "targets", "said"), FOLDERS, ids=[one[0].__name__ for one in FOLDERS]
)
def test_the_folder_becomes_a_task(
    make: Callable[[Path], None], reader: str, form: str, count: int, targets: set[str], said: str,
    typed: Any, compiled: Any, tmp_path: Path,
) -> None:  # fmt: skip
    make(tmp_path / "raw/things")
    shown = typed("new", "things", "things_task", "--raw", "raw", "--yes", "--form", form)
    assert said in shown and f"reader {reader}" in shown, shown
    rows = compiled("things_task")
    assert len(rows) == count
    assert targets <= {re.sub(r"^\([A-Z]\) ", "", target) for target in rows["target"]}
    assert rows[0]["image"].size == (48, 36)


@pytest.mark.parametrize(
    "make", [kaggle_competition, yolo, one_hot, roboflow_coco], ids=lambda one: one.__name__
)
def test_what_is_proposed_without_a_form_is_one_that_fits(
    make: Callable[[Path], None], typed: Any, compiled: Any, tmp_path: Path
) -> None:
    make(tmp_path / "raw/things")
    typed("new", "things", "things_task", "--raw", "raw", "--yes")
    assert all(re.match(r"\([A-Z]\) ", target) for target in compiled("things_task")["target"])


def test_images_that_show_several_kinds_are_said_to_be_left_out(typed: Any, tmp_path: Path) -> None:
    yolo(tmp_path / "raw/things")
    shown = typed("new", "things", "things_task", "--raw", "raw", "--yes")
    assert (
        "images that show several kinds are left out; --form list, number or yes_no takes them too" in shown
    )


def test_a_folder_of_which_nothing_can_be_made_says_what_was_seen(
    typed: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(tmp_path / "raw/things/train_x.bin", bytes(5000))
    put(tmp_path / "raw/things/README.md", "hello")
    put(tmp_path / "raw/things/names.csv", "id,name\n1,a\n2,b\n")
    from vision_flan.cli.main import run, vflan

    assert run(vflan, ["new", "things", "things_task", "--raw", "raw", "--yes"]) == ExitCode.FAILED
    said = capsys.readouterr().err
    assert "table names: 2 rows of names.csv" in said
    assert "no table: train_x.bin: the reader `binary` needs the form of its records" in said
    assert "no table: README.md: text for people" in said


def test_a_proposal_is_json_too_and_a_dry_run_writes_nothing(typed: Any, tmp_path: Path) -> None:
    kaggle_competition(tmp_path / "raw/things")
    facts = json.loads(typed("new", "things", "things_task", "--raw", "raw", "--dry-run", "--json"))
    assert facts["tables"] == [{
        "name": "train", "reader": "delimited", "file": "train.csv", "files": 1, "rows": 40,
        "columns": {"image_id": "VARCHAR", "label": "BIGINT"}, "options": {},
    }]  # fmt: skip
    assert (facts["image"], facts["key"], facts["label"]) == (
        "train_images/{{ image_id }}",
        "image_id",
        "label",
    )
    assert (facts["form"], facts["forms"]) == ("options", ["options", "label", "yes_no"])
    assert facts["labels"]["classes"]["0"] == "cassava bacterial blight"
    assert {"path": "test.csv", "why": "its lines have one column: no records"} in facts["unmatched"]
    assert facts["available"] == 40 and len(facts["records"]) == 5 and not facts["files"]
    assert not (tmp_path / "mine/task_specs").exists()
    written = json.loads(typed("new", "things", "things_task", "--raw", "raw", "--json"))
    assert [Path(file).name for file in written["files"]] == [
        "dataset.yaml",
        "things_task.yaml",
        "things_task.j2",
    ]
    assert all(Path(file).is_file() for file in written["files"]) and Path(written["miniature"]).is_dir()
    refused = json.loads(typed("new", "things", "again_task", "--raw", "raw", "--json", code=ExitCode.FAILED))
    assert refused["error"]["code"] == ExitCode.FAILED and "vflan new things TASK" in refused["error"]["hint"]
    shown = typed("new", "other", "other_task", "--raw", "raw", "--dry-run", code=ExitCode.MISSING_RAW)
    assert "table" not in shown


def test_a_dry_run_shows_the_files_as_they_would_be(typed: Any, tmp_path: Path) -> None:
    kaggle_competition(tmp_path / "raw/things")
    shown = typed("new", "things", "things_task", "--raw", "raw", "--dry-run")
    assert "would write task_specs/things/things_task.yaml:" in shown and "target: " in shown
    assert not (tmp_path / "mine/task_specs").exists()


def _renamed_columns(folder: Path, names: Mapping[str, str]) -> None:
    """Give columns of the CSV files other names."""
    for path in folder.rglob("*.csv"):
        head, newline, rest = path.read_text("utf-8").partition("\n")
        renamed = ",".join(names.get(name, name) for name in head.split(","))
        path.write_text(renamed + newline + rest, "utf-8")


ODD_NAMES = {
    "image_id": "Image Id",
    "label": "The Label",
    "filename": "File Name",
    "class": "Class (of the sign)",
    "file_name": "File Name",
    "image": "Image name",
    "caption": "Caption in English",
    "comment": "Comment Text",
}


@pytest.mark.parametrize(
    ("make", "form"),
    [(kaggle_competition, "options"), (kaggle_competition, "yes_no"), (boxes_in_csv, "options"),
     (boxes_in_csv, "yes_no"), (hub_image_folder, "options"), (one_hot, "options")],
    ids=lambda one: getattr(one, "__name__", str(one)),
)  # fmt: skip
def test_names_of_columns_may_have_spaces(
    make: Callable[[Path], None], form: str, typed: Any, compiled: Any, tmp_path: Path
) -> None:
    make(tmp_path / "raw/things")
    _renamed_columns(tmp_path / "raw/things", ODD_NAMES)
    assert " -> " in typed("new", "things", "things_task", "--raw", "raw", "--yes", "--form", form)
    assert compiled("things_task")[0]["image"].size == (48, 36)
