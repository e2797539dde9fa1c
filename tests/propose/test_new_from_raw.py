"""What a new user does: from a folder of files to `load_dataset`, without Python."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import datasets
import pytest
from click.testing import CliRunner

from tests.folders_of_files import harbor, paintings, pairs, snails
from vision_flan.cli.main import run, vflan
from vision_flan.errors import ExitCode


def change(path: Path, *lines: tuple[str, str]) -> None:
    """Edit a file by hand: at most ten lines."""
    text = path.read_text("utf-8")
    for old, new in lines:
        assert old in text, text
        text = text.replace(old, new)
    assert sum(new.count("\n") + 1 for _, new in lines) <= 10
    path.write_text(text, "utf-8")


def test_class_folders_in_a_zip_need_no_edit(typed: Any, compiled: Any, tmp_path: Path) -> None:
    snails(tmp_path / "raw")
    shown = typed("new", "snails", "animal_snails", "--raw", "raw", "--yes")
    assert "30 records; the first 5:" in shown
    assert "1 file(s) match no table: snails/README.txt (text for people)" in shown
    rows = compiled("animal_snails")
    assert len(rows) == 30
    assert set(rows[0]["options"]) == {"garden snail", "roman snail", "water snail"}
    assert re.fullmatch(r"\([ABC]\) (garden|roman|water) snail", rows[0]["target"])
    assert rows[0]["image"].size == (48, 36)


def test_a_latin_1_table_is_read_as_it_is(typed: Any, compiled: Any, tmp_path: Path) -> None:
    paintings(tmp_path / "raw")
    shown = typed("new", "paintings", "style_paintings", "--raw", "raw", "--yes", "--form", "label",
                  "--category", "Image-Style Classification")  # fmt: skip
    assert "Stil: VARCHAR" in shown and "Nr: VARCHAR" in shown
    change(
        tmp_path / "mine/task_specs/paintings/dataset.yaml",
        ("Cubisme: cubisme", "Cubisme: cubism"),
        ("Réalisme: réalisme", "Réalisme: realism"),
        ("Surréalisme: surréalisme", "Surréalisme: surrealism"),
    )
    change(tmp_path / "mine/instructions/style_paintings.j2", ("the stil that this image shows", "the style"))
    typed("miniature", "expect", "paintings")
    rows = compiled("style_paintings")
    assert Counter(rows["target"]) == {"surrealism": 7, "realism": 8, "cubism": 8}
    assert rows[0]["instruction"] == "Name the style. Answer with a single word or short phrase."


def test_coco_becomes_counting(typed: Any, compiled: Any, tmp_path: Path) -> None:
    folder = harbor(tmp_path / "raw")
    typed("new", "harbor", "count_harbor", "--raw", "raw", "--yes", "--form", "number")
    rows = compiled("count_harbor")
    coco = json.loads((folder / "instances_train.json").read_text())
    names = {image["id"]: image["file_name"] for image in coco["images"]}
    kinds = {kind["id"]: kind["name"] for kind in coco["categories"]}
    true = Counter(
        f"{names[one['image_id']]}#{kinds[one['category_id']]}"
        for one in coco["annotations"]
        if not one["iscrowd"]
    )
    assert {row["source_id"]: int(row["target"]) for row in rows} == true


def test_two_images_and_turns_become_a_dialogue_about_numbered_images(
    typed: Any, compiled: Any, tmp_path: Path
) -> None:
    pairs(tmp_path / "raw")
    typed("new", "pairs", "dialogue_pairs", "--raw", "raw", "--yes", "--scrub")
    change(
        tmp_path / "mine/task_specs/pairs/dialogue_pairs.yaml",
        ("  {{ turn", "  {{ 'Visitor' if turn[\"from\"] == 'human' else 'Guide' }}: {{ turn"),
        ('turn["from"] | capital }}: {{ ', ""),
    )
    typed("miniature", "expect", "pairs")
    rows = compiled("dialogue_pairs")
    assert len(rows) == 16 and set(rows["target"]) == {"yes", "no", "nearly"}
    assert rows[0]["input"].splitlines()[0] == "Visitor: Which one is brighter?"
    assert rows[0]["input"].splitlines()[2] == "Visitor: Are they the same size?"
    assert rows[0]["image"].width > 2 * 48


def test_the_miniature_stands_in_for_the_data(typed: Any, tmp_path: Path) -> None:
    snails(tmp_path / "raw")
    typed("new", "snails", "animal_snails", "--raw", "raw", "--yes")
    typed("miniature", "snails", "--out", "small")
    typed("compile", "--task", "animal_snails", "--raw", "small", "--out", "out")
    rows = datasets.load_dataset("out", "animal_snails", split="train")
    expected = {}
    for line in (tmp_path / "mine/tests/miniatures/snails/expected.jsonl").read_text().splitlines():
        expected[json.loads(line)["source_id"]] = json.loads(line)
    assert {row["source_id"]: row["target"] for row in rows} == {k: v["target"] for k, v in expected.items()}
    assert {"JPEG L 48x36", "JPEG RGB 48x36"} <= {line["image"] for line in expected.values()}
    assert any(key.endswith(".JPG") for key in expected)
    assert "Example (miniature)" in typed("show", "animal_snails")


def test_every_form_that_fits_is_valid_at_once(typed: Any, tmp_path: Path) -> None:
    harbor(tmp_path / "raw")
    snails(tmp_path / "raw")
    for form in ("options", "label", "list", "yes_no", "number"):
        task = f"harbor_{form}"
        typed("new", "harbor", task, "--raw", "raw", "--yes", "--form", form, "--root", f"root_{form}")
        shown = typed("validate", "--rendered", task, "--root", f"root_{form}")
        assert "errors: 0, warnings: 0" in shown, shown
    for form in ("label", "yes_no"):
        typed("new", "snails", f"snails_{form}", "--raw", "raw", "--yes", "--form", form, "--root", form)
        shown = typed("validate", "--rendered", f"snails_{form}", "--root", form)
        assert "errors: 0, warnings: 0" in shown, shown


def test_without_a_terminal_nothing_is_asked(typed: Any, tmp_path: Path) -> None:
    snails(tmp_path / "raw")
    typed("new", "snails", "animal_snails", "--raw", "raw", code=ExitCode.USAGE)
    assert not (tmp_path / "mine").exists()


def test_a_form_that_does_not_fit_names_those_that_do(
    typed: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    snails(tmp_path / "raw")
    arguments = ["new", "snails", "animal_snails", "--raw", "raw", "--yes", "--form", "sentence"]
    assert run(vflan, arguments) == ExitCode.FAILED
    assert "forms that fit: options, label, yes_no" in capsys.readouterr().err
    assert not (tmp_path / "mine/task_specs").exists()


def test_on_a_terminal_it_asks_for_form_and_category(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snails(tmp_path / "raw")
    monkeypatch.setattr("vision_flan.cli.new.is_terminal", lambda stream: True)
    arguments = ["new", "snails", "animal_snails", "--raw", str(tmp_path / "raw"), "--n", "0"]
    arguments += ["--root", str(tmp_path / "mine")]
    answers = "label\nAnimal Clasification\nAnimal Classification\ny\n"
    result = CliRunner().invoke(vflan, arguments, input=answers, catch_exceptions=False)
    assert "is not one of the paper's 25: did you mean Animal Classification" in result.output
    spec = (tmp_path / "mine/task_specs/snails/animal_snails.yaml").read_text("utf-8")
    assert "form: label\n" in spec and "category: Animal Classification" in spec
    assert "table: images" in spec and not (tmp_path / "mine/tests").exists()
    other = [*arguments[:-1], str(tmp_path / "other")]
    refused = CliRunner().invoke(vflan, other, input="\n\nn\n")
    assert refused.exit_code == ExitCode.FAILED and not (tmp_path / "other").exists()


def test_a_map_may_name_a_dataset_that_is_not_known_yet(typed: Any, compiled: Any, tmp_path: Path) -> None:
    snails(tmp_path / "raw")
    (tmp_path / "raw/snails").rename(tmp_path / "elsewhere")
    (tmp_path / "raw.yaml").write_text("snails: elsewhere\n", "utf-8")
    typed("new", "snails", "animal_snails", "--raw-map", "raw.yaml", "--yes")
    assert len(compiled("animal_snails")) == 30


def test_files_in_a_folder_of_another_name_are_to_be_mapped(
    typed: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    snails(tmp_path / "raw")
    folder = (tmp_path / "raw/snails").rename(tmp_path / "gastropods")
    assert (
        run(vflan, ["new", "snails", "animal_snails", "--raw", "gastropods", "--yes"]) == ExitCode.MISSING_RAW
    )
    advice = f"write `snails: {folder}` into raw.yaml and pass --raw-map raw.yaml"
    assert advice in capsys.readouterr().err
    (tmp_path / "raw.yaml").write_text(f"snails: {folder}\n", "utf-8")
    typed("new", "snails", "animal_snails", "--raw-map", "raw.yaml", "--yes")
