"""Is this an image we can hand on as it is? The bytes are never changed.

Decoding every JPEG costs 2 ms and twenty times the copying (docs/design.md), so the everyday check reads the
header and makes sure that the file is whole: a JPEG or PNG that ends as it should. Whatever ends otherwise,
and other formats, are decoded. `full=True` decodes all.
"""

from __future__ import annotations

import io
import struct
import warnings
from dataclasses import dataclass

from PIL import Image, ImageFile, UnidentifiedImageError

#: Pillow's own limit against decompression bombs: a quarter of a gigabyte of RGB.
MAX_PIXELS = 89_478_485
MAX_BYTES = 64 * 2**20

#: Pillow's readers that may open a file; a camera's MPO comes as a JPEG.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")

_JPEG_END = b"\xff\xd9"
#: Markers of frame headers: SOF0 to SOF15 without DHT, JPG and DAC, which lie between them.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"BM", b"II*\x00", b"MM\x00*", b"P5", b"P6")


@dataclass(frozen=True)
class ImageFacts:
    """Format by content (not by suffix), size in pixels as stored (EXIF rotation is left alone)."""

    format: str
    width: int
    height: int


class BadImageError(Exception):
    """The image cannot be used; the message is the reason it is dropped for."""


def check_image(data: bytes, *, full: bool = False) -> ImageFacts:
    """Check the bytes of one image.

    Raises:
        BadImageError: empty_image (no bytes, or the one pixel that shops send for an image they lack),
            image_too_large, not_an_image, broken_image, animated_image.
    """
    if not data:
        raise BadImageError("empty_image")
    if len(data) > MAX_BYTES:
        raise BadImageError("image_too_large")
    if not full and data.endswith(_JPEG_END):
        size = _jpeg_size(data)
        if size and 1 < size[0] * size[1] <= MAX_PIXELS:
            return ImageFacts("JPEG", *size)
    image = _open(data)
    if image.width * image.height > MAX_PIXELS:
        raise BadImageError("image_too_large")
    if image.width == 0 or image.height == 0:
        raise BadImageError("broken_image")
    if image.width == image.height == 1:
        raise BadImageError("empty_image")
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        raise BadImageError("animated_image")
    facts = ImageFacts(str(image.format), image.width, image.height)
    try:
        if image.format == "PNG" and not full:
            image.verify()  # reads every chunk and its CRC up to IEND, decodes nothing
        elif full or not _is_whole(data, facts.format):
            image.load()
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError) as error:
        raise BadImageError("broken_image") from error
    return facts


# Pillow warns at the limit, and of odd EXIF: what matters of it is enforced here, with a reason of its own
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", module="PIL.TiffImagePlugin")


def on_white(image: Image.Image) -> Image.Image:
    """As RGB, with white where it is transparent: drawings in black often lie on transparent black, which
    plain `convert` would show as black on black."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def _open(data: bytes) -> ImageFile.ImageFile:
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise BadImageError("image_too_large") from error
    except UnidentifiedImageError as error:
        raise BadImageError("broken_image" if data.startswith(_MAGIC) else "not_an_image") from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        raise BadImageError("broken_image") from error


def _is_whole(data: bytes, image_format: str) -> bool:
    return image_format in ("JPEG", "MPO") and data.endswith(_JPEG_END)


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a JPEG from its frame header (ITU-T T.81, B.2.2), None where that is not plain.

    Most images are photographs, and Pillow reads all of a header's tables to tell its size: ten times
    the work, under the interpreter lock. Whatever is odd is left to Pillow.
    """
    if data[:2] != b"\xff\xd8":
        return None
    at, end = 2, len(data) - 9
    while at < end and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _FRAMES:
            height, width = int.from_bytes(data[at + 5 : at + 7]), int.from_bytes(data[at + 7 : at + 9])
            return width, height
        if marker == 0xFF or marker == 0xDA or 0xD0 <= marker <= 0xD9:
            return None  # fill bytes, a scan before its frame, markers without a length
        length = int.from_bytes(data[at + 2 : at + 4])
        if length < 2:
            return None
        at += 2 + length
    return None
