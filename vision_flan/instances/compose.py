"""Images composed from others: grids with captions, crops. Only this module encodes pixels.

It writes PNG at a fixed compression level, so that the bytes depend only on the pixels and on the versions of
Pillow and the zlib it comes with. The manifest records Pillow's.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from vision_flan.errors import Location, SpecError
from vision_flan.instances.images import BadImageError, check_image, decoded
from vision_flan.instances.orientation import orientation_of
from vision_flan.instances.rendering import Renderer

#: Default longest side of a grid's cell, in pixels.
DEFAULT_CELL = 224
GAP = 8
CAPTION_HEIGHT = 22
MAX_CELLS = 64

Read = Callable[[str], bytes]


def compose_grids(grids: Sequence[tuple[list[bytes], int, list[str], int]]) -> bytes:
    """Stack grids vertically on a white background.

    Args:
        grids: for each grid, the encoded images, the number of columns, a caption per image (or no captions),
            and the longest side of a cell in pixels.
    """
    drawn = [_grid(*grid) for grid in grids]
    width = max(grid.width for grid in drawn)
    height = sum(grid.height for grid in drawn) + GAP * (len(drawn) - 1)
    sheet = Image.new("RGB", (width, height), "white")
    top = 0
    for grid in drawn:
        sheet.paste(grid, ((width - grid.width) // 2, top))
        top += grid.height + GAP
    return encode_png(sheet)


def _grid(images: list[bytes], columns: int, captions: list[str], cell: int) -> Image.Image:
    if len(images) > MAX_CELLS:
        raise BadImageError("image_too_large")
    tiles = [_decoded(data) for data in images]
    for tile in tiles:
        tile.thumbnail((cell, cell), Image.Resampling.LANCZOS)
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    below = CAPTION_HEIGHT if captions else 0
    wide, high = max(tile.width for tile in tiles), max(tile.height for tile in tiles)
    step_x, step_y = wide + GAP, high + below + GAP
    sheet = Image.new("RGB", (columns * step_x + GAP, rows * step_y + GAP), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for i, tile in enumerate(tiles):
        x, y = GAP + i % columns * step_x, GAP + i // columns * step_y
        sheet.paste(tile, (x + (wide - tile.width) // 2, y + (high - tile.height) // 2))
        if captions:
            pen.text(
                (x + wide // 2, y + high + below // 2), captions[i], fill="black", font=font, anchor="mm"
            )
    return sheet


def crop(data: bytes, box: tuple[float, float, float, float]) -> bytes:
    """Crop [x, y, width, height] from an image.

    The box counts stored pixels, as upstream boxes do; the crop is then turned as EXIF says.

    Raises:
        BadImageError: the box has no pixel inside the image.
    """
    image = _decoded(data, upright=False)
    x, y, width, height = box
    left, top = max(0, round(x)), max(0, round(y))
    right, bottom = min(image.width, round(x + width)), min(image.height, round(y + height))
    if right <= left or bottom <= top:
        raise BadImageError("empty_crop")
    return encode_png(orientation_of(data).image(image.crop((left, top, right, bottom))))


def encode_png(image: Image.Image) -> bytes:
    """An image as PNG bytes; of one without colors, as gray: a third of the bytes to filter and compress.

    Level 6 stays: below 4, drawings take half as many bytes again for a quarter less time.
    """
    if image.mode == "RGB":
        red, green, blue = (band.tobytes() for band in image.split())
        if red == green == blue:
            image = image.getchannel(0)
    sink = io.BytesIO()
    image.save(sink, "PNG", compress_level=6)
    return sink.getvalue()


def _decoded(data: bytes, *, upright: bool = True) -> Image.Image:
    check_image(data)
    try:
        return decoded(data, upright=upright)
    except Exception as error:  # Pillow raises many types of errors for damaged files
        raise BadImageError("broken_image") from error


class Composer:
    """`compose:` of a task: which fields it reads, and the image it makes from them."""

    def __init__(self, spec: Mapping[str, Any], renderer: Renderer, place: Callable[..., Location]) -> None:
        self._place = place("compose")
        self._grids = spec.get("grids", ())
        self._crop = spec.get("crop")
        reads = {grid["images"] for grid in self._grids}
        if self._crop:
            self._image = renderer.compile(self._crop["image"], place("compose", "crop", "image"))
            reads |= self._image.names | ({self._crop["box"]} if "box" in self._crop else set())
        self.reads = frozenset(reads)

    def references(self, row: Mapping[str, Any]) -> list[str]:
        """References to its source images, in order; the composed image is named after them."""
        if self._crop:
            return [self._image.render(row)]
        return [str(ref) for grid in self._grids for ref in self._cells(row, grid)]

    def make(self, row: Mapping[str, Any], read: Read) -> bytes:
        """The composed image as PNG. Raises BadImageError and what `read` raises."""
        if self._crop:
            data = read(self._image.render(row))
            return crop(data, self._box(row, data))
        grids = []
        for grid in self._grids:
            refs = self._cells(row, grid)
            caption = grid.get("captions", "")
            captions = [_numbered(caption, i) for i in range(len(refs))] if caption else []
            cell = grid.get("cell", DEFAULT_CELL)
            grids.append(([read(ref) for ref in refs], grid["columns"], captions, cell))
        return compose_grids(grids)

    def _cells(self, row: Mapping[str, Any], grid: Mapping[str, Any]) -> list[str]:
        refs = row[grid["images"]]
        if not isinstance(refs, list | tuple) or not refs:
            raise BadImageError("missing_image")
        return [str(ref) for ref in refs]

    def _box(self, row: Mapping[str, Any], data: bytes) -> tuple[float, float, float, float]:
        assert self._crop is not None
        if "box" in self._crop:
            box = row[self._crop["box"]]
            if not isinstance(box, list | tuple) or len(box) != 4:
                raise SpecError(f"a box is [x, y, width, height], not {box!r}"[:200], where=self._place)
            return (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
        left, top, right, bottom = self._crop.get("border", (0, 0, 0, 0))
        facts = check_image(data)
        return (left, top, facts.width - left - right, facts.height - top - bottom)


def _numbered(caption: str, index: int) -> str:
    """`Image {n}` -> Image 1; `{letter}` -> A."""
    return caption.replace("{n}", str(index + 1)).replace("{letter}", chr(ord("A") + index % 26))
