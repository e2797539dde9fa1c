"""VQA-E: questions of VQA v2 with a sentence that explains the answer, as one list of records.

`n` counts train records, two or three per image; val gets half as many. `source_id` is
`<img_id>+<place in the list>`. Images are borrowed: `mscoco/train2014` and `mscoco/val2014`.
"""

from __future__ import annotations

from functools import partial
from random import Random

from vision_flan.miniatures import coco, draw, text
from vision_flan.miniatures.miniature import Miniature

_PER_IMAGE = 3


def generate(mini: Miniature) -> None:
    lender = mini.borrow("mscoco")
    for split, count in (("train", mini.n), ("val", max(mini.n // 2, 1))):
        with mini.json_array(f"VQA-E_{split}_set.json") as add:
            for first in range(0, count, _PER_IMAGE):
                rng = mini.rng(split, first)
                img_id = mini.number(first // _PER_IMAGE, *coco.ids_of(split), split)
                sentences = [text.clause(rng), text.clause(rng)]
                pairs = [text.question_answer(rng) for _ in range(min(_PER_IMAGE, count - first))]
                told = "; ".join([*sentences, *(f"{question} {answer}" for question, answer in pairs)])
                card = partial(draw.caption_card, told, (240, 150), note=str(img_id))
                coco.lend(lender, f"{split}2014", img_id, card)
                for place, (question, answer) in enumerate(pairs):
                    sentence = sentences[min(place, 1)]  # the last two share an image
                    add(_record(rng, img_id, question, answer, sentence))
                    if split == "train":
                        _truth(mini, f"{img_id}+{first + place}", answer, sentence if place < 2 else "")


def _record(rng: Random, img_id: int, question: str, answer: str, sentence: str) -> dict[str, object]:
    kind = "yes/no" if answer in ("yes", "no") else "number" if answer.isdigit() else "other"
    return {
        "img_id": img_id,
        "question": question,
        "question_type": " ".join(question.lower().split()[:2]),
        "answer_type": kind,
        "multiple_choice_answer": answer,
        "answers": [answer] * 8 + ["maybe", "unsure"],
        # the space is upstream's; the second item is how well the sentence fits
        "explanation": [f"{sentence} ", round(rng.uniform(0.5, 1), 4)],
    }


def _truth(mini: Miniature, key: str, answer: str, sentence: str) -> None:
    mini.truth("vqa_vqae", key, target=answer)
    if sentence:
        mini.truth("caption_vqae", key, target=f"{sentence[0].upper()}{sentence[1:]}.")
    else:
        mini.truth("caption_vqae", key, dropped="the picture has this sentence already")
