"""VQAv2: questions and ten answers each, in two files joined by question id, on borrowed COCO images.

`n` counts train questions (three to eight per image); val gets a tenth. `source_id` is the question id.
Images are in `mscoco/train2014`, those of val in `mscoco/val2014`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from random import Random

from vision_flan.miniatures import coco, draw, text
from vision_flan.miniatures.miniature import Miniature

_INFO = {"description": "VQA v2.0", "version": "2.0", "year": 2017, "url": "http://visualqa.org"}
_LICENSE = {"url": "http://creativecommons.org/licenses/by/4.0/", "name": "CC BY 4.0"}
_SURE = ("yes", "yes", "maybe", "no")

#: Conspicuous things, and the group that each counts to; the others may be in any image.
_CONSPICUOUS = {
    "dog": "dog", "cat": "cat", "train": "train", "pizza": "pizza", "kite": "kite", "umbrella": "umbrella",
    "skier": "snow sports", "snowboard": "snow sports", "surfer": "surfing", "laptop": "computer",
}  # fmt: skip
_PLAIN = text.listed("table chair fence tree wall sign bottle cup plate blanket bench clock")


def generate(mini: Miniature) -> None:
    _split(mini, "train", mini.n)
    _split(mini, "val", max(mini.n // 10, 1))


def _split(mini: Miniature, split: str, count: int) -> None:
    subset = f"{split}2014"
    head = {"info": _INFO, "data_type": "mscoco", "data_subtype": subset, "license": _LICENSE}
    lender = mini.borrow("mscoco")
    with ExitStack() as stack:
        questions_zip = stack.enter_context(mini.pack(f"v2_Questions_{split.title()}_mscoco.zip"))
        answers_zip = stack.enter_context(mini.pack(f"v2_Annotations_{split.title()}_mscoco.zip"))
        question_file = f"v2_OpenEnded_mscoco_{subset}_questions.json"
        add_question = stack.enter_context(
            questions_zip.json_array(question_file, "questions", {"task_type": "Open-Ended", **head})
        )
        add_answers = stack.enter_context(
            answers_zip.json_array(f"v2_mscoco_{subset}_annotations.json", "annotations", head)
        )
        for image_id, pairs, rng in _images(mini, split, count):
            note = "; ".join(f"{question} {answer}" for question, answer in pairs)
            coco.lend(lender, subset, image_id, partial(draw.caption_card, note, (250, 160)))
            for place, (question, answer) in enumerate(pairs):
                question_id = image_id * 1000 + place
                add_question({"image_id": image_id, "question": question, "question_id": question_id})
                add_answers(_annotation(rng, image_id, question_id, question, answer))
                if split == "train":
                    mini.truth("vqa_vqav2", question_id, target=answer)
                    if _names_the_only_thing(question, pairs):
                        verdicts = [question, "relevant to the image", "not relevant to the image"]
                        mini.truth("matching_vqav2_question", question_id, if_input=verdicts)


def _pairs(rng: Random, count: int, things: int) -> Iterator[tuple[str, str]]:
    """Questions about an image of one or two conspicuous things among plain ones; some fit any image."""
    shown = rng.sample(sorted(_CONSPICUOUS), things)
    for place in range(count):
        thing = shown[place] if place < things else rng.choice([*shown, *_PLAIN])
        other = rng.choice(_PLAIN)
        asked = [
            (f"What color is the {thing}?", rng.choice(text.COLORS)),
            (f"What is next to the {thing}?", other),
            (f"How many {text.plural(thing)} are there?", str(rng.randrange(10))),
            (f"Is there {text.article(thing)}?", rng.choice(("yes", "no"))),
            (f"What is on the {other}?", thing),
        ]
        yield rng.choice(asked if place else asked[:2])  # the first fits no image without the thing


def _names_the_only_thing(question: str, pairs: list[tuple[str, str]]) -> bool:
    """Whether a question names the one conspicuous thing of an image, and does not ask if it is there."""
    if question.startswith(("How many", "Is there")):
        return False
    things = [_things(f"{asked} {answer}") for asked, answer in pairs]
    return bool(_things(question)) and len(set().union(*things)) == 1


def _things(said: str) -> set[str]:
    return {group for thing, group in _CONSPICUOUS.items() if thing in said.lower()}


def _images(mini: Miniature, split: str, count: int) -> Iterator[tuple[int, list[tuple[str, str]], Random]]:
    index = done = 0
    while done < count:
        rng = mini.rng(split, index)
        pairs = dict(_pairs(rng, rng.randint(3, 8), 2 if index % 7 == 4 else 1))
        chosen = list(pairs.items())[: count - done]
        yield mini.number(index, *coco.ids_of(split), split), chosen, rng
        index, done = index + 1, done + len(chosen)


def _annotation(
    rng: Random, image_id: int, question_id: int, question: str, answer: str
) -> dict[str, object]:
    kind = "yes/no" if answer in ("yes", "no") else "number" if answer.isdigit() else "other"
    strays = rng.randrange(4)
    answers = [f"{answer} {place}" for place in range(strays)] + [answer] * (10 - strays)
    return {
        "question_type": " ".join(question.lower().split()[:2]),
        "multiple_choice_answer": answer,
        "answers": [
            {"answer": given, "answer_confidence": rng.choice(_SURE), "answer_id": place}
            for place, given in enumerate(answers, start=1)
        ],
        "image_id": image_id,
        "answer_type": kind,
        "question_id": question_id,
    }
