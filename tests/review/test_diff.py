"""`vflan diff`: exactly the instances that a change of specs changes."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from html import unescape
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chromium import chromium
from tests.toy import Toy, square
from vision_flan.cli.main import run, vflan
from vision_flan.errors import ExitCode
from vision_flan.review.words import changed_words
from vision_flan.spec.catalog import Catalog

HOSTILE = "<script>document.title='owned'</script>"

Facts = Mapping[str, object]
Diffed = Callable[..., tuple[int, Mapping[str, Facts]]]


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(
        ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *arguments], check=True
    )


@pytest.fixture
def repository(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """The toy's specs, committed; the raw files are not in git."""
    (toy.root / ".gitignore").write_text("raw\nvision-flan*\n*.html\n")
    git(toy.root, "init", "--quiet", "--initial-branch", "main")
    git(toy.root, "add", "--all")
    git(toy.root, "commit", "--quiet", "--message", "Specs")
    monkeypatch.setattr(Catalog, "default", classmethod(lambda cls: toy.catalog))
    return toy


@pytest.fixture
def diffed(repository: Toy, capsys: pytest.CaptureFixture[str]) -> Diffed:
    """Types `vflan diff --json`; returns the exit code and the tasks by name."""

    def typed(*arguments: str) -> tuple[int, Mapping[str, Facts]]:
        capsys.readouterr()
        versions = arguments or ("main", "--raw", str(repository.raw))
        code = run(vflan, ["diff", *versions, "--n", "0", "--json"])
        found = json.loads(capsys.readouterr().out)
        assert found["differs"] is (code != ExitCode.OK)
        return code, {task["task"]: task for task in found["tasks"]}

    return typed


def rows(task: Facts) -> dict[str, Facts]:
    """The rows that differ, by the number in their id."""
    found = cast(list[Facts], task["rows"])
    return {str(row["id"]).removeprefix("toy_color/").removesuffix(".png"): row for row in found}


def numbers(*wanted: int) -> set[str]:
    return {f"{number:04}" for number in wanted}


def test_nothing_changed(diffed: Diffed) -> None:
    assert diffed() == (ExitCode.OK, {})


def test_a_change_of_the_license_changes_no_instance(repository: Toy, diffed: Diffed) -> None:
    path = repository.specs / "toy/dataset.yaml"
    path.write_text(path.read_text().replace("title: Toy", "title: The Toy"))
    code, tasks = diffed()
    assert code == ExitCode.OK
    assert tasks["toy_color"]["instances"] == {"before": 12, "after": 12}


def test_a_changed_template_changes_every_prompt(repository: Toy, diffed: Diffed) -> None:
    text = "The image shows one square. What color has it? Answer with the letter and its option.\n"
    repository.write_specs(text=text)
    code, tasks = diffed()
    assert code == ExitCode.FAILED
    task = tasks["toy_color"]
    assert (task["changed"], task["added"], task["dropped"]) == (12, 0, 0)
    assert task["columns"] == {"instruction": 12, "prompt": 12}
    assert set(rows(task)) == numbers(*range(12))


def test_a_template_that_changes_some_instances_changes_these_alone(repository: Toy, diffed: Diffed) -> None:
    repository.write_specs(
        text="The image shows one square. {{ 'What' if color == 'r' else 'Which' }} color has it? "
        "Answer with the letter and its option.\n"
    )
    _, tasks = diffed()
    assert set(rows(tasks["toy_color"])) == numbers(0, 4, 8)


def test_a_changed_label_changes_the_answers_that_use_it(repository: Toy, diffed: Diffed) -> None:
    path = repository.specs / "toy/dataset.yaml"
    path.write_text(path.read_text().replace("b: blue", "b: navy"))
    repository.replace("options: {labels: colors}\n", "")
    repository.replace("form: options", "form: free_text")
    git(repository.root, "stash", "push", "--quiet", "task_specs/toy/dataset.yaml")
    git(repository.root, "commit", "--quiet", "--all", "--message", "No options")
    git(repository.root, "stash", "pop", "--quiet")
    _, tasks = diffed()
    found = rows(tasks["toy_color"])
    assert set(found) == numbers(2, 6, 10)
    for row in found.values():
        assert (row["before"], row["after"]) == ({"target": "blue"}, {"target": "navy"})


def test_changed_sql_adds_and_drops_rows_and_says_why(repository: Toy, diffed: Diffed) -> None:
    path = repository.specs / "toy/toy_color.yaml"
    repository.replace("table: records\n", "sql: SELECT * FROM records WHERE color <> 'y'\n")
    repository.write_records([*(repository.record(i) for i in range(12)), {"name": "no.png", "color": "q"}])
    _, tasks = diffed()
    task = tasks["toy_color"]
    assert (task["changed"], task["added"], task["dropped"]) == (0, 0, 3)
    found = rows(task)
    assert set(found) == numbers(3, 7, 11)
    assert {row["reason"] for row in found.values()} == {"there is no such record"}
    git(repository.root, "commit", "--quiet", "--all", "--message", "No yellow")
    path.write_text(path.read_text().replace("<> 'y'", "<> 'r'"))
    _, tasks = diffed()
    kinds = {name: row["kind"] for name, row in rows(tasks["toy_color"]).items()}
    assert kinds == dict.fromkeys(numbers(3, 7, 11), "added") | dict.fromkeys(numbers(0, 4, 8), "dropped")


def test_a_label_that_is_gone_drops_its_records_for_that_reason(repository: Toy, diffed: Diffed) -> None:
    path = repository.specs / "toy/dataset.yaml"
    path.write_text(path.read_text().replace(", y: yellow", ""))
    repository.replace("options: {labels: colors}\n", "options: {values: [red, green, blue]}\n")
    git(repository.root, "stash", "push", "--quiet", "task_specs/toy/dataset.yaml")
    git(repository.root, "commit", "--quiet", "--all", "--message", "Values")
    git(repository.root, "stash", "pop", "--quiet")
    repository.replace("values: [red, green, blue]", "values: [red, green, blue, yellow]")
    git(repository.root, "commit", "--quiet", "--message", "Yellow", "task_specs/toy/toy_color.yaml")
    _, tasks = diffed()
    task = tasks["toy_color"]
    assert task["reasons"] == {"unknown_label": {"before": 0, "after": 3}}
    assert {name: row["reason"] for name, row in rows(task).items()} == dict.fromkeys(
        numbers(3, 7, 11), "unknown_label"
    )


def test_a_changed_pool_of_options_changes_the_rows_that_show_it(repository: Toy, diffed: Diffed) -> None:
    repository.replace("options: {labels: colors}", "options: {values: [red, green, blue, yellow, gray]}")
    _, tasks = diffed()
    columns = cast(Mapping[str, int], tasks["toy_color"]["columns"])
    assert columns["options"] == columns["prompt"] == 12


def test_a_changed_dataset_file_changes_the_rows_of_its_records(repository: Toy, diffed: Diffed) -> None:
    """The image of a record is another one in the cut miniature."""
    cut = repository.root / "tests/miniatures/toy"
    (cut / "raw/toy").parent.mkdir(parents=True)
    shutil.copytree(repository.raw / "toy", cut / "raw/toy")
    shutil.copytree(repository.raw / "toy", cut / "raw", dirs_exist_ok=True)
    shutil.rmtree(cut / "raw/toy")
    (cut / "expected.jsonl").write_text("")
    (repository.root / ".gitignore").write_text("/raw\n")
    git(repository.root, "add", "--all")
    git(repository.root, "commit", "--quiet", "--message", "A miniature")
    assert diffed("main") == (ExitCode.OK, {})
    (cut / "raw/images/0005.png").write_bytes(square("r"))
    records = json.loads((cut / "raw/toy.json").read_text())
    records[2]["color"] = "r"
    (cut / "raw/toy.json").write_text(json.dumps(records))
    _, tasks = diffed("main")
    found = rows(tasks["toy_color"])
    assert set(found) == numbers(2, 5)
    assert set(cast(Facts, found["0005"]["before"])) == {"image"}
    assert "target" in cast(Facts, found["0002"]["before"])
    assert "image" not in cast(Facts, found["0002"]["before"])


def test_tasks_that_are_new_or_gone_are_named(repository: Toy, diffed: Diffed) -> None:
    old = repository.specs / "toy/toy_color.yaml"
    text = old.read_text().replace("id: toy_color", "id: toy_hue").replace("alias: Toy+color\n", "")
    (repository.specs / "toy/toy_hue.yaml").write_text(text)
    shutil.copy(repository.instructions / "toy_color.j2", repository.instructions / "toy_hue.j2")
    old.unlink()
    _, tasks = diffed()
    assert {name: task["state"] for name, task in tasks.items()} == {
        "toy_color": "removed",
        "toy_hue": "added",
    }
    assert (tasks["toy_color"]["dropped"], tasks["toy_hue"]["added"]) == (12, 12)


def test_a_spec_that_cannot_be_read_is_reported_with_its_side(repository: Toy, diffed: Diffed) -> None:
    repository.replace("table: records\n", "sql: SELECT nothing FROM records\n")
    code, tasks = diffed()
    assert code == ExitCode.FAILED
    assert str(tasks["toy_color"]["error"]).startswith("after: ")
    repository.replace("sql: SELECT nothing FROM records\n", "table: records\nnonsense: 1\n")
    git(repository.root, "commit", "--quiet", "--all", "--message", "Not a key")
    repository.replace("nonsense: 1\n", "")
    _, tasks = diffed()
    error = str(tasks["toy_color"]["error"])
    assert error.startswith("before: ") and "main:task_specs/toy/toy_color.yaml" in error
    assert "/vflan-" not in error


def test_a_link_in_the_history_is_not_followed(repository: Toy, diffed: Diffed) -> None:
    link = repository.specs / "toy/extra.yaml"
    link.symlink_to("/etc/hostname")
    git(repository.root, "add", "--all")
    git(repository.root, "commit", "--quiet", "--message", "A link")
    link.unlink()
    assert diffed()[0] == ExitCode.OK


def test_two_compiled_folders_are_compared_row_by_row(repository: Toy, diffed: Diffed) -> None:
    before, after = repository.root / "vision-flan-1", repository.root / "vision-flan-2"
    repository.compile(out=before)
    (repository.raw / "toy/images/0001.png").unlink()
    (repository.raw / "toy/images/0002.png").write_bytes(square("b", size=(9, 9)))
    repository.compile(out=after)
    assert diffed(str(before), str(before))[0] == ExitCode.OK
    code, tasks = diffed(str(before), str(after))
    assert code == ExitCode.FAILED
    task = tasks["toy_color"]
    assert {name: row["kind"] for name, row in rows(task).items()} == {"0001": "dropped", "0002": "changed"}
    assert rows(task)["0001"]["reason"] == "missing_image"
    assert task["reasons"] == {"missing_image": {"before": 0, "after": 1}}
    assert task["columns"] == {"image": 1}


def test_the_text_marks_words(
    repository: Toy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    repository.write_specs(text="The image shows one square. What color has it? Answer with its letter.\n")
    arguments = ["diff", "main", "--raw", str(repository.raw), "--n", "1"]
    assert run(vflan, arguments) == ExitCode.FAILED
    out = capsys.readouterr().out
    assert "toy_color: 12 instances before, 12 after; 12 changed (instruction 12, prompt 12)" in out
    assert (
        "square. [-Which-]{+What+} color has it? Answer with [-the-]{+its+} letter[- and its option-]." in out
    )
    assert "... and 11 more" in out
    assert out.endswith("tasks that differ: 1 of 1 compared; instances: 12\n")


def test_the_page_marks_words_shows_both_images_and_runs_no_script_of_the_data(
    repository: Toy, tmp_path: Path
) -> None:
    before, after, out = tmp_path / "vision-flan-1", tmp_path / "vision-flan-2", tmp_path / "diff.html"
    repository.compile(out=before)
    repository.write_specs(text=f"Which color has the square? {HOSTILE}\n")
    (repository.raw / "toy/images/0002.png").write_bytes(square("b", size=(9, 9)))
    repository.compile(out=after)
    assert run(vflan, ["diff", str(before), str(after), "--out", str(out)]) == ExitCode.FAILED
    html = out.read_text("utf-8")
    assert html.count("<script") == 1
    assert "<ins>" in html and "<del>" in html and HOSTILE not in html
    assert HOSTILE in unescape(html.replace("<ins>", "").replace("</ins>", ""))
    assert html.count('<img src="data:image/png;base64,') == 13  # of one, before and after
    with chromium() as browser:
        page = browser.new_page()
        problems: list[str] = []
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "request",
            lambda request: problems.append(request.url[:40]) if request.url[:4] == "http" else None,
        )
        page.goto(out.as_uri())
        assert page.locator("article:visible").count() == 12
        page.fill("#search", "0002.png")
        assert page.locator("article:visible").count() == 1
        page.fill("#search", "")
        page.select_option("#kind", "dropped")
        assert page.locator("section:visible").count() == 0
        assert page.title() != "owned"
        assert problems == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["no-such-revision"], ExitCode.FAILED),
        (["--output=x"], ExitCode.USAGE),
        (["--", "--output=x"], ExitCode.FAILED),
        (["a", "b", "c"], ExitCode.USAGE),
        (["main", "--task", "toy_colour"], ExitCode.FAILED),
        ([], ExitCode.USAGE),
    ],
)
def test_wrong_arguments_are_refused(
    repository: Toy, arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(vflan, ["diff", *arguments]) == code
    assert capsys.readouterr().err


def test_check_says_what_differs_and_writes_the_page(
    repository: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = repository.root / "tests/miniatures/toy"
    shutil.copytree(repository.raw / "toy", cut / "raw")
    (cut / "expected.jsonl").write_text("")
    (repository.root / ".gitignore").write_text("/raw\n")
    git(repository.root, "add", "--all")
    git(repository.root, "commit", "--quiet", "--message", "A miniature")
    git(repository.root, "switch", "--quiet", "--create", "change")
    repository.replace("options: {labels: colors}", "options: {values: [red, green, blue, yellow, gray]}")
    page = tmp_path / "diff.html"
    run(vflan, ["check", "--since", "main", "--page", str(page)])
    shown = capsys.readouterr().out
    assert "toy_color: 12 instances before, 12 after; 12 changed (options 12, prompt 12" in shown
    assert "<ins>" in page.read_text("utf-8")


def test_check_warns_of_labels_that_have_another_name(
    repository: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    """A label may have no record in the miniature, so that no instance differs."""
    git(repository.root, "switch", "--quiet", "--create", "change")
    spec = repository.specs / "toy/dataset.yaml"
    spec.write_text(spec.read_text("utf-8").replace("colors: {", "colors: {pink: pink, "), "utf-8")
    git(repository.root, "commit", "--quiet", "--all", "--message", "A label more")
    git(repository.root, "branch", "--force", "main")
    spec.write_text(spec.read_text("utf-8").replace("pink: pink", "pink: purple"), "utf-8")
    run(vflan, ["check", "--since", "main"])
    shown = capsys.readouterr().out
    assert "warning: the label 'pink' of 'colors' was 'pink', and is 'purple' now [relabeled]" in shown
    assert "relabeled: 1 finding\n" in shown
    spec.write_text(spec.read_text("utf-8").replace("pink: purple", "more: pink"), "utf-8")
    run(vflan, ["check", "--since", "main"])
    shown = capsys.readouterr().out
    assert "the label 'pink' of 'colors' was 'pink', and is gone now" in shown and "'more'" not in shown


def test_a_branch_that_only_the_remote_has_is_named(
    repository: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    git(repository.root, "update-ref", "refs/remotes/origin/release", "main")
    for command in (
        ["check", "--since", "release"],
        ["diff", "release"],
        ["validate", "--changed", "release"],
    ):
        assert run(vflan, command) == ExitCode.FAILED
        assert "this clone has it as origin/release: give that" in capsys.readouterr().err
    assert run(vflan, ["check", "--since", "nowhere"]) == ExitCode.FAILED
    assert "branches are main" in capsys.readouterr().err


@given(old=st.text("ab c.\n"), new=st.text("ab c.\n"))
def test_pieces_make_up_both_texts(old: str, new: str) -> None:
    pieces = changed_words(old, new)
    assert "".join(piece.text for piece in pieces if piece.kind != "ins") == old
    assert "".join(piece.text for piece in pieces if piece.kind != "del") == new


def test_long_texts_take_bounded_time() -> None:
    old, new = (" ".join(f"{letter}{i}" for i in range(20_000)) for letter in "ab")
    assert [piece.kind for piece in changed_words(f"x {old} y", f"x {new} y")] == [
        "same",
        "del",
        "ins",
        "same",
    ]
