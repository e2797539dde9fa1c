"""`vflan train report RUN`: the curves of a run as PNG and SVG, and a page with them. Needs no torch."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeGuard

from vision_flan.errors import Location, VflanError, install_command

#: Names of the figures that are drawn, a plot each, and what each plot is called.
PLOTS: dict[str, Sequence[str]] = {
    "loss": ("loss", "held_out_loss"),
    "learning rate": ("lr",),
    "gradient norm": ("grad_norm",),
    "samples per second": ("samples_per_s",),
}
#: Figures from here on are not drawn.
_MOST: Final = 1e300
CATEGORIES = {"loss by category": "category_loss", "held-out loss by category": "held_out_category_loss"}


class ReportError(VflanError):
    """A run has no log to draw."""


def write_report(run: Path) -> Path:
    """Draws `metrics.jsonl` into `<run>/report`: `curves.png`, `curves.svg`, `index.html`; the page.

    Raises:
        ReportError: no log, a line of it that is not one, or matplotlib is not installed.
    """
    lines = read_log(run / "metrics.jsonl")
    out = run / "report"
    out.mkdir(exist_ok=True)
    _draw(lines, out)
    (out / "index.html").write_text(_page(run, lines), encoding="utf-8")
    return out / "index.html"


def read_log(path: Path) -> list[dict[str, object]]:
    """The lines of a log, one at least; a last line that a kill has cut is left out."""
    if not path.is_file():
        raise ReportError("no log of a run", where=Location(path), hint="vflan train report runs/<name>")
    texts = path.read_text(encoding="utf-8").splitlines()
    lines: list[dict[str, object]] = []
    for number, text in enumerate(texts, start=1):
        try:
            line = json.loads(text)
        except (ValueError, RecursionError) as error:
            if number == len(texts):
                break
            raise ReportError(f"not a line of a log: {error}", where=Location(path, number)) from error
        if not isinstance(line, dict) or not isinstance(line.get("step"), int):
            raise ReportError("a line without a step", where=Location(path, number))
        lines.append(line)
    if not lines:
        raise ReportError("the log has no line yet", where=Location(path))
    return lines


def series(lines: Iterable[Mapping[str, object]], name: str) -> tuple[list[int], list[float]]:
    """Steps and values of a figure, where it was logged; `category_loss/Scene` is one of a category."""
    steps, values = [], []
    outer, _, inner = name.partition("/")
    for line in lines:
        value = line.get(outer)
        if inner:
            value = value.get(inner) if isinstance(value, dict) else None
        step = line["step"]
        if _is_figure(value) and _is_figure(step) and isinstance(step, int):
            steps.append(step)
            values.append(float(value))
    return steps, values


def _is_figure(value: object) -> TypeGuard[int | float]:
    """Whether a value of a log can be drawn; a whole number may be too large for that."""
    return isinstance(value, int | float) and not abs(value) >= _MOST


def categories_of(lines: Iterable[Mapping[str, object]], name: str) -> list[str]:
    """The categories a figure was logged for."""
    found: set[str] = set()
    for line in lines:
        value = line.get(name)
        found |= set(value) if isinstance(value, dict) else set()
    return sorted(found)


def _draw(lines: Sequence[Mapping[str, object]], out: Path) -> None:
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ReportError("matplotlib is not installed", hint=install_command("report")) from error
    plots: dict[str, list[str]] = {
        title: [n for n in names if series(lines, n)[0]] for title, names in PLOTS.items()
    }
    for title, name in CATEGORIES.items():
        plots[title] = [f"{name}/{category}" for category in categories_of(lines, name)]
    plots = {title: names for title, names in plots.items() if names}
    figure = Figure(figsize=(9, 3.2 * len(plots)), layout="constrained")
    for number, (title, names) in enumerate(plots.items(), start=1):
        axes = figure.add_subplot(len(plots), 1, number)
        for name in names:
            label = name.rpartition("/")[2].replace("$", r"\$")  # else it is read as a formula
            axes.plot(*series(lines, name), label=label, marker="." if len(lines) < 50 else "")
        axes.set_title(title)
        axes.set_xlabel("step")
        axes.grid(visible=True, alpha=0.3)
        if len(names) > 1 or "/" in names[0]:  # one category has a name too
            axes.legend(fontsize="small", ncols=2)
    figure.savefig(out / "curves.png", dpi=110)
    figure.savefig(out / "curves.svg")


def _page(run: Path, lines: Sequence[Mapping[str, object]]) -> str:
    """One file that needs nothing but `curves.svg` beside it."""
    last = lines[-1]
    rows = [(key, value) for key, value in last.items() if _is_figure(value)]
    figures = "".join(f"<tr><td>{html.escape(key)}</td><td>{value:.6g}</td></tr>" for key, value in rows)
    recipe = run / "config.yaml"
    text = html.escape(recipe.read_text(encoding="utf-8")) if recipe.is_file() else ""
    answers = "".join(_answers(run / f"samples.{when}.jsonl", when) for when in ("before", "after"))
    name = html.escape(run.name)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title>'
        "<style>body{font-family:sans-serif;max-width:60em;margin:2em auto}"
        "td,th{padding:.2em .8em;text-align:left;vertical-align:top}"
        "img{max-width:100%}pre{background:#f4f4f4;padding:1em;overflow:auto}</style>"
        f"<h1>{name}</h1><p>{len(lines)} lines of the log, the last of step {last['step']}.</p>"
        f'<img src="curves.svg" alt="curves of the run"><h2>Last line</h2><table>{figures}</table>'
        f"{answers}<h2>Recipe</h2><pre>{text}</pre></html>\n"
    )


def _answers(path: Path, when: str) -> str:
    if not path.is_file():
        return ""
    rows = ""
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            answer = json.loads(text)
            shown = [html.escape(str(answer[key])) for key in ("prompt", "target", "answer")]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ReportError(f"not an answer: {error}", where=Location(path, number)) from error
        rows += f"<tr>{''.join(f'<td>{cell}</td>' for cell in shown)}</tr>"
    head = "<tr><th>prompt</th><th>target</th><th>answer</th></tr>"
    return f"<h2>Answers {when} training</h2><table>{head}{rows}</table>"
