"""Specs of one's own beside the package's: `--root`, VFLAN_ROOT, and packages that register a root."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.pets import SOUND, TASK, pets_raw
from vision_flan.cli.main import run, vflan
from vision_flan.errors import ExitCode, SpecError
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.roots import chosen_roots


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A root with the dataset `pets` and its task."""
    return Path(shutil.copytree(SOUND, tmp_path / "mine"))


def test_private_tasks_come_beside_the_packages_own(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = set(Catalog.default().task_files)
    monkeypatch.setenv("VFLAN_ROOT", str(mine))
    catalog = Catalog.default()
    assert set(catalog.task_files) == alone | {TASK}
    assert catalog.task(TASK).dataset == "pets" and catalog.suite("small") == (TASK,)
    assert catalog.instruction_file(TASK).parent == mine / "instructions"
    assert catalog.instruction_file("ocr_textocr").parent != mine / "instructions"
    assert catalog.tasks_at_home == (TASK,)


def test_every_command_takes_a_root(mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw, out = pets_raw(tmp_path / "raw"), tmp_path / "out"
    for arguments in (
        ["list", "--dataset", "pets"],
        ["show", TASK, "--raw", str(raw)],
        ["validate", "--all"],
        ["compile", "--task", TASK, "--raw", str(raw), "--out", str(out)],
        ["verify", str(out)],
        ["preview", TASK, "--raw", str(raw), "--out", str(tmp_path / "preview.html")],
        ["suite", "list"],
    ):
        assert run(vflan, [*arguments, "--root", str(mine)]) == ExitCode.OK, arguments
        shown = capsys.readouterr().out
        assert "tasks: 1," in shown or arguments[0] != "validate"
    assert run(vflan, ["show", TASK]) == ExitCode.FAILED, "a root counts for its own command only"


def test_a_root_of_a_misused_command_is_forgotten(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    misused = ["miniature", "textocr", "--out", "raw", "--n", "many"]
    kept = CliRunner().invoke(vflan, misused)  # its error holds the command that was never closed
    assert kept.exit_code == run(vflan, misused) == ExitCode.USAGE
    monkeypatch.setenv("VFLAN_ROOT", str(mine))
    assert TASK in Catalog.default().task_files


def test_a_root_without_specs_is_an_error_and_not_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(vflan, ["list", "--root", str(tmp_path)]) == ExitCode.FAILED
    assert "this root has no folder task_specs/" in capsys.readouterr().err
    monkeypatch.setenv("VFLAN_ROOT", str(tmp_path / "typo"))
    with pytest.raises(SpecError, match="no folder task_specs"):
        Catalog.default()


def test_a_root_may_add_a_task_to_a_dataset_of_the_package(tmp_path: Path) -> None:
    root = tmp_path / "more"
    with chosen_roots([root], may_be_new=True):
        own = Catalog.default()
        (root / "task_specs/aid").mkdir(parents=True)
        (root / "instructions").mkdir()
        spec = own.task_files["scene_aid"].read_text("utf-8").replace("id: scene_aid", "id: scene_aid_mine")
        spec = spec.replace("suites: [vision_flan]\n", "").replace(
            "Scene Classification", "Views from Above", 1
        )
        spec = "\n".join(line for line in spec.splitlines() if not line.startswith(("alias:", "suites:")))
        (root / "task_specs/aid/scene_aid_mine.yaml").write_text(spec + "\n", "utf-8")
        text = own.instruction_file("scene_aid").read_text("utf-8")
        (root / "instructions/scene_aid_mine.j2").write_text(text, "utf-8")
        catalog = Catalog.default()
    assert catalog.dataset_of(catalog.task("scene_aid_mine")).dataset == "aid"
    assert catalog.tasks_at_home == ("scene_aid_mine",)


def test_a_name_that_the_package_has_is_reported(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    taken = mine / "task_specs/pets/ocr_textocr.yaml"
    taken.write_text((mine / f"task_specs/pets/{TASK}.yaml").read_text().replace(TASK, "ocr_textocr"))
    assert run(vflan, ["validate", "--all", "--root", str(mine)]) == ExitCode.FAILED
    assert "the task id 'ocr_textocr' is taken by textocr/ocr_textocr.yaml" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["show"], ["validate"], ["compile", "--raw", "raw", "--task"]])
def test_a_task_that_another_root_has_too_is_refused_unless_they_are_alike(
    mine: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    shipped = Catalog.default().task_files["ocr_textocr"]
    copy = mine / "task_specs/textocr/ocr_textocr.yaml"
    copy.parent.mkdir()
    copy.write_text(shipped.read_text("utf-8"), "utf-8")
    assert run(vflan, ["show", "ocr_textocr", "--root", str(mine)]) == ExitCode.OK
    copy.write_text(shipped.read_text("utf-8").replace("title: ", "title: My "), "utf-8")
    capsys.readouterr()
    assert run(vflan, [*command, "ocr_textocr", "--root", str(mine)]) == ExitCode.FAILED
    captured = capsys.readouterr()
    assert "the task id 'ocr_textocr' is taken by textocr/ocr_textocr.yaml" in captured.out + captured.err


def test_a_shipped_task_is_valid_beside_a_root_of_ones_own(mine: Path) -> None:
    assert run(vflan, ["validate", "ocr_textocr", "--root", str(mine)]) == ExitCode.OK


def test_a_package_can_register_a_root(mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    shutil.copytree(mine, site / "pet_tasks")
    (site / "pet_tasks/__init__.py").write_text("raise SystemExit('no code of it runs')\n")
    info = site / "pet_tasks-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pet-tasks\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[vision_flan.roots]\npets = pet_tasks\n")
    monkeypatch.syspath_prepend(str(site))
    assert TASK in Catalog.default().task_files
    assert "pet_tasks" not in sys.modules


@pytest.mark.parametrize(
    ("suites", "category", "severity"),
    [
        ("[vision_flan]", "Pets and Plants", "error"),
        ("[small]", "Pets and Plants", ""),
        ("[small]", "Animal Clasification", "warning"),
        ("[small]", "OCR", ""),
    ],
)
def test_a_new_category_is_for_other_suites(
    mine: Path, suites: str, category: str, severity: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = mine / f"task_specs/pets/{TASK}.yaml"
    text = (
        path.read_text()
        .replace("Animal Classification", category)
        .replace("suites: [small]", f"suites: {suites}")
    )
    path.write_text(text)
    run(vflan, ["validate", TASK, "--root", str(mine)])
    found = [line for line in capsys.readouterr().out.splitlines() if line.endswith("[category]")]
    assert len(found) == bool(severity) and all(f": {severity}: " in line for line in found)
