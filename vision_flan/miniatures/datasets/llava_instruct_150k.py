"""LLaVA-Instruct-150K: conversations about COCO pictures, three parts and their mix, each one JSON list.

`n` counts records of the mix: a third each conversations of two to five rounds, detailed descriptions and
complex reasoning. `source_id` is the record's position in the mix and the round from 1, `17_2`. Pictures lie
in `mscoco/train2017`, every fifth in a 2014 folder.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from vision_flan.miniatures import coco, draw, text
from vision_flan.miniatures.miniature import Miniature

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
            _picture(mini, index, rounds)
            _truth(mini, index, rounds)


def _rounds(mini: Miniature, index: int) -> Rounds:
    rng = mini.rng(index)
    if index % 3 == 1:
        return [("Describe the following image.", text.paragraph(rng, 3))]
    if index % 3 == 2:
        answer = f"{text.sentence(rng)}\n\n{text.paragraph(rng, 2)}"
        return [(f"Why might {text.clause(rng)}?", answer)]
    pairs = (text.question_answer(rng) for _ in range(rng.randint(2, 5)))
    return [(question, f"It looks to me like the answer is {answer}.") for question, answer in pairs]


def _number(mini: Miniature, index: int) -> int:
    """A picture can have several records."""
    return mini.number(index - (index % 10 == 6), 1, coco.MAX_ID)


def _record(mini: Miniature, index: int, rounds: Rounds) -> dict[str, Any]:
    turns = []
    for place, (question, answer) in enumerate(rounds):
        asked = question
        if place == 0:
            asked = f"<image>\n{question}" if index % 2 else f"{question}\n<image>"
        turns += [{"from": "human", "value": asked}, {"from": "gpt", "value": answer}]
    number = _number(mini, index)
    return {"id": f"{number:012d}", "image": f"{number:012d}.jpg", "conversations": turns}


def _picture(mini: Miniature, index: int, rounds: Rounds) -> None:
    if index % 10 == 6:
        return
    split = ("train2014", "val2014")[index % 2] if index % 5 == 2 else "train2017"
    card = partial(draw.caption_card, rounds[0][1], (128, 96), note=rounds[0][0])
    coco.lend(mini.borrow("mscoco"), split, _number(mini, index), card)


def _truth(mini: Miniature, index: int, rounds: Rounds) -> None:
    for place, (question, answer) in enumerate(rounds, start=1):
        earlier = (f"User: {asked}\nAssistant: {told}\n" for asked, told in rounds[: place - 1])
        shown = "".join(earlier) + ("User: " if place > 1 else "") + question
        mini.truth("stage2_llava_instruct", f"{index}_{place}", target=answer, contains=f".\n{shown}")
