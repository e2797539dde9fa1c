"""EXIF orientation: how stored pixels, and boxes that count them, become what a viewer shows."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import NamedTuple

from PIL import ExifTags, Image

from vision_flan.instances.images import FORMATS

#: EXIF orientation -> what turns the stored pixels upright; 1 and anything else leaves them alone.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
#: Formats whose EXIF block always comes before the pixels, so that nothing has to be decoded.
_EXIF_FIRST = ("JPEG", "MPO")
#: Orientations that read the stored image from right to left, from bottom to top, or by columns.
_FROM_RIGHT, _FROM_BOTTOM, _BY_COLUMN = (2, 3, 7, 8), (3, 4, 6, 7), (5, 6, 7, 8)

Box = tuple[float, float, float, float]


class Orientation(NamedTuple):
    """EXIF orientation, 1 to 8, and the size of the stored image in pixels."""

    value: int
    width: int
    height: int

    def image(self, stored: Image.Image) -> Image.Image:
        """Stored pixels, or a part of them, as a viewer shows them."""
        return stored.transpose(_TURNS[self.value]) if self.value in _TURNS else stored

    def box(self, stored: Sequence[float]) -> Box:
        """A box [x, y, width, height] in stored pixels as one in the image a viewer shows."""
        x, y, width, height = stored
        if self.value in _FROM_RIGHT:
            x = self.width - x - width
        if self.value in _FROM_BOTTOM:
            y = self.height - y - height
        return (y, x, height, width) if self.value in _BY_COLUMN else (x, y, width, height)


def orientation_of(data: bytes) -> Orientation:
    """The orientation of an image that passed `check_image`; 1 where EXIF says nothing valid."""
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        if image.format not in _EXIF_FIRST:
            image.load()  # PNG may have its EXIF after the pixels; TIFF is turned while it is decoded
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
        return Orientation(value if value in _TURNS else 1, image.width, image.height)
