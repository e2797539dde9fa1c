"""Images as a page shows them: data URIs of a bounded size, in a format that every browser opens."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from vision_flan.columns import IMAGE
from vision_flan.instances.images import BadImageError, ImageFacts, check_image, decoded, on_white
from vision_flan.review.duplicates import Place
from vision_flan.review.stored import manifests_of, stored_batches

#: Formats that every browser shows; others are converted.
_MIME = {"JPEG": "image/jpeg", "PNG": "image/png", "GIF": "image/gif", "WEBP": "image/webp"}
#: Longest side in pixels, and bytes of one image, where few are shown and where many are.
LARGE, SMALL = (1024, 300_000), (384, 24_000)
_QUALITY = 70


def data_uri(data: bytes, limits: tuple[int, int]) -> tuple[str, ImageFacts]:
    """An image as a data URI, and what it was: bytes pass through where they are small enough.

    Args:
        limits: longest side in pixels of what is shown smaller, and bytes above which it is.

    Raises:
        BadImageError: not an image, or one that a compile would drop.
    """
    facts = check_image(data)
    mime = _MIME.get(facts.format)
    if mime is None or len(data) > limits[1]:
        data, mime = _smaller(data, limits[0]), "image/webp"
    return f"data:{mime};base64,{base64.b64encode(data).decode('ascii')}", facts


def _smaller(data: bytes, side: int) -> bytes:
    image = on_white(decoded(data))
    image.thumbnail((side, side))
    out = io.BytesIO()
    image.save(out, "WEBP", quality=_QUALITY)
    return out.getvalue()


def stored_images(folders: Sequence[Path], wanted: Iterable[Place]) -> Iterator[tuple[Place, str, str]]:
    """Instances of compiled folders, each with its image as a small data URI, "" if there is none, and its
    target. Only configs with one of the instances are read.

    Raises:
        VflanError: a shard cannot be read any more.
    """
    by_config: dict[tuple[int, str], set[str]] = {}
    for place in wanted:
        by_config.setdefault((place.folder, place.task), set()).add(place.id)
    for (number, task), ids in sorted(by_config.items()):
        manifest = manifests_of(folders[number])[task]
        for batch in stored_batches(folders[number], manifest, ("id", IMAGE, "target")):
            columns = (batch.column("id"), batch.column(IMAGE).field("bytes"), batch.column("target"))
            for key, image, target in zip(*columns, strict=True):
                if key.as_py() in ids:
                    yield Place(number, task, key.as_py()), _small(image.as_py()), target.as_py()


def _small(data: bytes | None) -> str:
    try:
        return data_uri(data, SMALL)[0] if data else ""
    except BadImageError:
        return ""
