"""Images as in real collections: unusual modes, unusual headers, and broken files.

Each returns the file's bytes, to be written with `mini.image(rel, ...)`, which passes bytes through.
"""

from __future__ import annotations

import io

from PIL import Image

from vision_flan.miniatures.tree import encode

_ORIENTATION = 0x0112


def grayscale(image: Image.Image, suffix: str = ".jpg") -> bytes:
    """One channel."""
    return encode(image.convert("L"), suffix)


def cmyk(image: Image.Image) -> bytes:
    """A CMYK JPEG."""
    return encode(image.convert("CMYK"), ".jpg")


def rgba(image: Image.Image) -> bytes:
    """A PNG with an alpha channel."""
    return encode(image.convert("RGBA"), ".png")


def palette(image: Image.Image) -> bytes:
    """A PNG with a palette."""
    return encode(image.convert("P", palette=Image.Palette.ADAPTIVE), ".png")


def sixteen_bit(image: Image.Image) -> bytes:
    """A PNG of one channel with 16 bits."""
    return encode(image.convert("L").convert("I;16"), ".png")


def animated(images: list[Image.Image]) -> bytes:
    """A GIF of several frames."""
    out = io.BytesIO()
    images[0].save(out, "GIF", save_all=True, append_images=images[1:], duration=100)
    return out.getvalue()


def exif_rotated(image: Image.Image, orientation: int = 6) -> bytes:
    """A JPEG whose EXIF asks viewers to turn it; the stored pixels, to which boxes refer, are not rotated."""
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    return encode(image, ".jpg", exif=exif)


def truncated(image: Image.Image, suffix: str = ".jpg") -> bytes:
    """A file truncated at two thirds: its header is valid, but it does not decode."""
    data = encode(image, suffix)
    return data[: len(data) * 2 // 3]


def zero_byte() -> bytes:
    """An empty file."""
    return b""


def not_an_image() -> bytes:
    """The response of a dead link, saved with the name of an image."""
    return b"<!DOCTYPE html><html><head><title>404 Not Found</title></head><body>gone</body></html>\n"
