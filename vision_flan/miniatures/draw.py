"""Small images that show what an annotation says, drawn fast and deterministically.

Sizes are (width, height) and boxes (x, y, width, height), in pixels from the top left, unless a name says
otherwise. Colors are RGB triples of 0..255. Every function returns a new RGB image unless it says so.
"""

from __future__ import annotations

import hashlib
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from math import cos, pi, sin
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vision_flan.miniatures.words import with_words_kept

Size = tuple[int, int]
Box = tuple[int, int, int, int]
Color = tuple[int, int, int]

NAMED: dict[str, Color] = {
    "red": (173, 35, 35),
    "green": (29, 105, 20),
    "blue": (42, 75, 215),
    "yellow": (235, 218, 43),
    "brown": (129, 74, 25),
    "gray": (110, 110, 110),
    "purple": (129, 38, 192),
    "cyan": (41, 208, 208),
    "orange": (240, 140, 30),
    "pink": (240, 150, 190),
    "white": (245, 245, 245),
    "black": (20, 20, 20),
}
PAPERS: tuple[Color, ...] = (
    (250, 248, 240),
    (226, 236, 244),
    (243, 229, 200),
    (214, 232, 214),
    (238, 214, 214),
)
INKS: tuple[Color, ...] = ((20, 20, 20), (110, 20, 20), (20, 40, 110), (20, 80, 30))

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@lru_cache(maxsize=64)
def font(size: int) -> Font:
    """Pillow's own scalable font; Pillow without FreeType has one small font."""
    face = ImageFont.load_default(size)
    return with_words_kept(face) if isinstance(face, ImageFont.FreeTypeFont) else face


def some_size(rng: Random, low: int = 64, high: int = 160) -> Size:
    return rng.randint(low, high), rng.randint(low, high)


def digest(text: str) -> bytes:
    """16 bytes derived from this text."""
    return hashlib.md5(text.encode(), usedforsecurity=False).digest()


def color_of(text: str, *, light: bool = False) -> Color:
    """A color derived from this text; with `light`, black text is legible on it."""
    red, green, blue = digest(text)[:3]
    low, span = (150, 100) if light else (30, 170)
    return low + red * span // 255, low + green * span // 255, low + blue * span // 255


def blank(size: Size, color: Color = (255, 255, 255)) -> Image.Image:
    return Image.new("RGB", size, color)


# --- words


def plain(text: str) -> str:
    """The text without diacritics: the font has little beyond ASCII."""
    if text.isascii():
        return text
    return "".join(
        letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter)
    )


#: Strokes of diacritics above a letter, (x, y, x, y) as fractions of its width and of the font size.
_MARKS = {
    "\u0300": ((0.3, 0.0, 0.6, 0.12),),
    "\u0301": ((0.7, 0.0, 0.4, 0.12),),
    "\u0302": ((0.2, 0.12, 0.5, 0.0), (0.5, 0.0, 0.8, 0.12)),
    "\u0303": ((0.2, 0.1, 0.4, 0.02), (0.4, 0.02, 0.6, 0.1), (0.6, 0.1, 0.8, 0.02)),
    "\u0308": ((0.25, 0.06, 0.3, 0.06), (0.7, 0.06, 0.75, 0.06)),
    "\u030c": ((0.2, 0.0, 0.5, 0.12), (0.5, 0.12, 0.8, 0.0)),
    "\u030a": ((0.4, 0.0, 0.6, 0.0), (0.6, 0.0, 0.6, 0.12), (0.6, 0.12, 0.4, 0.12), (0.4, 0.12, 0.4, 0.0)),
}


def write(pen: ImageDraw.ImageDraw, at: tuple[float, float], text: str, ink: Color | int, size: int) -> None:
    """Draw one line of text, `size` pixels high, from its top left corner; accents are drawn as strokes."""
    pen.text(at, plain(text), ink, font=font(size))
    _marks(pen, at, text, ink, size)


def _marks(pen: ImageDraw.ImageDraw, at: tuple[float, float], text: str, ink: Color | int, size: int) -> None:
    """Draw the accents of a line that stands there without them."""
    face, base = font(size), plain(text)
    if base == text or len(base) != len(text):
        return
    for place, letter in enumerate(text):
        x, width = at[0] + face.getlength(base[:place]), face.getlength(base[place])
        top = at[1] + size * (0.02 if letter.isupper() else 0.14)
        for mark in unicodedata.normalize("NFD", letter)[1:]:
            for left, high, right, low in _MARKS.get(mark, ()):
                stroke = (x + left * width, top + high * size, x + right * width, top + low * size)
                pen.line(stroke, ink, max(size // 9, 1))


@lru_cache(maxsize=20_000)
def word_tile(word: str, height: int) -> Image.Image:
    """The word as a mask (mode L), cropped to its glyphs, `height` pixels high whatever its letters are."""
    size = max(height + 2, 8)
    mask = Image.new("L", (int(font(size).getlength(plain(word))) + size, 2 * size))
    write(ImageDraw.Draw(mask), (0, size // 3), word, 255, size)
    cut = mask.crop(mask.getbbox())
    # A hyphen as high as a letter would be a bar: keep low glyphs low, in a cell of that height.
    if cut.height < 0.6 * height:
        cell = Image.new("L", (cut.width, height))
        cell.paste(cut, (0, height - cut.height - height // 4))
        return cell
    return cut if cut.height == height else cut.resize((max(cut.width * height // cut.height, 2), height))


@lru_cache(maxsize=64)
def smudge_tile(width: int, height: int) -> Image.Image:
    """A smudge in place of an illegible word (mode L)."""
    noise = np.random.default_rng(width * 1000 + height).integers(
        60, 150, (max(height // 4, 1), max(width // 4, 1))
    )
    return Image.fromarray(noise.astype(np.uint8)).resize((width, height), Image.Resampling.BILINEAR)


def lines_of_words(
    lines: Sequence[Sequence[str]], rng: Random, *, heights: Size = (12, 16), illegible: str = "."
) -> tuple[Size, list[list[Box]]]:
    """Lay words out as lines of text: the image's size, and each word's box, line by line.

    Words of a line differ in height and in vertical position, by less than a quarter of
    their height; lines are more than half a height apart, so the reading order is unambiguous.
    """
    low, high = heights
    boxes: list[list[Box]] = []
    width = 40
    top = rng.randint(0, high)
    for words in lines:
        x = rng.randint(0, 2 * high)
        row: list[Box] = []
        for word in words:
            height = rng.randint(low, high)
            wide = rng.randint(2, 4) * height if word == illegible else word_tile(word, height).width
            row.append((x, top + rng.randint(0, high // 4), wide, height))
            x += wide + rng.randint(5, 9)
        boxes.append(row)
        width = max(width, x)
        top += high + high // 4 + rng.randint(high * 3 // 4, high * 2)
    return (width, max(top, 32)), boxes


def word_scene(
    size: Size, words: Iterable[tuple[str, Box]], rng: Random, *, illegible: str = "."
) -> Image.Image:
    """Words written into their boxes on a plain background; `illegible` is drawn as a smudge."""
    scene = blank(size, rng.choice(PAPERS))
    ink = rng.choice(INKS)
    for word, (x, y, width, height) in words:
        tile = smudge_tile(width, height) if word == illegible else word_tile(word, height)
        scene.paste(ink, (x, y), tile if tile.width == width else tile.resize((width, height)))
    return scene


def page(lines: Sequence[str], size: Size | None = None, text_size: int = 12) -> Image.Image:
    """A document: black lines on white paper."""
    step = text_size + 6
    if size is None:
        widest = max((int(font(text_size).getlength(line)) for line in lines), default=40)
        size = widest + 20, step * len(lines) + 20
    paper = blank(size)
    pen = ImageDraw.Draw(paper)
    for number, line in enumerate(lines):
        write(pen, (10, 10 + number * step), line, (10, 10, 10), text_size)
    return paper


# --- labels


def caption_card(text: str, size: Size = (128, 96), *, note: str = "") -> Image.Image:
    """A card with the text on it, with a color and pattern derived from the text.

    `note`, in small letters at the bottom, makes cards of one label differ.
    """
    card = blank(size, color_of(text, light=True))
    pen = ImageDraw.Draw(card)
    width, height = size
    turn = digest(text + note)
    for index in range(3):
        x, y = turn[index] * width // 255, turn[index + 3] * height // 255
        radius = 6 + turn[index + 6] % 24
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), color_of(f"{text}{index}", light=True))
    letter = 12 if min(size) >= 48 else 9
    columns = max(width // max(letter * 6 // 11, 1) - 1, 4)
    lines = textwrap.wrap(plain(text), columns)[: max(height // (letter + 2) - (1 if note else 0), 1)]
    pen.text((4, 3), "\n".join(lines), (10, 10, 10), font=font(letter), spacing=1)
    _mark_lines(pen, text, lines, letter)
    if note:
        pen.text((4, height - 11), note[:columns], (70, 70, 70), font=font(8))
    return card


def _mark_lines(pen: ImageDraw.ImageDraw, text: str, lines: list[str], letter: int) -> None:
    """The accents of a card's lines, if its text, white space aside, is these lines letter by letter."""
    left = unicodedata.normalize("NFC", " ".join(text.split()))
    if len(plain(left)) != len(left):
        return
    step = font(letter).getbbox("A")[3] + 1
    for number, line in enumerate(lines):
        _marks(pen, (4, 3 + number * step), left[: len(line)], (10, 10, 10), letter)
        left = left[len(line) :].lstrip()


def objects_scene(size: Size, objects: Iterable[tuple[str, Box]]) -> Image.Image:
    """Labeled boxes: each in its label's color, with the label inside."""
    scene = blank(size, (205, 222, 232))
    pen = ImageDraw.Draw(scene)
    for label, (x, y, width, height) in objects:
        pen.rectangle((x, y, x + width - 1, y + height - 1), color_of(label, light=True), (0, 0, 0))
        write(pen, (x + 2, y + 1), label, (0, 0, 0), min(max(height // 3, 8), 14))
    return scene


@lru_cache(maxsize=64)
def _digit_mask(n: int, side: int) -> Image.Image:
    mask = Image.new("L", (side, side))
    tile = word_tile(str(n), side * 3 // 4)
    mask.paste(tile, ((side - tile.width) // 2, side // 8))
    return mask


def digit(n: int, side: int = 28, *, ink: Color = (255, 255, 255), paper: Color = (0, 0, 0)) -> Image.Image:
    """The digit 0..9, upright and centered."""
    image = blank((side, side), paper)
    image.paste(ink, (0, 0), _digit_mask(n, side))
    return image


# --- shapes and backgrounds


def polygon(
    center: tuple[float, float], radius: float, corners: int, turn: float = -pi / 2
) -> list[tuple[float, float]]:
    """Corners of a regular polygon, the first at `turn` radians (straight up)."""
    x, y = center
    angles = (turn + 2 * pi * corner / corners for corner in range(corners))
    return [(x + radius * cos(angle), y + radius * sin(angle)) for angle in angles]


_CORNERS = {"triangle": 3, "square": 4, "diamond": 4, "pentagon": 5, "hexagon": 6, "octagon": 8}


def shape(
    name: str, color: str | Color, size: Size = (96, 96), *, ground: Color = (255, 255, 255)
) -> Image.Image:
    """One filled shape: circle, star, triangle, square, diamond, pentagon, hexagon, octagon."""
    image = blank(size, ground)
    pen = ImageDraw.Draw(image)
    center = size[0] / 2, size[1] / 2
    radius = min(size) * 0.42
    fill = NAMED[color] if isinstance(color, str) else color
    if name == "circle":
        pen.ellipse((center[0] - radius, center[1] - radius, center[0] + radius, center[1] + radius), fill)
    elif name == "star":
        outer, inner = polygon(center, radius, 5), polygon(center, radius * 0.4, 5, -pi / 2 + pi / 5)
        pen.polygon([corner for pair in zip(outer, inner, strict=True) for corner in pair], fill)
    else:
        corners = _CORNERS[name]
        pen.polygon(polygon(center, radius, corners, -pi / 4 if name == "square" else -pi / 2), fill)
    return image


def texture(rng: Random, size: Size = (96, 96), *, base: Color | None = None, grain: int = 8) -> Image.Image:
    """Soft noise around a color: sky, ground, cloth, a satellite tile. `grain` is the size of its spots."""
    tint = np.array(base or [rng.randint(60, 200) for _ in range(3)], dtype=np.int16)
    noise = np.random.default_rng(rng.getrandbits(64))
    cells = noise.integers(-40, 41, (max(size[1] // grain, 2), max(size[0] // grain, 2), 1)) + tint
    return Image.fromarray(cells.clip(0, 255).astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)
