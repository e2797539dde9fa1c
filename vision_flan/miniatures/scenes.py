"""Structured images: CLEVR scenes, matrix panels, faces, figures, maps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from math import cos, pi, sin
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from vision_flan.miniatures import draw
from vision_flan.miniatures.draw import Color, Size

# --- CLEVR

CLEVR_SIZE = (480, 320)
CLEVR_COLORS = ("gray", "blue", "brown", "yellow", "red", "green", "purple", "cyan")
CLEVR_SHAPES = ("cube", "sphere", "cylinder")
CLEVR_RADIUS = {"small": 16, "large": 32}


def _shade(color: Color, part: float) -> Color:
    """Lighter above 1, darker below."""
    red, green, blue = (min(int(channel * part) + (40 if part > 1 else 0), 255) for channel in color)
    return red, green, blue


@lru_cache(maxsize=1)
def _clevr_ground() -> Image.Image:
    rows = np.linspace(120, 200, CLEVR_SIZE[1]).astype(np.uint8)
    return Image.fromarray(np.repeat(np.repeat(rows[:, None, None], CLEVR_SIZE[0], 1), 3, 2))


def clevr_scene(objects: Iterable[Mapping[str, Any]]) -> Image.Image:
    """Solids on a gray ground (480 x 320, RGBA as upstream). Keys of an object:

    `shape`, `color`, `size`, `material` (metal shines, rubber does not) and `pixel_coords` (x, y, depth), its
    center. Objects higher up are farther away and drawn first.
    """
    scene = _clevr_ground().copy()
    pen = ImageDraw.Draw(scene)
    for item in sorted(objects, key=lambda one: one["pixel_coords"][1]):
        x, y = int(item["pixel_coords"][0]), int(item["pixel_coords"][1])
        _solid(pen, item["shape"], draw.NAMED[item["color"]], x, y, CLEVR_RADIUS[item["size"]])
        if item["material"] == "metal":
            r = CLEVR_RADIUS[item["size"]]
            pen.ellipse((x - r // 2, y - r // 2, x - r // 8, y - r // 8), (255, 255, 255))
    return scene.convert("RGBA")


def _solid(pen: ImageDraw.ImageDraw, name: str, color: Color, x: int, y: int, r: int) -> None:
    dark, light = _shade(color, 0.6), _shade(color, 1.2)
    pen.ellipse((x - r, y + r // 2, x + r + r // 2, y + r + r // 3), (90, 90, 90))
    if name == "sphere":
        pen.ellipse((x - r, y - r, x + r, y + r), dark)
        pen.ellipse((x - r, y - r, x + r - r // 4, y + r - r // 4), color)
    elif name == "cylinder":
        pen.rectangle((x - r, y - r + r // 3, x + r, y + r - r // 3), color)
        pen.ellipse((x - r, y + r // 3, x + r, y + r), color)
        pen.ellipse((x - r, y - r, x + r, y - r // 3), light)
    else:
        edge = r * 3 // 4
        pen.rectangle((x - r, y - edge, x + edge, y + r), color)
        pen.polygon(((x - r, y - edge), (x - edge, y - r), (x + r, y - r), (x + edge, y - edge)), light)
        pen.polygon(((x + edge, y - edge), (x + r, y - r), (x + r, y + edge), (x + edge, y + r)), dark)


# --- matrix panels

PANEL = 160
#: Type, size and color of an entity are indices, as in RAVEN: 1 triangle, 2 square, 3 pentagon, 4 hexagon,
#: 5 circle; sizes 0.4 to 0.9 of the cell; gray values from 255 (0) to 0 (9).
PANEL_TYPES = ("none", "triangle", "square", "pentagon", "hexagon", "circle")
PANEL_SIZES = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
PANEL_GRAYS = (255, 224, 196, 168, 140, 112, 84, 56, 28, 0)

#: (center y, center x, height, width) as fractions of the panel, then type, size, color.
Entity = tuple[tuple[float, float, float, float], int, int, int]


def panel(entities: Iterable[Entity]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """One panel of a matrix problem: uint8, 160 x 160, black outlines on white, drawn in order."""
    image = Image.new("L", (PANEL, PANEL), 255)
    pen = ImageDraw.Draw(image)
    for (y, x, height, width), kind, size, color in entities:
        radius = min(height, width) * PANEL / 2 * PANEL_SIZES[size] * 0.95
        center = x * PANEL, y * PANEL
        fill = PANEL_GRAYS[color]
        if PANEL_TYPES[kind] == "circle":
            box = center[0] - radius, center[1] - radius, center[0] + radius, center[1] + radius
            pen.ellipse(box, fill, 0, 2)
        else:
            turn = -pi / 4 if PANEL_TYPES[kind] == "square" else -pi / 2
            pen.polygon(draw.polygon(center, radius, kind + 2, turn), fill, 0, 2)
    return np.asarray(image)


# --- people

#: Curve of the mouth (up is a smile), inward tilt of the brows, and how open the mouth is.
_FACES: dict[str, tuple[float, float, float]] = {
    "neutral": (0.0, 0.0, 0.0),
    "happy": (0.9, 0.0, 0.0),
    "happiness": (0.9, 0.0, 0.0),
    "sad": (-0.8, -0.5, 0.0),
    "sadness": (-0.8, -0.5, 0.0),
    "angry": (-0.5, 0.8, 0.0),
    "anger": (-0.5, 0.8, 0.0),
    "surprise": (0.0, -0.3, 0.9),
    "surprised": (0.0, -0.3, 0.9),
    "fear": (-0.4, -0.6, 0.6),
    "disgust": (-0.6, 0.4, 0.3),
    "contempt": (0.3, 0.3, 0.0),
}
_SKIN: tuple[Color, ...] = ((255, 224, 189), (224, 172, 105), (141, 85, 36), (92, 56, 30))


def face(expression: str, size: Size = (96, 96), *, tone: int = 0) -> Image.Image:
    """A drawn face with an expression: neutral, happy, sad, angry, surprise, fear, disgust, contempt."""
    bend, tilt, opened = _FACES[expression]
    image = draw.blank(size, (200, 210, 220))
    pen = ImageDraw.Draw(image)
    width, height = size
    pen.ellipse(
        (width * 0.12, height * 0.05, width * 0.88, height * 0.95), _SKIN[tone % len(_SKIN)], (0, 0, 0)
    )
    for side in (-1, 1):
        x, y = width * (0.5 + side * 0.17), height * 0.4
        pen.ellipse((x - 3, y - 3, x + 3, y + 3), (0, 0, 0))
        inner, outer = x - side * 7, x + side * 7
        pen.line((outer, y - 8 - tilt * 4, inner, y - 8 + tilt * 4), (40, 20, 0), 2)
    left, right, level = width * 0.32, width * 0.68, height * 0.72
    if opened:
        drop = height * 0.14 * opened
        pen.ellipse((width * 0.42, level - drop, width * 0.58, level + drop), (120, 20, 20))
    else:
        depth = height * 0.12 * abs(bend) + 1
        box = left, level - depth, right, level + depth
        pen.arc(box, 0 if bend >= 0 else 180, 180 if bend >= 0 else 360, (120, 20, 20), 2)
    return image


def figure(pose: str, size: Size = (96, 128)) -> Image.Image:
    """A stick figure with limbs derived from the name of its pose or action, which is written below it."""
    image = draw.blank(size, (235, 235, 225))
    pen = ImageDraw.Draw(image)
    width, height = size
    turn = draw.color_of(pose)
    neck, hip = (width * 0.5, height * 0.3), (width * 0.5, height * 0.55)
    radius = height * 0.08
    pen.ellipse((neck[0] - radius, neck[1] - 2 * radius, neck[0] + radius, neck[1]), (60, 60, 60))
    pen.line((*neck, *hip), (20, 20, 20), 3)
    for start, angle, length in (
        (neck, pi * turn[0] / 200, 0.2),
        (neck, pi - pi * turn[1] / 200, 0.2),
        (hip, pi * 0.25 + turn[2] / 400, 0.26),
        (hip, pi * 0.75 - turn[0] / 400, 0.26),
    ):
        end = start[0] + cos(angle) * height * length, start[1] + sin(angle) * height * length
        pen.line((*start, *end), (20, 20, 20), 3)
    pen.text((3, height - 14), pose, (0, 0, 0), font=draw.font(10))
    return image


# --- maps

#: Ground colors of satellite tiles, by a word in the class name.
_LAND: dict[str, Color] = {
    "water": (40, 80, 150),
    "sea": (40, 80, 150),
    "lake": (50, 90, 150),
    "river": (60, 100, 150),
    "beach": (220, 205, 150),
    "forest": (30, 80, 35),
    "park": (70, 130, 60),
    "crop": (140, 150, 70),
    "farm": (140, 150, 70),
    "field": (120, 150, 80),
    "desert": (215, 185, 130),
    "bare": (190, 165, 130),
    "residential": (160, 140, 130),
    "industrial": (150, 150, 160),
    "road": (120, 120, 120),
    "highway": (120, 120, 120),
    "airport": (170, 170, 170),
    "mountain": (110, 100, 80),
}


def map_tile(label: str, size: Size = (64, 64), *, note: str = "") -> Image.Image:
    """Land seen from above: a ground that matches the label, with the label written on it."""
    words = label.lower()
    base = next((color for word, color in _LAND.items() if word in words), draw.color_of(label))
    noise = np.random.default_rng(int.from_bytes(draw.digest(label + note)[:8], "big"))
    cells = noise.integers(-25, 26, (max(size[1] // 4, 1), max(size[0] // 4, 1), 1)) + np.array(base)
    tile = Image.fromarray(cells.clip(0, 255).astype(np.uint8)).resize(size)
    ImageDraw.Draw(tile).text((2, 2), label, (255, 255, 255), font=draw.font(9))
    return tile
