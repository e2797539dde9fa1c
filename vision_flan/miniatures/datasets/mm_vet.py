"""MM-Vet: one JSON object keyed v1_<n>, answers with <AND> and <OR>, images of two suffixes.

`n` counts questions; every tenth shares its image with the one before. `source_id` is the key.
"""

from __future__ import annotations

from functools import partial
from random import Random

from vision_flan.miniatures import draw, text
from vision_flan.miniatures.miniature import Miniature

#: Categories of a question with one answer, with two alternatives, and with two parts.
_ABILITIES = (["rec"], ["rec", "math"], ["rec", "ocr"])
_NUMBERS = text.listed("two three four five six seven eight nine")
_SIGNS = text.listed("EXIT OPEN SALE TAXI")
_THINGS = [thing for thing in text.THINGS if thing != "sign"]


def generate(mini: Miniature) -> None:
    with mini.pack("mm-vet.zip") as tree, tree.json_object("mm-vet/mm-vet.json") as add:
        name, scene = "", _scene(mini.rng(0))
        for index in range(mini.n):
            key = f"v1_{index}"
            if index % 10 != 9:
                name, scene = f"{key}.{'png' if index % 2 else 'jpg'}", _scene(mini.rng(index))
                number, color, things, sign = scene
                shown = f"{number} {color} {things}, and a sign that says {sign}"
                tree.image(f"mm-vet/images/{name}", partial(draw.caption_card, shown, note=key))
            question, answer = _asked(index % 3, *scene)
            add(
                key,
                {
                    "imagename": name,
                    "question": question,
                    "answer": answer,
                    "imagesource": f"https://example.org/{key}",
                    "capability": _ABILITIES[index % 3],
                },
            )
            mini.truth("eval_mm_vet", key, target=answer)


def _scene(rng: Random) -> tuple[int, str, str, str]:
    """A number (from 2) of things of one color, and the word on a sign."""
    number = rng.randint(2, len(_NUMBERS) + 1)
    return number, rng.choice(text.COLORS), text.plural(rng.choice(_THINGS)), rng.choice(_SIGNS)


def _asked(kind: int, number: int, color: str, things: str, sign: str) -> tuple[str, str]:
    """A question about the scene and its truth: one word, two alternatives, or two parts."""
    if kind == 0:
        return f"What color are the {things}?", color
    if kind == 1:
        return f"How many {things} are there?", f"{number} <OR> {_NUMBERS[number - 2]}"
    return f"What color are the {things}, and what does the sign say?", f"{color} <AND> {sign}"
