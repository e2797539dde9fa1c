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
                    verdicts = [question, "relevant to the image", "not relevant to the image"]
                    mini.truth("matching_vqav2_question", question_id, if_input=verdicts)


def _images(mini: Miniature, split: str, count: int) -> Iterator[tuple[int, list[tuple[str, str]], Random]]:
    index = done = 0
    while done < count:
        rng = mini.rng(split, index)
        pairs = dict(text.question_answer(rng) for _ in range(rng.randint(3, 8)))
        chosen = list(pairs.items())[: count - done]
        low, high = (1, coco.MAX_ID // 2) if split == "train" else (coco.MAX_ID // 2 + 1, coco.MAX_ID)
        yield mini.number(index, low, high, split), chosen, rng
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
