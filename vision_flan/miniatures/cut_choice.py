"""Chooses a few records of a task that show every label and oddity, and what they need."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from PIL import ExifTags, Image

from vision_flan.build.open_task import OpenTask
from vision_flan.errors import DamagedFileError, MissingRawError
from vision_flan.instances.maker import Dropped, Instance

#: Records that are looked at, different targets up to which each is shown, and records at most.
_LOOKED_AT, _LABELS, _MOST = 3_000, 60, 120


@dataclass
class Chosen:
    """What stays of a task.

    Attributes:
        keys: of the chosen records; `rows` are the records as the SELECT yields them.
        images: references that were read, with the bytes.
    """

    keys: list[str] = field(default_factory=list)
    rows: list[dict[str, object]] = field(default_factory=list)
    images: dict[str, bytes] = field(default_factory=dict)


def choose(opened: OpenTask, n: int) -> Chosen:
    """At least `n` records in selection order, and those that show something new.

    What is new: a target, as long as there are few; a reason to be dropped; a format, mode, suffix or turn
    of the image; a column that is null.
    """
    chosen = Chosen()
    seen: set[tuple[str, ...]] = set()
    targets: set[str] = set()
    maker = opened.maker(0)
    for row in opened.rows(_LOOKED_AT):
        plain = dict(row)
        read: dict[str, bytes] = {}
        made = maker.make(row, lambda ref, read=read: _remembered(opened, ref, read), full_check=False)  # type: ignore[misc]
        new = set(_features(plain, made, read)) - seen
        if isinstance(made, Instance):
            answer = made.turns[0].assistant
            if answer not in targets and len(targets) < _LABELS:
                new.add(("target", answer))
            targets.add(answer)
        if len(chosen.keys) < n or (new and len(chosen.keys) < max(n, _MOST)):
            seen |= new
            chosen.keys.append(str(row["_key"]))
            chosen.rows.append(plain)
            chosen.images |= read
    return chosen


def _remembered(opened: OpenTask, ref: str, read: dict[str, bytes]) -> bytes:
    try:
        read[ref] = opened.read(ref)
    except (MissingRawError, DamagedFileError):
        raise
    return read[ref]


def _features(
    row: dict[str, object], made: Instance | Dropped, read: dict[str, bytes]
) -> Iterator[tuple[str, ...]]:
    for name, value in row.items():
        if value is None or value == []:
            yield "empty", name
    if isinstance(made, Dropped):
        yield "dropped", made.reason
    for ref, data in read.items():
        yield "suffix", PurePosixPath(ref.partition("#")[0]).suffix
        yield _of_image(data)


def _of_image(data: bytes) -> tuple[str, ...]:
    try:
        with Image.open(io.BytesIO(data)) as image:
            turned = image.getexif().get(ExifTags.Base.Orientation, 1)
            return "image", str(image.format), image.mode, str(turned)
    except Exception:  # Pillow raises anything for damaged files
        return "image", "none"
