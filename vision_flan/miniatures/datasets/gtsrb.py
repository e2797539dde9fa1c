"""GTSRB: small PPM images in folders of classes, 30 frames per track, with a list in each folder.

`n` counts train images; test gets a tenth, without classes. `source_id` is folder and file name without
suffix, `00035/00000_00001`.
"""

from __future__ import annotations

from functools import partial
from math import cos, pi, sin

from PIL import Image, ImageDraw

from vision_flan.miniatures import draw
from vision_flan.miniatures.miniature import Miniature

_SIGNS = {
    0: "speed limit (20 km/h)",
    3: "speed limit (60 km/h)",
    9: "no passing",
    13: "yield",
    14: "stop",
    30: "beware of ice or snow",
    35: "ahead only",
    42: "end of no passing by vehicles over 3.5 metric tons",
}
_FRAMES = 30
#: The smallest and largest sides, by position among forty images.
_SIDES = {12: 15, 25: 250}
#: Side of a drawn sign, and its colors.
_SIDE, _RED, _BLUE, _WHITE, _BLACK = 128, (190, 30, 40), (30, 80, 170), (245, 245, 245), (20, 20, 20)
_HEADER = ["Filename", "Width", "Height", "Roi.X1", "Roi.Y1", "Roi.X2", "Roi.Y2"]


def generate(mini: Miniature) -> None:
    with mini.pack("GTSRB_Final_Training_Images.zip") as tree:
        for place, (label, sign) in enumerate(_SIGNS.items()):
            folder = f"GTSRB/Final_Training/Images/{label:05d}"
            with tree.csv(f"{folder}/GT-{label:05d}.csv", [*_HEADER, "ClassId"], delimiter=";") as add:
                for index in range(place, mini.n, len(_SIGNS)):
                    track, frame = divmod(index // len(_SIGNS), _FRAMES)
                    stem = f"{track:05d}_{frame:05d}"
                    side = _SIDES.get(index % 40) or mini.rng(index).randint(40, 96)
                    add([f"{stem}.ppm", side, side, 2, 2, side - 3, side - 3, label])
                    tree.image(f"{folder}/{stem}.ppm", partial(_photo, label, side, track))
                    mini.truth("object_gtsrb", f"{label:05d}/{stem}", answer=sign)
    unlabeled = "GTSRB/Final_Test/Images"
    with (
        mini.pack("GTSRB_Final_Test_Images.zip") as tree,
        tree.csv(f"{unlabeled}/GT-final_test.test.csv", _HEADER, delimiter=";") as add,
    ):
        for index in range(max(mini.n // 10, 1)):
            add([f"{index:05d}.ppm", 30, 30, 2, 2, 27, 27])
            tree.image(f"{unlabeled}/{index:05d}.ppm", draw.blank((30, 30)))


def _photo(label: int, side: int, track: int) -> Image.Image:
    """The sign on the background of its track, at the size the car saw it."""
    image = draw.blank((_SIDE, _SIDE), draw.color_of(f"track {track}"))
    pen = ImageDraw.Draw(image)
    if label in (13, 30):
        _triangle(pen, label)
    elif label == 14:
        pen.polygon(draw.polygon((64, 64), 60, 8, pi / 8), _RED, _WHITE)
        _centered(pen, "STOP", 36, _WHITE)
    else:
        _disc(pen, label)
    return image.resize((side, side), Image.Resampling.LANCZOS)


def _triangle(pen: ImageDraw.ImageDraw, label: int) -> None:
    """Yield is an inverted triangle; an ice warning has a snowflake."""
    turn = pi / 2 if label == 13 else -pi / 2
    center = (64, 44 if label == 13 else 80)
    pen.polygon(draw.polygon(center, 68, 3, turn), _RED)
    pen.polygon(draw.polygon(center, 46, 3, turn), _WHITE)
    for arm in range(6 if label == 30 else 0):
        x, y = 64 + 20 * cos(arm * pi / 3), 82 + 20 * sin(arm * pi / 3)
        pen.line((64, 82, x, y), _BLACK, 4)


def _disc(pen: ImageDraw.ImageDraw, label: int) -> None:
    rim = {35: _BLUE, 42: _BLACK}.get(label, _RED)
    pen.ellipse((4, 4, 124, 124), rim)
    if label == 35:  # straight on
        pen.rectangle((58, 50, 70, 104), _WHITE)
        pen.polygon(((64, 20), (38, 56), (90, 56)), _WHITE)
        return
    inset = 8 if label == 42 else 18
    pen.ellipse((inset, inset, 128 - inset, 128 - inset), _WHITE)
    if label in (0, 3):
        _centered(pen, "20" if label == 0 else "60", 56, _BLACK)
        return
    # a car on the right, and on the left a car (red) or a truck (gray) that passes it
    other = _RED if label == 9 else (130, 130, 130)
    pen.rectangle((30, 56 if label == 9 else 44, 58, 78), other)
    pen.rectangle((70, 56, 98, 78), _BLACK if label == 9 else (130, 130, 130))
    if label == 42:
        for shift in (-16, -8, 0, 8, 16):
            pen.line((28 + shift, 100 + shift // 2, 100 + shift, 28 + shift // 2), _BLACK, 3)


def _centered(pen: ImageDraw.ImageDraw, words: str, size: int, ink: draw.Color) -> None:
    pen.text((64, 64), words, ink, font=draw.font(size), anchor="mm")
