"""Memory of SQL: it follows the machine and --memory, and running out of it says so."""

from __future__ import annotations

import json

import pytest

from tests.cli.console import on_specs, vflan
from tests.toy import Toy
from vision_flan import limits
from vision_flan.limits import GIB, Limits
from vision_flan.records import memory
from vision_flan.records.store import RecordStore
from vision_flan.report import Silent


class Noted(Silent):
    """Keeps what is noted."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


#: A list that takes more than a gigabyte, whatever spills.
GREEDY = "sql: SELECT name, color, (SELECT list(range) FROM range(200000000)) AS numbers FROM records\n"


@pytest.mark.parametrize(("allowed", "limit"), [(16 * GIB, 4 * GIB), (GIB, GIB // 2), (0, 4 * GIB)])
def test_sql_has_a_quarter_of_what_a_process_may_take(
    allowed: int, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "current", lambda: Limits(memory=allowed))
    assert memory.memory_limit() == limit
    assert memory.spilling_limit() == 256 * 2**20, "unless somebody gives more, its tables spill before"


def test_what_memory_says_is_for_tables_that_would_spill_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits._state, "limits", Limits())
    limits.allow_memory(32 * GIB)
    assert memory.spilling_limit() == memory.memory_limit() == 8 * GIB


def test_sql_that_cannot_spill_is_run_again_with_all_the_memory_it_may_have(toy: Toy) -> None:
    number = "len((SELECT list(range) FROM range(30000000)))"  # 230 MB, which have to be in one piece
    toy.replace("table: records\n", f"sql: SELECT name, color, {number} AS numbers FROM records\n")
    notes = Noted()
    assert toy.compile(report=notes).manifest.counts["written"] == 12
    assert "toy_color needs more than 268.4 MB of memory at once: it has" in notes.notes[0]


def test_running_out_of_memory_says_how_much_there_was_and_how_to_give_more(toy: Toy) -> None:
    toy.replace("table: records\n", GREEDY)
    done = vflan(
        "compile",
        "--task",
        "toy_color",
        "--memory",
        "2GiB",
        "--json",
        command=on_specs(toy.root),
        cwd=toy.root,
    )
    error = json.loads(done.stdout)["error"]
    assert done.returncode == 1, done.stderr
    assert "the SQL takes more memory or disk than it may" in error["message"]
    assert "SQL has 536.9 MB of memory; give more with --memory" in error["hint"]


def test_the_plan_goes_on_after_a_task_that_takes_too_much(toy: Toy) -> None:
    text = (toy.specs / "toy/toy_color.yaml").read_text().replace("alias: Toy+color\n", "")
    greedy = text.replace("toy_color", "toy_hue").replace("table: records\n", GREEDY)
    (toy.specs / "toy/toy_hue.yaml").write_text(greedy)
    (toy.instructions / "toy_hue.j2").write_text("Which hue has the square? Answer with its option.\n")
    (toy.specs / "suites").mkdir()
    (toy.specs / "suites/colors.yaml").write_text("title: Colors\ntasks: [toy_color, toy_hue]\n")
    typed = ["suite", "plan", "colors", "--raw", "raw", "--memory", "2GiB", "--json"]
    done = vflan(*typed, command=on_specs(toy.root), cwd=toy.root)
    assert done.returncode == 0, done.stderr
    plan = {share["task"]: share for share in json.loads(done.stdout)["tasks"]}
    assert plan["toy_color"]["counted"] == 12
    assert "not counted: the SQL takes more memory" in plan["toy_hue"]["reason"]


def test_a_long_select_prints_nothing_on_standard_output() -> None:
    with RecordStore() as store:
        shown = store._con.execute("SELECT current_setting('enable_progress_bar')").fetchall()
    assert shown == [(False,)]
