"""Names that a user types: ids, published names, datasets, near misses; and errors as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.console import on_specs, vflan
from tests.toy import Toy
from vision_flan.cli.main import run
from vision_flan.cli.main import vflan as group
from vision_flan.errors import ExitCode
from vision_flan.spec.catalog import Catalog

ALIAS = "Toy+color"


@pytest.fixture
def built(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """The toy, compiled; its specs are the catalog, its folder the current one."""
    monkeypatch.setattr(Catalog, "default", classmethod(lambda cls: toy.catalog))
    monkeypatch.chdir(toy.root)
    assert run(group, ["compile", "--task", ALIAS]) == 0
    return toy


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    assert run(group, list(arguments)) == code
    found = capsys.readouterr()
    return found.out, found.err


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    return json.loads(printed(capsys, *arguments, "--json", code=code)[0])


# --- a name for each thing


@pytest.mark.parametrize("name", ["toy_color", ALIAS])
@pytest.mark.parametrize(
    "command",
    [
        ["show", "NAME"],
        ["validate", "NAME", "--not-rendered"],
        ["preview", "NAME", "--raw", "raw"],
        ["compile", "--task", "NAME"],
        ["verify", "vision-flan", "--task", "NAME"],
    ],
)
def test_a_task_answers_to_its_published_name_too(
    command: list[str], name: str, built: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [name if part == "NAME" else part for part in command]
    _, errors = printed(capsys, *arguments)
    assert "there is no task" not in errors


def test_verify_by_published_name_reads_that_config(built: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    found = as_json(capsys, "verify", "vision-flan", "--task", ALIAS)
    assert (found["configs"], found["shards"], found["problems"]) == (1, 1, [])


@pytest.mark.parametrize(
    ("command", "count"),
    [
        (["compile", "--task", "toy_color", "--task", ALIAS, "--json"], '"written": 12'),
        (["preview", "toy_color", ALIAS, "--raw", "raw", "--n", "5"], "preview.html: 5 instances"),
        (["preview", "toy_color", ALIAS, "--dataset", "vision-flan", "--n", "5"], "html: 5 instances"),
        (["stats", "vision-flan", "--task", "toy_color", "--task", ALIAS], "1 task: 12 instances"),
        (["export", "vision-flan", "--task", ALIAS, "--task", "toy_color", "--format", "llava", "--out", "x"],
         "x: 12 instances"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)  # fmt: skip
def test_a_task_that_is_named_twice_counts_once(
    command: list[str], count: str, built: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = printed(capsys, *command)
    assert out.count(count) == 1


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("toy_colour", "no config 'toy_colour', and there is no task of that name", "did you mean toy_color"),
        ("nosuch", "no config 'nosuch'", "`vflan list` shows all tasks"),
    ],
)
def test_verify_of_an_unknown_task_suggests_and_does_not_blame_the_folder(
    name: str, message: str, hint: str, built: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    _, errors = printed(capsys, "verify", "vision-flan", "--task", name, code=ExitCode.FAILED)
    assert message in errors and hint in errors and "has no compiled config" not in errors


def test_verify_of_a_task_that_is_not_compiled_names_the_command(
    built: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    (built.out / "manifest/toy_color.json").unlink()
    _, errors = printed(capsys, "verify", "vision-flan", "--task", ALIAS, code=ExitCode.FAILED)
    assert "has no config toy_color" in errors
    assert "next: vflan compile --task toy_color --out vision-flan" in errors


def test_show_of_a_dataset_lists_its_tasks(capsys: pytest.CaptureFixture[str]) -> None:
    text, _ = printed(capsys, "show", "textocr")
    assert text.startswith("textocr: TextOCR")
    assert "\nTasks\n  ocr_textocr: " in text
    found = as_json(capsys, "show", "textocr")
    assert [task["task"] for task in found["tasks"]] == ["ocr_textocr"]


@pytest.mark.parametrize(
    "name", ["cinic_10", "object_cinic10_animal", "cinic-10+image_classification_animal"]
)
def test_fetch_and_miniature_take_a_dataset_or_one_of_its_tasks(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = as_json(capsys, "fetch", name, "--dry-run", "--raw", str(tmp_path))
    assert found["dataset"] == "cinic_10"
    text, _ = printed(capsys, "miniature", name, "--out", str(tmp_path), "--n", "2")
    assert "a miniature of cinic_10" in text and (tmp_path / "cinic_10").is_dir()


@pytest.mark.parametrize(
    "arguments",
    [
        ["miniature", "texocr", "--out", "raw"],
        ["fetch", "texocr", "--dry-run"],
        ["show", "texocr"],
    ],
)
def test_a_near_miss_suggests_one_to_three_names(
    arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _, errors = printed(capsys, *arguments, code=ExitCode.FAILED)
    hint = errors.partition("did you mean ")[2].partition("?")[0].split(", ")
    assert "textocr" in hint and 1 <= len(hint) <= 3


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["chek"], "No such command 'chek'; did you mean check?"),
        (["prevew", "ocr_textocr"], "did you mean preview"),
        (["zzzz"], "`vflan --help` lists the commands"),
        (["--root", "mine", "new", "snails", "x"], "It comes after the command: vflan new ... --root"),
        (["--task", "x", "compile"], "It comes after the command: vflan compile ... --task"),
    ],
)
def test_a_command_that_is_typed_wrongly_says_how_it_goes(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, errors = printed(capsys, *arguments, code=ExitCode.USAGE)
    assert says in errors


def test_a_near_miss_of_a_suite_is_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    _, errors = printed(capsys, "suite", "plan", "vision_flam", code=ExitCode.FAILED)
    assert "did you mean vision_flan?" in errors


# --- lists


@pytest.mark.parametrize(
    ("filters", "says"),
    [
        (["--category", "ocrr"], "no task has category 'ocrr'; did you mean OCR?"),
        (["--dataset", "texocr"], "no task has dataset 'texocr'; did you mean textocr"),
        (["--suite", "vision_flam"], "no task has suite 'vision_flam'; did you mean vision_flan?"),
        (["--license", "CC-BY-4.1"], "no task has license 'CC-BY-4.1'; did you mean CC-BY-4.0"),
        (["--suite", "zzz"], "no task has suite 'zzz'; analysis, evaluation, "),
        (["--dataset", "textocr", "--category", "Science"], "tasks match all filters"),
    ],
)
def test_a_list_without_a_task_says_which_filter_leaves_none(
    filters: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if "Science" in filters:
        filters = ["--dataset", "textocr", "--category", Catalog.default().task("vqa_clevr").category]
    rows, errors = printed(capsys, "list", *filters)
    assert len(rows.splitlines()) == 1 and says in errors


def test_suites_are_listed_with_title_tasks_and_instances(capsys: pytest.CaptureFixture[str]) -> None:
    text, _ = printed(capsys, "suite", "list")
    assert text.splitlines()[0] == "suite\ttasks\tavailable\ttitle"
    catalog = Catalog.default()
    found = {row["suite"]: row for row in as_json(capsys, "suite", "list")}
    assert found.keys() == catalog.suites.keys()
    known = [catalog.task(task).available for task in catalog.suite("vision_flan")]
    assert found["vision_flan"]["tasks"] == 187
    assert found["vision_flan"]["available"] == sum(count or 0 for count in known)
    assert found["vision_flan"]["unknown"] == known.count(None)
    assert found["vision_flan"]["title"].startswith("The 187 tasks")


# --- errors as JSON


def test_an_error_is_json_with_code_message_hint_and_where(
    built: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    built.replace("dataset: toy", "dataset: tyo")
    error = as_json(capsys, "compile", "--task", "toy_color", code=ExitCode.FAILED)["error"]
    assert error == {
        "code": 1,
        "message": "there is no dataset 'tyo'",
        "hint": "did you mean toy?",
        "where": {"file": str(built.specs / "toy/toy_color.yaml"), "line": 4, "column": 1},
    }


def test_with_keep_going_a_failed_task_has_the_same_facts(
    built: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = ["--task", "toy_colour", "--task", "toy_color", "--keep-going"]
    failed, compiled = as_json(capsys, "compile", *tasks, code=ExitCode.FAILED)
    assert failed["task"] == "toy_colour" and compiled["task"] == "toy_color"
    assert failed["error"]["code"] == 1 and failed["error"]["hint"].startswith("did you mean toy_color")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["list", "--nosuch"], ExitCode.USAGE),
        (["compile"], ExitCode.USAGE),
        (["compile", "--task", "ocr_textocr", "--raw", "nowhere"], ExitCode.MISSING_RAW),
        (["show", "nosuch"], ExitCode.FAILED),
        (["suite", "plan", "nosuch"], ExitCode.FAILED),
        (["verify", "."], ExitCode.FAILED),
    ],
)
def test_json_is_one_document_whatever_goes_wrong(arguments: list[str], code: int, tmp_path: Path) -> None:
    done = vflan(*arguments, "--json", cwd=tmp_path)
    assert done.returncode == code
    document = json.loads(done.stdout)
    if "error" in document:
        assert document["error"].keys() == {"code", "message", "hint", "where"}
        assert document["error"]["code"] == code
    else:
        assert document["problems"]


@pytest.mark.parametrize("option", [["--json"], ["--format", "json"], ["--format=json"]])
def test_validate_has_errors_as_json_by_both_its_options(
    option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = printed(capsys, "validate", "ocr_textocrr", *option, code=ExitCode.FAILED)
    assert json.loads(out)["error"]["hint"].startswith("did you mean ocr_textocr")


# --- completion


@pytest.mark.parametrize(
    ("shell", "says"), [("bash", "complete -o"), ("zsh", "#compdef"), ("fish", "complete ")]
)
def test_a_completion_script_is_produced(shell: str, says: str) -> None:
    script = "import sys; sys.argv[0] = 'vflan'\nfrom vision_flan.cli.main import main\nmain()"
    done = vflan(env={"_VFLAN_COMPLETE": f"{shell}_source"}, command=[*on_specs(Path())[:2], script])
    assert done.returncode == 0, done.stderr
    assert says in done.stdout and "_VFLAN_COMPLETE" in done.stdout


def test_completion_offers_commands_and_options() -> None:
    script = "import sys; sys.argv[0] = 'vflan'\nfrom vision_flan.cli.main import main\nmain()"
    command = [*on_specs(Path())[:2], script]
    env = {"_VFLAN_COMPLETE": "bash_complete", "COMP_WORDS": "vflan sh", "COMP_CWORD": "1"}
    assert vflan(env=env, command=command).stdout == "plain,show\n"
    env = {"_VFLAN_COMPLETE": "bash_complete", "COMP_WORDS": "vflan list --lic", "COMP_CWORD": "2"}
    assert vflan(env=env, command=command).stdout == "plain,--license\n"
