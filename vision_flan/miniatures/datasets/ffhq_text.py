"""FFHQ-Text: faces with nine descriptions each, in the layout of the CUB text-to-image releases.

`n` counts images of train; test gets half as many. `source_id` is the five-digit id.
"""

from __future__ import annotations

import pickle
from functools import partial
from random import Random

from PIL import Image, ImageDraw

from vision_flan.miniatures import draw, scenes, text
from vision_flan.miniatures.miniature import Miniature

#: Accessories: rectangles (left, top, right, bottom) on a face of 96 x 96 pixels.
_WORN = {
    "hat": ((8, 12, 88, 18), (24, 0, 72, 12)),
    "headband": ((18, 16, 78, 22),),
    "scarf": ((14, 82, 82, 95),),
}
_WORDINGS = (
    "The woman has {mouth} and wears {worn}.",
    "She wears {worn} and has {mouth}.",
    "This is a woman with {mouth}. She is wearing {worn}.",
    "A woman in {worn}, with {mouth}, looks at the camera.",
)
_MOODS = {"happy": "a broad smile", "sad": "a turned-down mouth", "neutral": "closed lips"}


def generate(mini: Miniature) -> None:
    count = mini.n + max(mini.n // 2, 1)
    names: dict[str, list[str]] = {"Train": [], "Test": []}
    with mini.lines("FFHQ-Text/bounding_boxes.txt") as add_box, mini.lines("FFHQ-Text/images.txt") as add:
        for index in range(count):
            name = f"{mini.number(index, 0, max(69_999, 2 * count)):05d}"
            lines = _face(mini, name, index)
            names["Train" if index < mini.n else "Test"].append(name)
            add_box(f"{index + 1} 12 10 72 76")
            add(f"{index + 1} {name}.png")
            if index < mini.n:
                mini.truth(
                    "caption_ffhq_text",
                    name,
                    target="\n".join(f"{number}. {line}" for number, line in enumerate(lines, 1)),
                )
    for split, listed in names.items():
        mini.write_bytes(f"FFHQ-Text/{split}", pickle.dumps(listed, protocol=3))


def _face(mini: Miniature, name: str, index: int) -> list[str]:
    """Write image and descriptions; with two kinds of line endings and some empty lines."""
    rng = mini.rng(index)
    mood, worn, color = rng.choice(list(_MOODS)), rng.choice(list(_WORN)), rng.choice(text.COLORS)
    lines = _descriptions(rng, _MOODS[mood], worn, color)
    mini.image(f"FFHQ-Text/Image/{name}.png", partial(_portrait, mood, worn, color, tone=index % 5))
    end = "\r\n" if index % 3 == 1 else "\n"
    blank = end if index % 4 == 2 else ""
    mini.write_text(f"FFHQ-Text/Text/{name}.txt", (end + blank).join(lines) + end)
    return lines


def _portrait(mood: str, worn: str, color: str, *, tone: int) -> Image.Image:
    image = scenes.face(mood, (96, 96), tone=tone)
    pen = ImageDraw.Draw(image)
    for box in _WORN[worn]:
        pen.rectangle(box, draw.NAMED[color], (0, 0, 0))
    return image


def _descriptions(rng: Random, mouth: str, worn: str, color: str) -> list[str]:
    """Descriptions by nine people, each worded differently; one of them names the wrong color."""
    seen = [color] * 8 + [rng.choice(text.COLORS)]
    return [
        rng.choice(_WORDINGS).format(mouth=mouth, worn=f"{text.article(f'{shade} {worn}')}") for shade in seen
    ]
