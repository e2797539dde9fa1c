"""An SVG plot of tasks and instances by category: the paper's Figure 2 for what a repository holds.

Two bars a category, each scaled to the longest of its kind. It is written here and not by a plotting library,
so that the same manifests give the same bytes on any machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from vision_flan.dataset.publication import PublishedTask
from vision_flan.report import counted
from vision_flan.spec.model import CATEGORIES

#: Path of the plot in a repository.
PLOT = "categories.svg"
TITLE = "Tasks and instances by category"

#: Lengths in pixels. It is narrow, and a name stands above its bars, so that it can be read on a phone.
WIDTH = 480
MARGIN = 8
BAR = 150
INSTANCES_AT = 248
ROW = 38
TOP = 44


def by_category(tasks: Mapping[str, PublishedTask]) -> dict[str, list[PublishedTask]]:
    """Category -> its tasks by name, in the paper's order; categories that it does not know come last."""
    order = {category: at for at, category in enumerate(CATEGORIES)}
    found: dict[str, list[PublishedTask]] = {}
    for task in sorted(tasks.values(), key=lambda t: (order.get(t.manifest.category, len(order)), t.task)):
        found.setdefault(task.manifest.category, []).append(task)
    return found


def plot(tasks: Mapping[str, PublishedTask]) -> str:
    """The plot as the text of an SVG file."""
    counts = {name: (len(found), sum(t.rows for t in found)) for name, found in by_category(tasks).items()}
    most_tasks = max((number for number, _ in counts.values()), default=1)
    most_rows = max((rows for _, rows in counts.values()), default=1)
    height = TOP + ROW * len(counts)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" role="img" font-family="sans-serif" font-size="14" fill="#222222">',
        f"<title>{TITLE}: {counted(len(tasks), 'task')}, "
        f"{counted(sum(rows for _, rows in counts.values()), 'instance')}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{MARGIN}" y="26" font-weight="bold">tasks</text>',
        f'<text x="{INSTANCES_AT}" y="26" font-weight="bold">instances</text>',
    ]
    for at, (name, (number, rows)) in enumerate(counts.items()):
        top = TOP + ROW * at
        lines.append(f'<text x="{MARGIN}" y="{top + 12}">{escape(name)}</text>')
        lines += _bar(MARGIN, top + 17, number, most_tasks, "#4c78a8")
        lines += _bar(INSTANCES_AT, top + 17, rows, most_rows, "#b85c00")
    return "\n".join([*lines, "</svg>"]) + "\n"


def _bar(left: int, top: int, value: int, most: int, color: str) -> list[str]:
    """A bar and its number; at least a pixel, so that a small category can be seen."""
    length = max(1, round(BAR * value / max(most, 1)))
    return [
        f'<rect x="{left}" y="{top}" width="{length}" height="12" fill="{color}"/>',
        f'<text x="{left + length + 6}" y="{top + 11}">{value:,}</text>',
    ]
