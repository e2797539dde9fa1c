"""Each folder of bad_specs/ is the sound one with a fault; output.txt is what `vflan validate --all` prints.

`VFLAN_GOLDEN=1 pytest tests/review/test_validate.py` rewrites output.txt and the table of rules in
docs/spec.md; review the diff before you commit it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from vision_flan.cli.main import run, vflan
from vision_flan.errors import ExitCode, SpecError
from vision_flan.review.changed import changed_tasks
from vision_flan.review.validate import rules, rules_markdown, validate
from vision_flan.spec.catalog import Catalog

CASES = Path(__file__).parent / "bad_specs"
DOCS = Path(__file__).parents[2] / "docs" / "spec.md"


def catalog_in(folder: Path, *cases: str) -> Catalog:
    for case in ("sound", *cases):
        shutil.copytree(CASES / case, folder, dirs_exist_ok=True)
    return Catalog(folder / "task_specs", folder / "instructions")


def vflan_validate(catalog: Catalog, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    monkeypatch.setattr(Catalog, "default", classmethod(lambda cls: catalog))
    monkeypatch.chdir(catalog.specs.parent)
    return CliRunner().invoke(vflan, ["validate", *arguments])


@pytest.mark.parametrize("case", sorted(path.name for path in CASES.iterdir()))
def test_validate_says_what_is_wrong_and_where(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = vflan_validate(catalog_in(tmp_path, case), monkeypatch, "--all")
    expected = CASES / case / "output.txt"
    if os.environ.get("VFLAN_GOLDEN"):
        expected.write_text(result.stdout, "utf-8")
    assert result.stdout == expected.read_text("utf-8")
    assert result.exit_code == (ExitCode.FAILED if ": error: " in result.stdout else ExitCode.OK)


def test_all_findings_of_all_files_are_shown_at_once(tmp_path: Path) -> None:
    catalog = catalog_in(tmp_path, "numbers_wrong", "raw_labels", "template_syntax")
    assert {found.rule for found in validate(catalog).findings} >= {
        "allow",
        "available",
        "raw_labels",
        "template",
    }


def test_json_has_every_part_of_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = vflan_validate(catalog_in(tmp_path, "key_unknown_column"), monkeypatch, "animal_pets", "--json")
    printed = json.loads(result.stdout)
    (found,) = printed.pop("findings")
    assert printed == {"tasks": 1, "datasets": 1, "errors": 1, "warnings": 0}
    assert found["file"] == "task_specs/pets/animal_pets.yaml"
    assert (found["line"], found["column"], found["rule"]) == (10, 1, "key")
    assert found["message"] and found["hint"] and found["severity"] == "error"


def test_the_median_length_of_instructions_is_printed_for_the_whole_catalog(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = catalog_in(tmp_path, "alias_taken")
    catalog.instruction_file("animal_pets").write_text("{{ name }} is a word,\n{% if id %}three{% endif %}\n")
    catalog.instruction_file("animal_pets_two").write_text("One two three.\n")
    text = vflan_validate(catalog, monkeypatch, "--all").stdout
    assert text.endswith("\nmedian instruction: 3.5 words\n")
    printed = json.loads(vflan_validate(catalog, monkeypatch, "--all", "--json").stdout)
    assert printed["median_instruction_words"] == 3.5
    assert "median" not in vflan_validate(catalog, monkeypatch, "animal_pets").stdout


def test_github_format_is_an_annotation_of_the_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = catalog_in(tmp_path, "key_unknown_column")
    result = vflan_validate(catalog, monkeypatch, "animal_pets", "--format", "github")
    assert result.stdout.startswith("::error file=task_specs/pets/animal_pets.yaml,line=10,col=1,title=key::")


def test_a_task_is_found_by_its_released_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = vflan_validate(catalog_in(tmp_path), monkeypatch, "Pets+kind")
    assert result.stdout == "tasks: 1, datasets: 1, errors: 0, warnings: 0\n"


def test_an_unknown_task_is_an_error_that_names_near_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    catalog = catalog_in(tmp_path)
    monkeypatch.setattr(Catalog, "default", classmethod(lambda cls: catalog))
    assert run(vflan, ["validate", "animal_pet"]) == ExitCode.FAILED
    assert "did you mean animal_pets" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["animal_pets", "--all"]])
def test_what_to_check_is_said_in_one_way(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert vflan_validate(catalog_in(tmp_path), monkeypatch, *arguments).exit_code == ExitCode.USAGE


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def committed(tmp_path: Path) -> Catalog:
    catalog = catalog_in(tmp_path, "alias_taken")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "specs")
    return catalog


@pytest.mark.parametrize(
    ("touched", "tasks"),
    [
        ("instructions/animal_pets.j2", ["animal_pets"]),
        ("task_specs/pets/animal_pets_two.yaml", ["animal_pets_two"]),
        ("task_specs/pets/dataset.yaml", ["animal_pets", "animal_pets_two"]),
        ("task_specs/suites/small.yaml", []),
    ],
)
def test_changed_finds_the_tasks_that_a_file_belongs_to(
    committed: Catalog, touched: str, tasks: list[str]
) -> None:
    file = committed.specs.parent / touched
    file.write_text(file.read_text("utf-8") + "\n", "utf-8")
    assert changed_tasks(committed, "HEAD") == tasks


def test_changed_sees_files_that_git_does_not_know_yet(committed: Catalog) -> None:
    (committed.specs / "pets" / "colors.yaml").write_text("r: red\n", "utf-8")
    assert changed_tasks(committed, "HEAD") == ["animal_pets", "animal_pets_two"]


def test_changed_with_an_unknown_revision_is_an_error(committed: Catalog) -> None:
    with pytest.raises(SpecError, match="bad revision"):
        changed_tasks(committed, "no-such-revision")


def test_the_manual_of_every_rule_is_in_the_docs() -> None:
    assert all(manual.endswith(".") for manual in rules().values())
    text, heading, old = DOCS.read_text("utf-8").partition("## Rules of `vflan validate`\n")
    introduction = old.partition("| rule |")[0]
    if os.environ.get("VFLAN_GOLDEN"):
        DOCS.write_text(text + heading + introduction + rules_markdown(), "utf-8")
        return
    assert old == introduction + rules_markdown(), "run: VFLAN_GOLDEN=1 pytest tests/review/test_validate.py"
