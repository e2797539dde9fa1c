"""`vflan compile --suite`: one run over many tasks, shown on a screen, in lines, as JSON lines, in a log."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.console import on_specs, on_terminal
from tests.toy import Toy
from vision_flan.build.many import Outcome
from vision_flan.cli.main import run, vflan
from vision_flan.cli.run import exit_code
from vision_flan.cli.run_state import Run
from vision_flan.errors import ExitCode, MachineError, MissingRawError
from vision_flan.report import WRITING
from vision_flan.spec.catalog import Catalog

Compile = Callable[..., tuple[int, str, str]]


@pytest.fixture
def suite(toy: Toy) -> Toy:
    """Three tasks in a suite: one with a missing image, one whose dataset is not there, one more."""
    text = (toy.specs / "toy/toy_color.yaml").read_text().replace("alias: Toy+color\n", "")
    dataset = (toy.specs / "toy/dataset.yaml").read_text().replace("dataset: toy", "dataset: absent")
    (toy.specs / "absent").mkdir()
    (toy.specs / "absent/dataset.yaml").write_text(dataset)
    for folder, name in (("absent", "toy_gone"), ("toy", "toy_hue")):
        made = text.replace("toy_color", name).replace("dataset: toy", f"dataset: {folder}")
        (toy.specs / folder / f"{name}.yaml").write_text(made)
        (toy.instructions / f"{name}.j2").write_text("Which hue has the square? Answer with its option.\n")
    (toy.specs / "suites").mkdir()
    (toy.specs / "suites/colors.yaml").write_text("title: Colors\ntasks: [toy_color, toy_gone, toy_hue]\n")
    (toy.raw / "toy/images/0003.png").unlink()
    return toy


@pytest.fixture
def compile_suite(suite: Toy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Compile:
    monkeypatch.setattr(Catalog, "default", classmethod(lambda cls: suite.catalog))
    monkeypatch.chdir(suite.root)

    def typed(*options: str) -> tuple[int, str, str]:
        code = run(vflan, ["compile", "--suite", "colors", *(options or ["--jobs", "1"])])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return typed


def test_a_task_that_cannot_be_built_stops_no_other_and_is_listed_with_what_helps(
    compile_suite: Compile, suite: Toy
) -> None:
    code, out, errors = compile_suite()
    assert code == 3  # raw files are missing
    assert "2 of 3 tasks in vision-flan: 22 instances" in out
    assert "dropped 2: missing_image 2" in out
    assert "1 task cannot be built:\n  toy_gone: raw/absent: there is no folder 'absent'" in errors
    assert "next: vflan fetch absent" in errors
    assert (suite.out / "toy_hue").is_dir()


def test_the_same_command_does_only_what_is_missing(compile_suite: Compile, suite: Toy) -> None:
    compile_suite()
    (suite.raw / "absent").symlink_to("toy")
    code, out, errors = compile_suite()
    assert code == 0
    assert "3 of 3 tasks in vision-flan (2 were up to date): 33 instances" in out
    assert "toy_color: up to date, 11 instances" in errors
    assert "toy_gone: built, 11 instances" in errors


def test_two_tasks_at_one_time_end_in_the_same_files(compile_suite: Compile, suite: Toy) -> None:
    compile_suite()
    manifests = {path.name: path.read_text() for path in (suite.out / "manifest").iterdir()}
    code, out, errors = compile_suite("--jobs", "2", "--out", "two")
    assert code == 3
    assert "2 of 3 tasks in two: 22 instances" in out
    assert "1 task cannot be built:\n  toy_gone: raw/absent: there is no folder 'absent'" in errors
    found = {path.name: path.read_text() for path in (suite.root / "two/manifest").iterdir()}
    assert found == manifests


def test_events_come_as_lines_of_json(compile_suite: Compile) -> None:
    code, out, errors = compile_suite("--json-lines", "--jobs", "1")
    events = [json.loads(line) for line in out.splitlines()]
    assert (code, errors) == (3, "")
    assert [event["event"] for event in events if event["event"] not in ("stage", "note")] == [
        "start", "task", "done", "task", "failed", "task", "done", "end",
    ]  # fmt: skip
    failed = next(event for event in events if event["event"] == "failed")
    assert (failed["task"], failed["error"]["code"]) == ("toy_gone", 3)
    end = events[-1]
    assert (end["done"], end["failed"], end["waiting"], end["instances"]) == (2, 1, 0, 22)
    assert end["dropped"] == {"missing_image": 2}
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)


def test_json_is_one_document_as_of_single_tasks(compile_suite: Compile) -> None:
    code, out, errors = compile_suite("--json")
    found: list[dict[str, Any]] = json.loads(out)
    assert (code, errors) == (3, "")
    assert {one["task"]: one.get("counts", {}).get("written") for one in found} == {
        "toy_color": 11, "toy_hue": 11, "toy_gone": None,
    }  # fmt: skip


def test_every_run_is_logged_in_the_work_folder(compile_suite: Compile, suite: Toy) -> None:
    compile_suite()
    compile_suite("--json")
    lines = (suite.out / ".vflan/compile.log").read_text().splitlines()
    assert sum("toy_gone cannot be built: there is no folder 'absent'" in line for line in lines) == 2
    assert all(line[:2] == "20" for line in lines), "a line without its time"


def test_a_terminal_shows_the_state_of_the_run(suite: Toy) -> None:
    options = ["--raw", str(suite.raw), "--out", str(suite.out)]
    code, shown = on_terminal(
        "compile", "--suite", "colors", *options, columns=120, command=on_specs(suite.root)
    )
    assert code == 3
    assert "1 cannot be built" in shown
    assert "toy_color: 11 instances, 1 dropped" in shown
    assert "2 of 3 tasks" in shown


def test_the_time_left_does_not_wait_for_tasks_whose_raw_files_are_missing(suite: Toy) -> None:
    state = Run({"toy_color": 11, "gone": 1_000, "away": 1_000, "toy_hue": 11}, [])
    with state.task("toy_color") as report:
        report.stage(f"{WRITING} toy_color", 11)
        report.advance(11)
    state.ended(Outcome("toy_color", suite.compile()))
    assert state.seconds_left == pytest.approx(2_011 / 11 * state.seconds, rel=0.2)
    state.ended(Outcome("gone", error=MissingRawError("no raw files")))
    assert state.seconds_left == pytest.approx(state.seconds, rel=0.2)


def test_the_exit_code_is_that_of_what_stopped_the_run() -> None:
    missing, full = MissingRawError("no raw files"), MachineError("no space")
    full.errno = errno.ENOSPC
    state = Run({"gone": 1, "first": 1, "next": 1}, [])
    state.ended(Outcome("gone", error=missing))
    assert exit_code(state) == ExitCode.MISSING_RAW
    state.ended(Outcome("first", error=full))
    assert exit_code(state) == ExitCode.SYSTEM


def test_a_full_disk_ends_the_run_and_leaves_the_other_tasks_untried(
    compile_suite: Compile, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vision_flan.build import compile as build

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(build.Schedule, "run", full)
    code, _, errors = compile_suite()
    assert code == 5
    assert "toy_color: vision-flan: cannot write: No space left on device" in errors
    assert "2 tasks not tried" in errors


def test_the_papers_suite_is_planned_to_its_quotas(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "raw").mkdir()
    code = run(
        vflan,
        ["compile", "--suite", "vision_flan", "--raw", str(tmp_path / "raw"), "--out", str(tmp_path / "out")],
    )
    printed = capsys.readouterr()
    assert code == 3
    assert "187 tasks, up to 1,664,261 instances" in printed.err
    assert "0 of 187 tasks" in printed.out
