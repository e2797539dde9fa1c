"""Drawn images in place of real ones: the same format, mode and size, and the same damage."""

from __future__ import annotations

import hashlib
import io
import random

import numpy as np
from PIL import ExifTags, Image, ImageDraw, UnidentifiedImageError

_SHAPES = 6
#: Bytes of a damaged image that are kept of the drawn one.
_CUT = 0.6


def stand_in(data: bytes, name: str) -> bytes:
    """A drawn image like this one. What is no image becomes a few bytes that are none either.

    Args:
        name: decides what is drawn.
    """
    if not data:
        return b""
    try:
        with Image.open(io.BytesIO(data)) as image:
            facts = (image.format or "PNG", image.mode, image.size)
            orientation = image.getexif().get(ExifTags.Base.Orientation)
            frames = min(getattr(image, "n_frames", 1), 3) if image.format != "MPO" else 1
            is_whole = _decodes(image)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return b"this is not an image\n"
    drawn = _encoded(facts, name, orientation, frames)
    return drawn if is_whole else drawn[: int(len(drawn) * _CUT)]


def facts_of(data: bytes) -> str:
    """Format, mode and size, as in "JPEG RGB 640x480"."""
    with Image.open(io.BytesIO(data)) as image:
        return f"{image.format} {image.mode} {image.size[0]}x{image.size[1]}"


def _decodes(image: Image.Image) -> bool:
    try:
        image.load()
    except (OSError, ValueError, SyntaxError):
        return False
    return True


def drawing(mode: str, size: tuple[int, int], name: str, at: int = 0) -> Image.Image:
    """Shapes on a gradient, in any mode."""
    rng = random.Random(hashlib.md5(f"{name} {at}".encode(), usedforsecurity=False).hexdigest())
    ramp = Image.linear_gradient("L").resize(size)
    colors = [tuple(rng.randrange(256) for _ in range(3)) for _ in range(3)]
    image = Image.merge("RGB", [ramp.point([(c0 * (255 - i) + c1 * i) // 255 for i in range(256)])
                                for c0, c1 in zip(colors[0], colors[1], strict=True)])  # fmt: skip
    draw = ImageDraw.Draw(image)
    for _ in range(_SHAPES):
        x, y = rng.randrange(size[0]), rng.randrange(size[1])
        box = (x, y, min(x + max(size[0] // 4, 1), size[0]), min(y + max(size[1] // 4, 1), size[1]))
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape(box, fill=tuple(rng.randrange(256) for _ in range(3)))
    if mode.startswith("I;16") or mode in ("I", "F"):
        wide = np.asarray(image.convert("L")).astype(np.uint16) * 257
        made = Image.fromarray(wide)
        return made if mode.startswith("I;16") else made.convert(mode)
    return image.convert(mode)


def _encoded(
    facts: tuple[str, str, tuple[int, int]], name: str, orientation: int | None, frames: int
) -> bytes:
    form, mode, size = facts
    images = [drawing(mode, size, name, at) for at in range(frames)]
    form = "JPEG" if form == "MPO" else form
    out = io.BytesIO()
    options: dict[str, object] = {"quality": 60} if form == "JPEG" else {}
    if orientation is not None and form in ("JPEG", "PNG", "WEBP", "TIFF"):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        options["exif"] = exif
    if frames > 1 and form in ("GIF", "PNG", "WEBP", "TIFF"):
        options |= {"save_all": True, "append_images": images[1:]}
    images[0].save(out, form, **options)
    return out.getvalue()
