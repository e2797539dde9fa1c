"""Tables written into a folder: Markdown, CSV, and a PNG of each figure where matplotlib is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vision_flan.evaluate.tables import Line, Table, as_csv, markdown

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def write_tables(tables: Sequence[Table], folder: Path) -> list[Path]:
    """Writes `<name>.md`, `<name>.csv` of every table and `<name>.png` of every figure; the files.

    A figure has no PNG where matplotlib (the extra `report`) is not installed, or no point is known.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for table in tables:
        for suffix, text in (("md", markdown(table)), ("csv", as_csv([table]))):
            path = folder / f"{table.experiment.name}.{suffix}"
            path.write_text(text + "\n", encoding="utf-8")
            written.append(path)
        if table.experiment.is_figure and table.lines and can_draw():
            written.append(_draw(table, folder / f"{table.experiment.name}.png"))
    return written


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def _draw(table: Table, path: Path) -> Path:
    from matplotlib.figure import Figure

    count = len(table.experiment.columns)
    figure = Figure(figsize=(5 * count, 4), layout="constrained")
    for number, column in enumerate(table.experiment.columns):
        axes = figure.add_subplot(1, count, number + 1)
        axes.set_title(column.title)
        axes.grid(visible=True, alpha=0.3)
        if table.experiment.x:
            _lines(axes, table, number)
        else:
            _bars(axes, table, number)
    figure.suptitle(table.experiment.title)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    return path


def _lines(axes: Axes, table: Table, number: int) -> None:
    """A line for each series, the paper's dashed."""
    series: dict[tuple[str, bool], list[tuple[float, float]]] = {}
    for line in table.lines:
        value = line.cells[number].value
        if value is not None and line.row is not None and line.row.x is not None:
            series.setdefault((line.row.series, line.is_paper), []).append((line.row.x, value))
    for (name, is_paper), points in series.items():
        label = f"{name} (paper)" if is_paper else name
        xs, ys = zip(*sorted(points), strict=True)
        axes.plot(xs, ys, label=label, marker="o", linestyle="--" if is_paper else "-")
    axes.set_xlabel(table.experiment.x)
    if table.experiment.log:
        axes.set_xscale("log")
    if series:
        axes.legend(fontsize="small")


def _bars(axes: Axes, table: Table, number: int) -> None:
    shown: list[tuple[Line, float]] = [
        (line, value) for line in table.lines if (value := line.cells[number].value) is not None
    ]
    for line, value in shown:
        axes.bar(line.name, value, alpha=0.5 if line.is_paper else 1.0)
    axes.tick_params(axis="x", labelrotation=20, labelsize="small")
