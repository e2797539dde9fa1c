"""`vflan preview`: one page that shows a reviewer a task's instances."""

from __future__ import annotations

import base64
import io
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined, Template

from vision_flan.build.open_task import OpenTask
from vision_flan.columns import TEXT_COLUMNS, Turn
from vision_flan.instances.images import check_image, decoded
from vision_flan.instances.maker import Dropped, Instance

#: Formats that every browser shows; others are shown as PNG.
_MIME = {"JPEG": "image/jpeg", "PNG": "image/png", "GIF": "image/gif", "WEBP": "image/webp"}
#: Larger images are downscaled, so that the page is small enough to attach to a pull request.
_MAX_BYTES, _MAX_SIDE = 300_000, 1024
#: Candidates looked at for each instance shown; with more drops, the counts suffice.
_TRIES = 20


@dataclass(frozen=True)
class Shown:
    """An instance on the page; `size` is that of the original image, in pixels and bytes."""

    text: dict[str, str]
    turns: tuple[Turn, ...]
    options: list[str]
    image: str
    image_path: str
    size: str


@dataclass
class Preview:
    """What the page shows.

    Attributes:
        looked_at: number of candidates tried, in selection order.
        dropped: reason -> keys of records that were dropped for it.
    """

    instances: list[Shown] = field(default_factory=list)
    looked_at: int = 0
    dropped: dict[str, list[str]] = field(default_factory=dict)


def collect(opened: OpenTask, n: int, seed: int) -> Preview:
    """The first `n` instances in selection order, and the records dropped before them."""
    maker, preview = opened.maker(seed), Preview()
    for row in opened.rows(n * _TRIES):
        if len(preview.instances) == n:
            break
        preview.looked_at += 1
        key = str(row["_key"])
        made = maker.make(row, opened.read, full_check=True)
        if isinstance(made, Dropped):
            preview.dropped.setdefault(made.reason, []).append(key)
        else:
            preview.instances.append(_shown(made))
    return preview


def render(opened: OpenTask, preview: Preview, origin: str, seed: int) -> str:
    """The page as HTML: self-contained, without scripts, everything from data escaped.

    Args:
        origin: where the records come from, in words.
    """
    task = opened.task
    dataset = opened.catalog.dataset_of(task)
    facts: dict[str, Any] = {
        "category": task.category,
        "suites": ", ".join(task.suites) or "none",
        "dataset": f"{dataset.title} ({dataset.dataset})",
        "license": dataset.license.name,
        "images may be passed on": dataset.license.redistribute_images,
        "form": task.form,
        "available": f"{task.available:,} ({task.confidence} confidence)" if task.available else "unknown",
        "quota": "all" if task.limit is None else f"{task.limit:,}",
        "records": f"{opened.candidates.total:,} in {origin}",
        "seed": seed,
    }
    targets = (shown.text["target"] for shown in preview.instances if shown.options)
    letters = Counter(target[:3] for target in targets if target.startswith("("))
    return _template().render(
        task=task,
        facts=facts,
        preview=preview,
        refused=opened.candidates.dropped,
        letters=sorted(letters.items()),
    )


@cache
def _template() -> Template:
    text = resources.files("vision_flan.review").joinpath("preview.html.j2").read_text("utf-8")
    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(text)


def _shown(instance: Instance) -> Shown:
    facts = check_image(instance.image)
    size = f"{facts.width} x {facts.height} pixels, {len(instance.image):,} bytes, {facts.format}"
    values = dict(zip(TEXT_COLUMNS, instance.values, strict=True))
    image = _data_uri(instance.image, facts.format)
    return Shown(values, instance.turns, instance.options, image, instance.image_path, size)


def _data_uri(data: bytes, image_format: str) -> str:
    mime = _MIME.get(image_format)
    if mime is None or len(data) > _MAX_BYTES:
        data, mime = _smaller(data), "image/png"
    return f"data:{mime};base64,{base64.b64encode(data).decode('ascii')}"


def _smaller(data: bytes) -> bytes:
    image = decoded(data)
    image.thumbnail((_MAX_SIDE, _MAX_SIDE))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
