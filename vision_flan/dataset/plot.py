"""A plot of tasks and instances by category: the paper's Figure 2 for what a repository holds.

Two bars a category, each scaled to the longest of its kind. It is a PNG, which every page shows; whether the
Hub shows an SVG of a repository is not certain.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO

from PIL import Image, ImageDraw, ImageFont

from vision_flan.dataset.publication import PublishedTask
from vision_flan.spec.model import CATEGORIES

#: Path of the plot in a repository.
PLOT = "categories.png"

#: Pixels of a screen for one of the layout: screens have two.
_SCALE = 2
#: Lengths of the layout. It is narrow, and a name stands above its bars, so that it can be read on a phone.
WIDTH = 480
MARGIN = 8
BAR = 150
INSTANCES_AT = 248
ROW = 38
TOP = 44
_FONT_SIZE = 14
_TEXT, _TASKS, _INSTANCES = "#222222", "#4c78a8", "#b85c00"


def by_category(tasks: Mapping[str, PublishedTask]) -> dict[str, list[PublishedTask]]:
    """Category -> its tasks by name, in the paper's order; categories that it does not know come last."""
    order = {category: at for at, category in enumerate(CATEGORIES)}
    found: dict[str, list[PublishedTask]] = {}
    for task in sorted(tasks.values(), key=lambda t: (order.get(t.manifest.category, len(order)), t.task)):
        found.setdefault(task.manifest.category, []).append(task)
    return found


def plot(tasks: Mapping[str, PublishedTask]) -> bytes:
    """The plot as the bytes of a PNG file."""
    counts = {name: (len(found), sum(t.rows for t in found)) for name, found in by_category(tasks).items()}
    most_tasks = max((number for number, _ in counts.values()), default=1)
    most_rows = max((rows for _, rows in counts.values()), default=1)
    size = (WIDTH * _SCALE, (TOP + ROW * len(counts)) * _SCALE)
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    _text(draw, MARGIN, 12, "tasks")
    _text(draw, INSTANCES_AT, 12, "instances")
    for at, (name, (number, rows)) in enumerate(counts.items()):
        top = TOP + ROW * at
        _text(draw, MARGIN, top - 2, name)
        _bar(draw, MARGIN, top + 17, number / max(most_tasks, 1), f"{number:,}", _TASKS)
        _bar(draw, INSTANCES_AT, top + 17, rows / max(most_rows, 1), f"{rows:,}", _INSTANCES)
    file = BytesIO()
    image.quantize(64).save(file, "PNG", optimize=True)
    return file.getvalue()


def _bar(draw: ImageDraw.ImageDraw, left: int, top: int, share: float, number: str, color: str) -> None:
    """A bar and its number; at least a pixel, so that a small category can be seen."""
    length = max(1, round(BAR * share))
    box = [left * _SCALE, top * _SCALE, (left + length) * _SCALE - 1, (top + 12) * _SCALE - 1]
    draw.rectangle(box, fill=color)
    _text(draw, left + length + 6, top - 3, number)


def _text(draw: ImageDraw.ImageDraw, left: int, top: int, text: str) -> None:
    font = ImageFont.load_default(_FONT_SIZE * _SCALE)
    draw.text((left * _SCALE, top * _SCALE), text, fill=_TEXT, font=font)
