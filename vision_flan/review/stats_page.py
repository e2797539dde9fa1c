"""The numbers of a compiled folder as tables, as a page, and as plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vision_flan.errors import VflanError, install_command
from vision_flan.report import counted, human_bytes
from vision_flan.review.pages import template, text
from vision_flan.review.shown import Bar, histogram
from vision_flan.review.stats import FolderStats, Stats, spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Upper ends of the bars of a histogram of words, and of one of pixels; the last bar is open.
_WORDS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_PIXELS = (64, 128, 256, 384, 512, 768, 1024, 2048, 4096)

CATEGORY_COLUMNS = (
    "category", "tasks", "instances", "images", "shards", "prompt words", "answer words", "formats",
)  # fmt: skip
TASK_COLUMNS = (
    "task", "category", "instances", "images", "shards", "prompt words", "answer words", "answers", "entropy",
    "image size", "formats",
)  # fmt: skip


def category_row(one: Stats) -> list[str]:
    """A category, or the whole folder, as the cells of a table."""
    return [
        one.name, f"{one.tasks:,}", f"{one.instances:,}", f"{one.images:,}", human_bytes(one.shard_bytes),
        _median(one.prompt_words), _median(one.answer_words), _formats(one),
    ]  # fmt: skip


def task_row(one: Stats) -> list[str]:
    """A task as the cells of a table: medians of lengths and sizes, entropy in bits."""
    size = f"{_median(one.widths)} x {_median(one.heights)}" if one.widths else "-"
    return [
        one.name, one.category, f"{one.instances:,}", f"{one.images:,}", human_bytes(one.shard_bytes),
        _median(one.prompt_words), _median(one.answer_words), f"{len(one.answers):,}", f"{one.entropy:.2f}",
        size, _formats(one),
    ]  # fmt: skip


def headline(stats: FolderStats) -> str:
    """The folder in one line."""
    one = stats.total
    return (
        f"{counted(one.tasks, 'task')}: {one.instances:,} instances, "
        f"{one.images:,} distinct images, {human_bytes(one.shard_bytes)}"
    )


def _formats(one: Stats) -> str:
    return ", ".join(name for name, _ in one.formats.most_common())


def _median(counts: Mapping[int, int]) -> str:
    return f"{spread(counts)['median']:g}"


def binned(counts: Mapping[int, int], ends: Sequence[int]) -> list[Bar]:
    """A histogram with bars up to these numbers, from the first to the last that is not empty."""
    found = [0] * (len(ends) + 1)
    for value, count in counts.items():
        found[next((i for i, end in enumerate(ends) if value <= end), len(ends))] += count
    lows = (0, *(end + 1 for end in ends))
    labels = [str(end) if low in (0, end) else f"{low}-{end}" for low, end in zip(lows, ends, strict=False)]
    labels.append(f"over {ends[-1]}")
    used = [i for i, count in enumerate(found) if count]
    return histogram((labels[i], found[i]) for i in range(used[0], used[-1] + 1)) if used else []


def figures(stats: FolderStats) -> dict[str, list[Bar]]:
    """Title -> bars; the first two are the paper's Figure 2."""
    total = stats.total
    by_tasks = sorted(stats.categories, key=lambda one: (-one.tasks, one.name))
    return {
        "Tasks by category": histogram((one.name, one.tasks) for one in by_tasks),
        "Instances by category": histogram((one.name, one.instances) for one in stats.categories),
        "Words of a prompt": binned(total.prompt_words, _WORDS),
        "Words of an answer": binned(total.answer_words, _WORDS),
        "Width of an image in pixels": binned(total.widths, _PIXELS),
        "Height of an image in pixels": binned(total.heights, _PIXELS),
        "Image formats": histogram(total.formats.most_common()),
    }


def as_page(title: str, stats: FolderStats) -> str:
    """The numbers as one HTML file without outside parts and without script."""
    return template("stats.html.j2").render(
        title=title,
        headline=headline(stats),
        figures=figures(stats),
        category_columns=CATEGORY_COLUMNS,
        categories=[category_row(one) for one in (*stats.categories, stats.total)],
        task_columns=TASK_COLUMNS,
        tasks=[task_row(one) for one in stats.tasks],
        unread=dict(stats.total.unread),
        style=text("preview.css") + text("stats.css"),
    )


def check_plots() -> None:
    """Fail before a large folder is read, not after.

    Raises:
        VflanError: matplotlib is not installed.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise VflanError("matplotlib is not installed", hint=install_command("report")) from error


def write_plots(folder: Path, stats: FolderStats) -> list[Path]:
    """Draw each figure as a PNG; the paths.

    Raises:
        VflanError: matplotlib is not installed.
        OSError: the folder cannot be written.
    """
    check_plots()
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for title, bars in figures(stats).items():
        if not bars:
            continue
        figure = Figure(figsize=(8, 1 + 0.28 * len(bars)), layout="constrained")
        _draw(figure.subplots(), title, bars)
        paths.append(folder / f"{title.lower().replace(' ', '_')}.png")
        figure.savefig(paths[-1], dpi=150)
    return paths


def _draw(axes: Axes, title: str, bars: Sequence[Bar]) -> None:
    places = list(range(len(bars)))
    drawn = axes.barh(places, [bar.number for bar in bars], color="#1f7a4d")
    axes.bar_label(drawn, [f"{bar.number:,}" for bar in bars], padding=3, fontsize=8)
    # a label is data: without this, `$` would begin a formula
    axes.set_yticks(places, [bar.label.replace("$", r"\$") for bar in bars], fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, fontsize=10, loc="left")
