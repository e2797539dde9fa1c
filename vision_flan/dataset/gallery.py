"""One instance of a task to look at: a small image file, and what was asked and answered.

A compiled folder has `gallery/<task>.jpg` and the facts beside it, made again from the shards when these have
changed; a repository has the image, and the facts in the task's manifest. Only tasks whose images may clearly
be shown to anybody have one. The card shows a dozen of them, from as many categories as there are.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from vision_flan.columns import IMAGE
from vision_flan.dataset.manifest import Manifest, write_atomically, write_bytes_atomically
from vision_flan.dataset.plain import record_from
from vision_flan.dataset.publication import Example, lacks, terms_of
from vision_flan.dataset.sensitive import kinds_of
from vision_flan.instances.images import decoded
from vision_flan.places.place import P, Place, files_in, source
from vision_flan.spec.license import YES
from vision_flan.spec.model import CATEGORIES

FOLDER = "gallery"
#: Examples in a card.
SHOWN = 12
#: Pixels of the longer side.
SIZE = 256
_QUALITY = 85
#: Rows of the first shard that are looked at, and characters of texts that are good to read.
_ROWS = 50
_PROMPT, _TARGET = 400, 200
#: A license that allows no changed copies; a smaller image is one.
_NO_CHANGES = re.compile(r"\bND\b|no.?deriv", re.IGNORECASE)


def may_show(manifest: Manifest) -> bool:
    """Whether the images of a task may be shown to anybody.

    Only those that may be passed on without naming the author of each, that upstream gives to everybody, and
    in which nothing personal or sensitive is known.
    """
    terms, source = terms_of(manifest).images, manifest.source
    if terms.verdict != YES or terms.needs_credits or lacks(manifest):
        return False
    if _NO_CHANGES.search(f"{terms.name} {terms.spdx or ''}"):
        return False
    limited = (
        source.get("use") or source.get("withdrawn") or source.get("access") in ("gated", "registration")
    )
    return not limited and not kinds_of(manifest)


def image_path(task: str) -> str:
    """Path of an example in a compiled folder and in a repository."""
    return f"{FOLDER}/{task}.jpg"


def read_gallery(folder: Place, manifests: Mapping[str, Manifest]) -> dict[str, Example]:
    """The examples in a compiled folder that belong to its shards, by task."""
    found = {}
    for task, manifest in manifests.items():
        example = read_example(folder, manifest)
        if example:
            found[task] = example
    return found


def read_example(folder: Place, manifest: Manifest) -> Example | None:
    """A task's example in a compiled folder; None if there is none, or it belongs to other shards."""
    if not may_show(manifest) or not manifest.shards:
        return None
    try:
        data = json.loads(_facts_path(folder, manifest.task).read_text("utf-8"))
        example = record_from(Example, data["example"])
        size = (folder / image_path(manifest.task)).stat().st_size
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    same = data.get("shard") == manifest.shards[0].sha256 and size == example.bytes
    return example if same and example.path == image_path(manifest.task) else None


def refresh_gallery(folder: Place, manifests: Mapping[str, Manifest]) -> dict[str, Example]:
    """Make the examples of a compiled folder that are missing, and remove those that belong to no task.

    A shard that cannot be read gives no example: `vflan verify` says what is wrong with it.
    """
    found = {}
    for task, manifest in manifests.items():
        example = read_example(folder, manifest) or _make(folder, manifest)
        if example:
            found[task] = example
    wanted = {Path(image_path(task)).name for task in found} | {f"{task}.json" for task in found}
    for path in [path for path in files_in(folder / FOLDER, "*") if path.name not in wanted]:
        path.unlink(missing_ok=True)
    return found


def chosen(
    tasks: Iterable[tuple[Manifest, Example | None]], most: int = SHOWN
) -> list[tuple[Manifest, Example]]:
    """The examples that a card shows: a task of each category in turn, of a new source if there is one.

    In the order of the paper's categories.
    """
    order = {category: at for at, category in enumerate(CATEGORIES)}
    left: dict[str, list[tuple[Manifest, Example]]] = {}
    for manifest, example in sorted(tasks, key=lambda item: item[0].task):
        if example:
            left.setdefault(manifest.category, []).append((manifest, example))
    found: list[tuple[Manifest, Example]] = []
    names = sorted(left, key=lambda name: (order.get(name, len(order)), name))
    while len(found) < most and any(left.values()):
        for name in names:
            if left[name] and len(found) < most:
                seen = {manifest.dataset for manifest, _ in found}
                at = next((i for i, (m, _) in enumerate(left[name]) if m.dataset not in seen), 0)
                found.append(left[name].pop(at))
    return sorted(found, key=lambda item: (names.index(item[0].category), item[0].task))


def _facts_path(folder: P, task: str) -> P:
    return folder / FOLDER / f"{task}.json"


def _make(folder: Place, manifest: Manifest) -> Example | None:
    """Write a task's example; None if it has no image that may or can be shown."""
    if not may_show(manifest) or not manifest.shards:
        return None
    task, shard = manifest.task, manifest.shards[0]
    try:
        with pq.ParquetFile(source(folder / shard.path)) as file:
            texts = file.read_row_group(0, columns=["id", "prompt", "target"]).slice(0, _ROWS).to_pylist()
            row = _best(texts)
            data = file.read_row_group(0, columns=[IMAGE]).column(IMAGE)[row].as_py()["bytes"]
        content = _jpeg(_small(data))
        write_bytes_atomically(folder / image_path(task), content)
    except (OSError, ValueError, TypeError, KeyError, pa.ArrowException, Image.DecompressionBombError):
        return None
    example = Example(
        path=image_path(task),
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        id=str(texts[row]["id"]),
        prompt=str(texts[row]["prompt"]),
        target=str(texts[row]["target"]),
    )
    facts = {"shard": shard.sha256, "example": asdict(example)}
    write_atomically(_facts_path(folder, task), json.dumps(facts, indent=2, sort_keys=True) + "\n")
    return example


def _best(rows: Sequence[Mapping[str, str]]) -> int:
    """The first row whose texts are short enough to read; else the shortest."""
    for at, row in enumerate(rows):
        if len(row["prompt"]) <= _PROMPT and len(row["target"]) <= _TARGET:
            return at
    return min(range(len(rows)), key=lambda at: len(rows[at]["prompt"]) + len(rows[at]["target"]))


def _small(data: bytes) -> Image.Image:
    image = decoded(data)
    image.thumbnail((SIZE, SIZE), Image.Resampling.LANCZOS)
    return image


def _jpeg(image: Image.Image) -> bytes:
    """The pixels alone: no EXIF, no comment."""
    image.info.clear()
    file = BytesIO()
    image.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()
