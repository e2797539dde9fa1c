"""TDIUC: questions of twelve types with one answer each, in two files joined by question id.

`n` counts train questions, four per image; val gets half as many. `source_id` is the question id, with
`val_` before it in the tasks that take val too. Images are borrowed: `mscoco/train2014` and `mscoco/val2014`.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from random import Random
from typing import Any

from vision_flan.miniatures import coco, draw, text
from vision_flan.miniatures.miniature import Miniature

_YES_NO = ("yes", "no")
#: question_type -> task, question, answers, where it comes from with the first digit of its ids
_TYPES: dict[str, tuple[str, str, tuple[str, ...], str, int]] = {
    "object_presence": (
        "vqa_tdiuc_object_presence", "Are there any {many} in the photo?", _YES_NO, "generation", 1,
    ),
    "object_recognition": (
        "vqa_tdiuc_object_recognition", "What animal is near the {one}?", ("dog", "cat", "horse"), "vqa", 2,
    ),
    "counting": (
        "vqa_tdiuc_counting", "How many {many} are there?", ("zero", "one", "two", "eleven"), "generation", 1,
    ),
    "color": ("vqa_tdiuc_color", "What color is the {one}?", text.COLORS, "genome", 3),
    "attribute": (
        "vqa_visual7w_attribute", "What is the chair near the {one} made of?", ("wood", "metal"), "genome", 3,
    ),
    "sport_recognition": (
        "vqa_tdiuc_sport", "What sport is played near the {one}?", ("tennis", "soccer"), "generation", 1,
    ),
    "positional_reasoning": (
        "vqa_tdiuc_positional_reasoning", "What is to the left of the {one}?", text.THINGS, "genome", 3,
    ),
    "activity_recognition": (
        "vqa_tdiuc_activity", "What is the person near the {one} doing?", ("standing", "eating"), "manual", 5,
    ),
    "scene_recognition": (
        "vqa_tdiuc_scene", "what is the weather like around the {one}?", ("sunny", "rainy"), "generation", 1,
    ),
    "sentiment_understanding": (
        "vqa_tdiuc_sentiment", "Is the man near the {one} happy?", _YES_NO, "manual", 5,
    ),
    "utility_affordance": (
        "vqa_tdiuc_utility_affordance",
        "What can you sit on near the {one}?", ("bench", "chair"), "manual", 5,
    ),
    "absurd": ("", "What color is the {one}?", ("doesnotapply",), "generation", 1),
}  # fmt: skip
#: Types that also have yes-or-no questions upstream.
_CHECKS = {
    "sport_recognition": "Is tennis played near the {one}?",
    "activity_recognition": "Is anyone eating near the {one}?",
    "scene_recognition": "is it sunny around the {one}?",
    "utility_affordance": "Is there anything to sit on near the {one}?",
}
_PER_IMAGE = 4
#: Tasks that take val too.
_BOTH = ("vqa_tdiuc_activity", "vqa_tdiuc_sentiment", "vqa_tdiuc_utility_affordance")


def generate(mini: Miniature) -> None:
    with mini.pack("TDIUC.zip") as tree, ExitStack() as stack:
        lender = mini.borrow("mscoco")
        tree.write_text("TDIUC/README.txt", "TDIUC (miniature)\n")
        for split, count in (("train", mini.n), ("val", max(mini.n // 2, 1))):
            subset = f"{split}2014"
            # upstream spells the key in two ways
            head = {"info": {"version": "1.0"}, "license" if split == "train" else "licence": {"name": ""}}
            questions = f"TDIUC/Questions/OpenEnded_mscoco_{subset}_questions.json"
            add_question = stack.enter_context(tree.json_array(questions, "questions", head))
            annotations = f"TDIUC/Annotations/mscoco_{subset}_annotations.json"
            add_answer = stack.enter_context(tree.json_array(annotations, "annotations", head))
            for first in range(0, count, _PER_IMAGE):
                numbers = range(first, min(first + _PER_IMAGE, count))
                image_id = mini.number(first // _PER_IMAGE, *coco.ids_of(split), split)
                asked = [_asked(mini.rng(split, number), number, image_id) for number in numbers]
                note = "; ".join(
                    f"{record['question']} {answer['answers'][0]['answer']}" for record, answer in asked
                )
                coco.lend(lender, subset, image_id, partial(draw.caption_card, note, (160, 120)))
                for record, _ in asked:
                    add_question(record)
                for _, answer in reversed(asked):  # in a different order from the questions
                    add_answer(answer)
                    task = _TYPES[answer["question_type"]][0]
                    key = f"{'' if split == 'train' else 'val_'}{answer['question_id']}"
                    if task and (split == "train" or task in _BOTH):
                        mini.truth(task, key, target=answer["answers"][0]["answer"])


def _asked(rng: Random, number: int, image_id: int) -> tuple[dict[str, Any], dict[str, Any]]:
    kind = list(_TYPES)[number % len(_TYPES)]
    _, question, answers, source, digit = _TYPES[kind]
    if kind in _CHECKS and number // len(_TYPES) % 2:
        question, answers = _CHECKS[kind], _YES_NO
    question_id = digit * 10_000_000 + number
    thing = rng.choice(text.THINGS)
    asked = {
        "image_id": image_id,
        "question": question.format(one=thing, many=text.plural(thing)),
        "question_id": question_id,
    }
    answer = {"answer": rng.choice(answers), "answer_confidence": "yes", "answer_id": 1}
    return asked, {
        "question_id": question_id,
        "image_id": image_id,
        "question_type": kind,
        "ans_source": source,
        "answers": [answer],
    }
