"""FFHQ-Text: faces with nine descriptions each, in the layout of the CUB text-to-image releases.

`n` counts pictures of train; test gets half as many. `source_id` is the five-digit id.
"""

from __future__ import annotations

import pickle
from functools import partial
from random import Random

from vision_flan.miniatures import scenes, text
from vision_flan.miniatures.miniature import Miniature

_MOODS = {"happy": "a broad smile", "sad": "corners of the mouth turned down", "neutral": "closed lips"}


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
                mini.truth("caption_ffhq_text", name, target=" ".join(lines))
    for split, listed in names.items():
        mini.write_bytes(f"FFHQ-Text/{split}", pickle.dumps(listed, protocol=3))


def _face(mini: Miniature, name: str, index: int) -> list[str]:
    """Writes picture and descriptions; line ends are of two kinds, and some lines are empty."""
    rng = mini.rng(index)
    mood = rng.choice(list(_MOODS))
    lines = _descriptions(rng, _MOODS[mood])
    mini.image(f"FFHQ-Text/Image/{name}.png", partial(scenes.face, mood, (96, 96), tone=index % 5))
    end = "\r\n" if index % 3 == 1 else "\n"
    blank = end if index % 4 == 2 else ""
    mini.write_text(f"FFHQ-Text/Text/{name}.txt", (end + blank).join(lines) + end)
    return lines


def _descriptions(rng: Random, mouth: str) -> list[str]:
    """Nine, which need not agree."""
    worn = text.listed("scarf hat necklace headband")
    return [
        f"The woman has {mouth} and wears {text.article(rng.choice(text.COLORS))} {rng.choice(worn)}."
        for _ in range(9)
    ]
