"""Images as a page shows them: data URIs of a bounded size, in a format that every browser opens."""

from __future__ import annotations

import base64
import io

from vision_flan.instances.images import ImageFacts, check_image, decoded, on_white

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
