"""The tables of the Vision-Flan paper with our scores beside its figures, as Markdown or CSV.

The paper's figures are read from its text; one that nobody has entered is left out.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vision_flan.errors import Location
from vision_flan.evaluate.cells import MARKS, Cell, ScoredModel, cell, read_scores
from vision_flan.evaluate.experiment import Column, Experiment, Row
from vision_flan.evaluate.values import AnswerError
from vision_flan.spec.markdown import cell as markdown_cell
from vision_flan.spec.markdown import shown as shown_text


@dataclass(frozen=True)
class Line:
    """A line of a table: a model, and its figure in each column.

    Attributes:
        row: what it is of the experiment; None of a model that the paper does not have.
        is_paper: whether the figures are the paper's.
    """

    name: str
    cells: tuple[Cell, ...]
    row: Row | None = None
    is_paper: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether it has no figure."""
        return all(cell.value is None for cell in self.cells)


@dataclass(frozen=True)
class Table:
    """An experiment, the paper's line and ours by turns."""

    experiment: Experiment
    lines: tuple[Line, ...]

    @property
    def has_ours(self) -> bool:
        """Whether a figure is ours."""
        return any(not line.is_paper and not line.is_empty for line in self.lines)


def open_model(text: str) -> ScoredModel | None:
    """The run in a folder, or `MODEL=FOLDER`; None if the text is neither.

    Raises:
        AnswerError: a file there is no score.
    """
    folder = Path(text)
    if (folder / "scores").is_dir():
        return ScoredModel(folder.resolve().name, read_scores(folder / "scores"), folder)
    name, separator, rest = text.partition("=")
    if not separator or not name or not rest:
        return None
    folder = Path(rest)
    if (folder / "scores").is_dir():
        return ScoredModel(name, read_scores(folder / "scores"), folder)
    return ScoredModel(name, read_scores(folder))


def open_models(texts: Iterable[str]) -> list[ScoredModel]:
    """The models of arguments; a folder of runs stands for all runs in it that have scores.

    Raises:
        AnswerError: an argument is no run, or two models have one name.
    """
    found: dict[str, ScoredModel] = {}
    for text in texts:
        model = open_model(text)
        inside = sorted(path.parent for path in Path(text).glob("*/scores")) if model is None else []
        if model is None and not inside:
            raise AnswerError(
                f"{text!r} is neither a run with scores nor MODEL=FOLDER",
                hint="vflan evaluate RUN writes RUN/scores",
            )
        several = [ScoredModel(path.name, read_scores(path / "scores"), path) for path in inside]
        for one in [model] if model else several:
            if one.name in found:
                raise AnswerError(
                    f"two models are called {one.name!r}",
                    where=Location(one.folder) if one.folder else None,
                    hint="give MODEL=FOLDER",
                )
            found[one.name] = one
    return list(found.values())


def build(experiment: Experiment, models: Sequence[ScoredModel]) -> Table:
    """The table; models that are no row of it come last, in table 2 only."""
    lines: list[Line] = []
    named = {model.name: model for model in models}
    for row in experiment.rows:
        paper = tuple(Cell(row.paper.get(column.name)) for column in experiment.columns)
        lines.append(Line(f"{row.name} (paper)", paper, row, is_paper=True))
        ours = [named[name] for name in (row.run.name, row.run.folder.name) if name in named][:1]
        lines += [Line(row.name, _cells(experiment.columns, model, row), row) for model in ours]
    if experiment.name == "table2":
        known = {name for row in experiment.rows for name in (row.run.name, row.run.folder.name)}
        others = [model for model in models if model.name not in known]
        lines += [Line(model.name, _cells(experiment.columns, model, None)) for model in others]
    return Table(experiment, tuple(line for line in lines if line.row is None or not line.is_empty))


def _cells(columns: Sequence[Column], model: ScoredModel, row: Row | None) -> tuple[Cell, ...]:
    return tuple(cell(model, column, row.run if row else None) for column in columns)


def markdown(table: Table) -> str:
    """The table, and what its marks mean."""
    titles = [column.title for column in table.experiment.columns]
    lines = ["| model | " + " | ".join(titles) + " |", "|---|" + "---:|" * len(titles)]
    for line in table.lines:
        shown = [_escaped(str(cell)) for cell in line.cells]
        lines.append(f"| {markdown_cell(line.name)} | {' | '.join(shown)} |")
    used = "".join(cell.marks for line in table.lines for cell in line.cells)
    notes = [_escaped(f"{mark}: {text}") for mark, text in MARKS.items() if mark in used]
    title = f"## {shown_text(table.experiment.title)}"
    return "\n".join([title, "", *lines, *(["", "; ".join(notes)] if notes else [])])


def in_spreadsheet(text: str) -> str:
    """Text of a cell as text: an apostrophe in front where a spreadsheet would take it for a formula, and on
    one line, since some spreadsheets begin a row at each line break."""
    line = re.sub(r"[\t\r\n]", " ", text)
    return f"'{line}" if line.lstrip().startswith(("=", "+", "-", "@")) else line


def _escaped(text: str) -> str:
    for mark in ("*", "|", "~"):
        text = text.replace(mark, f"\\{mark}")
    return text


def as_csv(tables: Sequence[Table]) -> str:
    """One line a figure: experiment, model, benchmark, value, marks in words, judge, and x of a figure.

    It is for a spreadsheet, so a name that one would run as a formula is quoted (`in_spreadsheet`).
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["experiment", "model", "series", "x", "benchmark", "value", "remarks", "judge"])
    for table in tables:
        for line in table.lines:
            x = "" if line.row is None or line.row.x is None else f"{line.row.x:g}"
            names = (table.experiment.name, line.name, line.row.series if line.row else "")
            place = [*map(in_spreadsheet, names), x]
            for column, shown in zip(table.experiment.columns, line.cells, strict=True):
                if shown.value is not None:
                    judge = in_spreadsheet(shown.judge)
                    writer.writerow([*place, column.name, f"{shown.value:.1f}", shown.remarks, judge])
    return out.getvalue().rstrip("\n")
