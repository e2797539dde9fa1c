"""Check whether an image can be passed on unchanged, and decode images for display.

What passes the check can be decoded by `datasets` and the trainer. Decoding a JPEG takes 2 ms, twenty times
as long as copying it (docs/design.md), so a plain JPEG or PNG is accepted by its header and its end
(`image_headers`); any other file is decoded as `load_dataset` does. `full=True` decodes all files.
"""

from __future__ import annotations

import io
import logging
import warnings
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageFile, ImageOps, UnidentifiedImageError

from vision_flan.instances.image_headers import (
    BadHeaderError,
    bound_jpeg,
    plain_jpeg,
    plain_png,
    png_header,
)

# a damaged image is counted with its reason; Pillow's own lines about it would reach the terminal, one each
logging.getLogger("PIL").addHandler(logging.NullHandler())

#: Pillow's limit against decompression bombs: a quarter of a gigabyte of RGB.
MAX_PIXELS = 89_478_485
MAX_BYTES = 64 * 2**20

#: Pillow plugins that may open a file; the MPO files of cameras are opened as JPEG.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")

_JPEG_END = b"\xff\xd9"
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"BM", b"II*\x00", b"MM\x00*", b"P5", b"P6")
#: Modes that Pillow cannot convert to RGB.
_NOT_SHOWN = ("LAB",)


class ImageFacts(NamedTuple):
    """Format by content (not by suffix), and size in stored pixels (before EXIF rotation)."""

    format: str
    width: int
    height: int


class BadImageError(Exception):
    """The image cannot be used; the message is the reason for dropping it."""


def check_image(data: bytes, *, full: bool = False) -> ImageFacts:
    """Check the bytes of one image.

    Raises:
        BadImageError: empty_image (no bytes, or the single pixel that shops serve as a placeholder),
            image_too_large, not_an_image, broken_image, animated_image.
    """
    if not data:
        raise BadImageError("empty_image")
    if len(data) > MAX_BYTES:
        raise BadImageError("image_too_large")
    try:
        if data.startswith(b"\xff\xd8"):
            plain = plain_jpeg(data) if not full and data.endswith(_JPEG_END) else None
            if plain and 1 < plain.width * plain.height <= MAX_PIXELS:
                if plain.exif is not None:
                    _check_exif(plain.exif)
                return ImageFacts("JPEG", plain.width, plain.height)
            bound_jpeg(data)
        elif not full:
            header = png_header(data)
            if header and 1 < header.width * header.height <= MAX_PIXELS and plain_png(data):
                return ImageFacts("PNG", header.width, header.height)
        return _check_opened(data, full)
    except BadHeaderError as error:
        raise BadImageError("broken_image") from error


def _check_opened(data: bytes, full: bool) -> ImageFacts:
    whole = plain_png(data) if data.startswith(b"\x89PNG\r\n\x1a\n") else False
    image = _open(data)
    if image.width * image.height > MAX_PIXELS:
        raise BadImageError("image_too_large")
    if image.width == 0 or image.height == 0 or whole is None:
        raise BadImageError("broken_image")
    if image.width == image.height == 1:
        raise BadImageError("empty_image")
    facts = ImageFacts(str(image.format), image.width, image.height)
    try:
        if image.format != "MPO" and getattr(image, "is_animated", False):
            raise BadImageError("animated_image")
        if full or not whole:
            image.load()
            if image.getexif().get(ExifTags.Base.Orientation) is not None:
                ImageOps.exif_transpose(image)
            _check_shown(image)
    except BadImageError:
        raise
    except Exception as error:  # Pillow raises many types of errors for damaged files
        raise BadImageError("broken_image") from error
    return facts


def _check_exif(block: bytes) -> None:
    """Parse an EXIF block on an image of one pixel, as `datasets` does when it decodes."""
    probe = Image.new("L", (1, 1))
    probe.info["exif"] = block
    try:
        if probe.getexif().get(ExifTags.Base.Orientation) is not None:
            ImageOps.exif_transpose(probe)
    except Exception as error:  # struct.error, KeyError, TypeError ...: undocumented
        raise BadImageError("broken_image") from error


def _check_shown(image: Image.Image) -> None:
    """Convert one pixel of a decoded image to RGB, as the trainer does with the whole image."""
    if image.mode in _NOT_SHOWN:
        raise BadImageError("broken_image")
    on_white(image.crop((0, 0, 1, 1)))


# Pillow warns at its size limit and about odd EXIF; what matters is enforced above, with a drop reason
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", module="PIL.TiffImagePlugin")


def decoded(data: bytes, *, upright: bool = True) -> Image.Image:
    """An image as RGB on white, turned as EXIF says, as `load_dataset` shows it.

    Args:
        upright: False leaves the pixels as stored, to which upstream boxes refer.

    Raises:
        OSError, ValueError and other errors of Pillow for damaged files; none for images that passed
            `check_image`.
    """
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        image.load()
        if upright and image.getexif().get(ExifTags.Base.Orientation) is not None:
            return on_white(ImageOps.exif_transpose(image))
        return on_white(image)


def on_white(image: Image.Image) -> Image.Image:
    """Convert to RGB on a white background. Black drawings are often stored on transparent black, which a
    plain `convert` would turn into black on black. More than 8 bits per channel are scaled to 8."""
    if image.mode.startswith("I") or image.mode == "F":
        return _eight_bits(image).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit gray by its full range (65535 is white), and 32-bit integers and floats by their own
    range: the minimum is black, the maximum white. NaN is black; an image of a single value is middle
    gray."""
    values = np.asarray(image).astype(np.float64)
    if image.mode.startswith("I;16"):
        return Image.fromarray(np.rint(values / 257).astype(np.uint8))
    finite = values[np.isfinite(values)]
    least, most = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    if least == most:
        return Image.new("L", image.size, 128)
    scaled = (np.nan_to_num(values, nan=least, posinf=most, neginf=least) - least) / (most - least)
    return Image.fromarray(np.rint(scaled * 255).astype(np.uint8))


def _open(data: bytes) -> ImageFile.ImageFile:
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise BadImageError("image_too_large") from error
    except UnidentifiedImageError as error:
        raise BadImageError("broken_image" if data.startswith(_MAGIC) else "not_an_image") from error
    except Exception as error:  # Pillow raises many types of errors for damaged files
        raise BadImageError("broken_image") from error
