"""The figures of the paper that tables show beside ours are those of the facts read from its text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real_samples import real_samples
from vision_flan.evaluate.experiment import load, names

_SAMPLES = real_samples()
PAPER = (_SAMPLES.parent if _SAMPLES else Path()) / "paper.md"
#: The names of columns in the facts.
COLUMNS = {
    "MMB": "mmbench", "MM-Bench": "mmbench", "MME": "mme", "MMMU": "mmmu", "LLaVA-Bench": "llava_bench",
    "MM-Vet": "mm_vet", "POPE": "pope", "CF": "cf",
}  # fmt: skip
_NUMBER = r"\d+\.\d"


def facts(table: str) -> str:
    """The line on a table of the paper."""
    (found,) = re.findall(rf"^- {table}[ :](.*)$", PAPER.read_text(encoding="utf-8"), re.M)
    return str(found)


def table_2() -> Iterator[tuple[str, str, float]]:
    text = facts("Table 2")
    titles = text.split(".")[0].strip(": ").split(", ")
    for run, name in (("stage1", "BASE"), ("stage2", "CHAT"), ("llava15", "LLaVA 1.5")):
        shown = re.split(r",\s*", re.search(rf"{re.escape(name)}: (.*?\d\.\d)(?:\.|$)", text)[1])  # type: ignore[index]
        for title, figure in zip(titles, shown, strict=False):
            if re.fullmatch(_NUMBER, figure):
                yield run, COLUMNS[title], float(figure)


def by_columns(table: str, runs: list[str]) -> Iterator[tuple[str, str, float]]:
    """`MME 1.0 / 2.0 / 3.0; MMB ...`: a figure for each row."""
    of = "|".join(sorted(COLUMNS, key=len, reverse=True))
    for title, figures in re.findall(rf"({of}) ((?:{_NUMBER}(?: / )?)+)", facts(table)):
        for run, figure in zip(runs, figures.split(" / "), strict=True):
            yield run, COLUMNS[title], float(figure)


def table_5() -> Iterator[tuple[str, str, float]]:
    columns = ("mmbench", "mme", "llava_bench", "pope")
    assert "(MMB, MME, LLaVA-Bench, POPE)" in facts("Table 5")
    rows = re.findall(rf"(none|MLP|LLM|both) ((?:{_NUMBER}(?: / )?)+)", facts("Table 5"))
    assert [name for name, _ in rows] == ["none", "MLP", "LLM", "both"]
    for run, (_, figures) in zip(("untuned", "freeze_llm", "freeze_projector", "stage1"), rows, strict=True):
        for column, figure in zip(columns, figures.split(" / "), strict=True):
            yield run, column, float(figure)


TASKS = ["tasks_10_x_10000", "tasks_187_x_500", "tasks_20_x_10000", "tasks_187_x_1000"]
GIVEN = {
    "table2": table_2,
    "table3": lambda: by_columns("Table 3", TASKS),
    "figure4": lambda: by_columns("Table 3", TASKS),
    "table4": lambda: by_columns("Table 4", ["mixed_1000", "mixed_158000", "stage2"]),
    "table5": table_5,
}


@pytest.mark.skipif(not PAPER.is_file(), reason="no facts of the paper")
@pytest.mark.parametrize("name", GIVEN)
def test_every_figure_of_the_paper_stands_in_its_cell_and_no_other(name: str) -> None:
    given = {(run, column): figure for run, column, figure in GIVEN[name]()}
    entered = {
        (row.run.name, column): figure for row in load(name).rows for column, figure in row.paper.items()
    }
    assert len(given) >= 9
    assert entered == given


@pytest.mark.skipif(not PAPER.is_file(), reason="no facts of the paper")
def test_tables_whose_figures_nobody_read_show_none_but_those_of_table_2() -> None:
    known = {
        (row.run.name, column): figure for row in load("table2").rows for column, figure in row.paper.items()
    }
    for name in set(names()) - set(GIVEN):
        for row in load(name).rows:
            for column, figure in row.paper.items():
                assert known[row.run.name, column] == figure
