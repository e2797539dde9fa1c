"""LLaVA-Instruct-150K: conversations about COCO images, three parts and their mix, one JSON list each.

`n` counts records of the mix: a third each conversations of two to five rounds, detailed descriptions and
complex reasoning. `source_id` is the record's position in the mix. Images lie in `mscoco/train2017`, every
fifth in a 2014 folder.
"""

from __future__ import annotations

from functools import partial
from random import Random

from vision_flan.miniatures import coco, draw, text
from vision_flan.miniatures.miniature import Miniature

_REASONS = (
    "They may belong to one person, who put them there for a while.",
    "Somebody may be about to sell them, or to give them away.",
    "It may be chance: the place looks like one where people leave all sorts of things.",
)
_PARTS = ("conversation_58k", "detail_23k", "complex_reasoning_77k")
Rounds = list[tuple[str, str]]


def generate(mini: Miniature) -> None:
    for part, stem in enumerate(_PARTS):
        with mini.json_array(f"{stem}.json") as add:
            for index in range(part, mini.n, len(_PARTS)):
                add(_record(mini, index, _rounds(mini, index)))
    with mini.json_array("llava_instruct_150k.json") as add:
        for index in range(mini.n):
            rounds = _rounds(mini, index)
            add(_record(mini, index, rounds))
            _image(mini, index)
            mini.truth("stage2_llava_instruct", index, turns=rounds)


def _rounds(mini: Miniature, index: int) -> Rounds:
    rng, things = mini.rng(index), _things(mini, index)
    named = [text.article(thing) for thing in things]
    shown = f"{', '.join(named[:-1])} and {named[-1]}"
    if index % 3 == 1:
        sides = f"The {things[0]} is on the far left, the {things[-1]} on the far right."
        return [("Describe the following image.", f"The image shows {shown}. {sides}")]
    if index % 3 == 2:
        answer = f"The image shows {shown} next to each other.\n\n{rng.choice(_REASONS)}"
        return [("Why might these things be in one place?", answer)]
    return rng.sample(_small_talk(rng, things, shown), rng.randint(2, 5))


def _small_talk(rng: Random, things: list[str], shown: str) -> Rounds:
    """Five questions about an image of things, and their answers."""
    (color, first), (other, last) = things[0].split(), things[-1].split()
    absent = rng.choice([thing for thing in text.THINGS if not any(thing in seen for seen in things)])
    return [
        (f"What color is the {first}?", f"The {first} is {color}."),
        (f"And the {last}, what color is that?", f"It is {other}."),
        ("What can you see?", f"I can see {shown}."),
        (f"Is there {text.article(absent)} in the image?", f"No, I cannot see {text.article(absent)}."),
        ("Which thing is on the far left?", f"The {first} is on the far left."),
    ]


def _owner(index: int) -> int:
    """The record for which the image was drawn; several records can share an image."""
    return index - (index % 10 == 6)


def _things(mini: Miniature, index: int) -> list[str]:
    """What the image shows from left to right: `["red kite", "blue bench"]`, no color twice."""
    rng = mini.rng("things", _owner(index))
    count = rng.randint(2, 3)
    pairs = zip(rng.sample(text.COLORS, count), rng.sample(text.THINGS, count), strict=True)
    return [" ".join(pair) for pair in pairs]


def _number(mini: Miniature, index: int) -> int:
    return mini.number(_owner(index), 1, coco.MAX_ID)


def _record(mini: Miniature, index: int, rounds: Rounds) -> dict[str, object]:
    turns = []
    for place, (question, answer) in enumerate(rounds):
        asked = question
        if place == 0:
            asked = f"<image>\n{question}" if index % 2 else f"{question}\n<image>"
        turns += [{"from": "human", "value": asked}, {"from": "gpt", "value": answer}]
    number = _number(mini, index)
    return {"id": f"{number:012d}", "image": f"{number:012d}.jpg", "conversations": turns}


def _image(mini: Miniature, index: int) -> None:
    if _owner(index) != index:
        return
    split = ("train2014", "val2014")[index % 2] if index % 5 == 2 else "train2017"
    card = partial(draw.caption_card, ", ".join(_things(mini, index)), (128, 96), note=str(index))
    coco.lend(mini.borrow("mscoco"), split, _number(mini, index), card)
