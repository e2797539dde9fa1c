"""`vflan check --since main` on a real branch with a sloppy or hostile change: what the reviewer reads."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.toy import Toy
from vision_flan.cli.main import run, vflan
from vision_flan.errors import ExitCode
from vision_flan.spec.catalog import Catalog


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """The toy dataset with a sibling task and a miniature on main, and a branch of a pull request."""
    specs = toy.specs / "toy"
    sibling = (specs / "toy_color.yaml").read_text("utf-8").replace("id: toy_color", "id: toy_hue")
    (specs / "toy_hue.yaml").write_text(sibling, "utf-8")
    shutil.copy(toy.root / "instructions/toy_color.j2", toy.root / "instructions/toy_hue.j2")
    cut = toy.root / "tests/miniatures/toy"
    shutil.copytree(toy.raw / "toy", cut / "raw")
    (cut / "expected.jsonl").write_text("")
    (toy.root / ".gitignore").write_text("/raw\n")
    monkeypatch.setattr(
        Catalog, "default", classmethod(lambda cls: Catalog(toy.specs, toy.root / "instructions"))
    )
    assert run(vflan, ["miniature", "expect", "toy"]) == ExitCode.OK
    git(toy.root, "init", "--quiet", "--initial-branch", "main")
    git(toy.root, "add", "--all")
    git(toy.root, "commit", "--quiet", "--message", "Specs")
    git(toy.root, "switch", "--quiet", "--create", "change")
    return toy


def checked(repository: Toy, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    git(repository.root, "add", "--all")
    git(repository.root, "commit", "--quiet", "--allow-empty", "--message", "A change")
    capsys.readouterr()
    code = run(vflan, ["check", "--since", "main", *more])
    return code, capsys.readouterr().out


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def test_a_wrong_label_of_a_shared_table_is_found_in_every_task_of_it(
    repository: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    replace(repository.specs / "toy/dataset.yaml", "r: red, g: green", "r: green, g: red")
    code, shown = checked(repository, capsys)
    assert code == ExitCode.FAILED
    assert "the label 'r' of 'colors' was 'red', and is 'green' now [relabeled]" in shown
    assert "compare it with upstream's own list" in shown
    for task in ("toy_color", "toy_hue"):
        assert f"{task}.yaml: error: " in shown and f"{task}: 12 instances before, 12 after" in shown
    assert "fix the task, or write down what it makes now: vflan miniature expect" in shown


def test_a_changed_file_of_the_miniature_is_a_change_of_all_its_tasks(
    repository: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = repository.root / "tests/miniatures/toy/raw/toy.json"
    replace(raw, '"r"', '"b"')
    code, shown = checked(repository, capsys)
    assert code == ExitCode.FAILED and "tasks: 2, datasets: 1" in shown
    assert "toy_color.yaml: error: " in shown and "toy_hue.yaml: error: " in shown


def test_a_new_task_of_placeholders_with_a_copied_instruction_and_no_miniature(
    repository: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    long = (
        "The image shows one square in front of a plain ground. Look at the square alone, not at the "
        "ground, and say which color it has. Answer with the option's letter and text.\n"
    )
    (repository.root / "instructions/toy_color.j2").write_text(long, "utf-8")
    git(repository.root, "commit", "--quiet", "--all", "--message", "A longer instruction")
    git(repository.root, "branch", "--force", "main")
    assert run(vflan, ["new", "gnomes", "object_gnomes"]) == ExitCode.OK
    (repository.root / "instructions/object_gnomes.j2").write_text(long, "utf-8")
    code, shown = checked(repository, capsys)
    assert code == ExitCode.FAILED
    for said in (
        "gnomes has no miniature",
        "vflan miniature cut gnomes --raw DIR",
        "the citation is a placeholder",
        "BibTeX as the authors ask for",
        "the license is a placeholder",
        "nearly the same instruction as toy_color",
        "say what sets the two tasks apart",
        "object_gnomes: not compared: no miniature of a dataset 'gnomes'",
    ):
        assert said in shown, shown


def test_text_of_a_change_steers_neither_terminal_nor_annotations(
    repository: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    """A label with an escape sequence and a command of GitHub's is shown as text."""
    spec = repository.specs / "toy/dataset.yaml"
    replace(spec, "y: yellow", 'y: "yellow\\e]0;owned\\a\\n::error::all is fine"')
    for form in ((), ("--format", "github"), ("--json",)):
        _, shown = checked(repository, capsys, *form)
        assert "\x1b" not in shown and "\x07" not in shown
        assert not any(line.startswith("::error::all is fine") for line in shown.splitlines())
