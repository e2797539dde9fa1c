"""DAQUAR: questions about rooms in text files of two lines a pair, and the frames of NYU Depth v2.

`n` counts train pairs of the full set, eight a picture; test gets four fifths. `source_id` is
`<picture>_<number of the pair in its file>`, `image3_1`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from random import Random

from vision_flan.miniatures import draw, text
from vision_flan.miniatures.miniature import Miniature

_PER_PICTURE = 8
#: Question as upstream has it without its mark, and as it is shown.
_TAILS = {
    "what is {} in the {}": "What is {}?",
    "how many things are {} in this {}": "How many things are {}?",
    "what is the largest thing {} on the {}": "What is the largest thing {}?",
    "what color is the thing {} in {}": "What color is the thing {}?",
    "what is {} in the left corner of the {}": "What is {} in the left corner of the image?",
}
#: What "in the image" must not be cut from.
_BARE = ("what is in the {}", "What is in the image?")


def generate(mini: Miniature) -> None:
    few = max(mini.n * 4 // 5, 1)
    with ExitStack() as stack:
        pictures = stack.enter_context(mini.pack("nyu_depth_images.tar"))
        both = stack.enter_context(mini.lines("qa.894.raw.txt"))
        start = 0
        for split, count in (("train", mini.n), ("test", few)):
            full = stack.enter_context(mini.lines(f"qa.894.raw.{split}.txt"))
            reduced = stack.enter_context(mini.lines(f"qa.37.raw.{split}.txt"))
            names = stack.enter_context(mini.lines(f"{split}.txt"))
            for index in range(count):
                picture = start + index // _PER_PICTURE + 1
                asked, shown, answer = _pair(mini.rng(split, index), f"image{picture}", index)
                for add in (both, full, *([reduced] if index % 2 else [])):
                    add(f"{asked} ?")
                    add(answer)
                if index % _PER_PICTURE == 0:
                    names(f"image{picture}")
                    card = partial(draw.caption_card, f"{shown} {answer}", (160, 120), note=f"{picture}")
                    pictures.image(f"nyu_depth_images/image{picture}.png", card)
                if split == "train":
                    target = answer.replace("_", " ")
                    key = f"image{picture}_{index + 1}"
                    mini.truth("vqa_daquar", key, target=target, contains=shown)
            _end(full, split)
            start += count // _PER_PICTURE + 1
    mini.write_lines("qa.37.raw.reduced.test.txt", ["what is on the desk in the image1 ?", "cup"])


def _end(add: Callable[[str], None], split: str) -> None:
    """One of the files has a blank line at its end."""
    if split == "train":
        add("")


def _pair(rng: Random, image: str, index: int) -> tuple[str, str, str]:
    place = f"{rng.choice(('behind', 'in fornt of', 'on'))} the {rng.choice(text.THINGS)}"
    asked, shown = _BARE if index % 13 == 6 else rng.choice(list(_TAILS.items()))
    if asked != _BARE[0]:
        asked, shown = asked.format(place, image), shown.format(place)
    else:
        asked = asked.format(image)
    things = rng.sample(
        ["tape_dispenser", "book", "papers", "wall_clock", "11"], 1 if rng.random() < 0.8 else 3
    )
    return asked, shown, ", ".join(things)
