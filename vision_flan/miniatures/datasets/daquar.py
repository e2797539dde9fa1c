"""DAQUAR: questions about rooms in text files with two lines per pair, and the frames of NYU Depth v2.

`n` counts train pairs of the full set, eight per image; test gets four fifths. `source_id` is
`<image>_<number of the pair in its file>`, `image3_1`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from random import Random

from PIL import Image, ImageDraw

from vision_flan.miniatures import draw, text
from vision_flan.miniatures.miniature import Miniature

_PER_IMAGE = 8
_OBJECTS = text.listed("chair table lamp sofa telephone wall_clock tape_dispenser garbage_bin")
_COLORS = text.listed("red green blue yellow brown orange pink gray")
_FLOOR = 90


@dataclass(frozen=True, slots=True)
class _Room:
    """Four objects from left to right, with their sizes in pixels, and a row of books below."""

    objects: list[str]
    colors: list[str]
    sides: list[int]
    books: int


def _room(rng: Random) -> _Room:
    objects, colors, sides = rng.sample(_OBJECTS, 4), rng.sample(_COLORS, 4), rng.sample((20, 28, 40, 56), 4)
    return _Room(objects, colors, sides, rng.choice((2, 3, 5, 11)))


def generate(mini: Miniature) -> None:
    few = max(mini.n * 4 // 5, 1)
    with ExitStack() as stack:
        images = stack.enter_context(mini.pack("nyu_depth_images.tar"))
        both = stack.enter_context(mini.lines("qa.894.raw.txt"))
        start = 0
        for split, count in (("train", mini.n), ("test", few)):
            full = stack.enter_context(mini.lines(f"qa.894.raw.{split}.txt"))
            reduced = stack.enter_context(mini.lines(f"qa.37.raw.{split}.txt"))
            names = stack.enter_context(mini.lines(f"{split}.txt"))
            for index in range(count):
                image = start + index // _PER_IMAGE + 1
                room = _room(mini.rng(split, image))
                asked, shown, answer = _pair(room, f"image{image}", index % _PER_IMAGE)
                for add in (both, full, *([reduced] if index % 2 else [])):
                    add(f"{asked} ?")
                    add(answer)
                if index % _PER_IMAGE == 0:
                    names(f"image{image}")
                    images.image(f"nyu_depth_images/image{image}.png", partial(_image, room))
                if split == "train":
                    target = answer.replace("_", " ").replace(", ", "; ")
                    key = f"image{image}_{index + 1}"
                    mini.truth("vqa_daquar", key, target=target, contains=f"{shown}?")
            _end(full, split)
            start += count // _PER_IMAGE + 1
    mini.write_lines("qa.37.raw.reduced.test.txt", ["what is on the desk in the image1 ?", "cup"])


def _end(add: Callable[[str], None], split: str) -> None:
    """One of the files ends with an empty line."""
    if split == "train":
        add("")


def _pair(room: _Room, image: str, number: int) -> tuple[str, str, str]:
    """One of eight questions: upstream's text without question mark, the text shown, and the answer."""
    objects = [name.replace("_", " ") for name in room.objects]
    largest = room.sides.index(max(room.sides))
    pairs = (
        (f"what is on the left side of the {objects[2]} in the {image}", "", ", ".join(room.objects[:2])),
        # upstream has many spelling errors; a question that ends in a verb keeps its tail
        (f"how any books are in this {image}", "How any books are in this image", str(room.books)),
        (f"what is the largest object on the {image}", "What is the largest object", room.objects[largest]),
        (f"what color is the {objects[1]} in {image}", f"What color is the {objects[1]}", room.colors[1]),
        (
            f"what is in the {image.replace('image', 'imgae ')}",
            "What is in the image",
            ", ".join([*room.objects, "books"]),
        ),
        (
            f"what is in the left corner of the {image}",
            "What is in the left corner of the image",
            room.objects[0],
        ),
        # the number may stand in the middle, or after a space and a slip
        (
            f"how many books are there in the {image} on the floor",
            "How many books are there in the image on the floor",
            str(room.books),
        ),
        (
            f"what is in fornt of the wall between the {objects[1]} and the {objects[3]} in the {image}",
            "",
            room.objects[2],
        ),
    )
    asked, shown, answer = pairs[number]
    return asked, shown or asked.removesuffix(f" in the {image}").capitalize(), answer


def _image(room: _Room) -> Image.Image:
    """The objects on the floor, with their names below; the books in front of them."""
    image = draw.blank((280, 160), (240, 236, 226))
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, _FLOOR, 280, 160), (206, 190, 165))
    for place, (name, color, side) in enumerate(zip(room.objects, room.colors, room.sides, strict=True)):
        left = 8 + 68 * place
        pen.rectangle((left, _FLOOR - side, left + side, _FLOOR), draw.NAMED[color], (0, 0, 0))
        for line, word in enumerate(name.split("_")):
            draw.write(pen, (left, _FLOOR + 3 + 12 * line), word, (0, 0, 0), 11)
    for book in range(room.books):
        pen.rectangle((8 + 14 * book, 128, 17 + 14 * book, 142), (250, 250, 250), (0, 0, 0))
    draw.write(pen, (8, 144), "books", (0, 0, 0), 11)
    return image
