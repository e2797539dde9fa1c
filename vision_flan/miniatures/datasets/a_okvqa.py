"""A-OKVQA: questions with four choices, ten direct answers and three rationales, on COCO 2017 pictures.

`n` counts train questions, on one picture in ten two of them; val and test get a tenth each. `source_id` is
the question id. Pictures are borrowed: `mscoco/train2017` and so on.
"""

from __future__ import annotations

import base64
from functools import partial
from random import Random
from typing import Any

from vision_flan.miniatures import coco, draw, text
from vision_flan.miniatures.miniature import Miniature


def generate(mini: Miniature) -> None:
    lender = mini.borrow("mscoco")
    with mini.pack("aokvqa_v1p0.tar.gz") as tree:
        for split, part in (("train", 1.0), ("val", 0.1), ("test", 0.1)):
            with tree.json_array(f"aokvqa_v1p0_{split}.json") as add:
                for index in range(max(int(mini.n * part), 1)):
                    rng = mini.rng(split, index)
                    # the second question of a picture shares its number
                    picture = index - 1 if index % 10 == 9 else index
                    image_id = mini.number(picture, 1, coco.MAX_ID, split)
                    question_id = _question_id(mini, split, index)
                    question, answer = text.question_answer(rng)
                    reasons = [text.clause(rng) for _ in range(3)]
                    record = _record(rng, question, answer, reasons)
                    add(
                        {
                            "split": split,
                            "image_id": image_id,
                            "question_id": question_id,
                            **record[split == "test"],
                        }
                    )
                    if picture == index:
                        note = f"{question} {answer}"
                        if index % 10 == 8:  # the next question is about this picture, too
                            note += "; {} {}".format(*text.question_answer(mini.rng(split, index + 1)))
                        card = partial(draw.caption_card, note, (208, 96), note=question_id)
                        coco.lend(lender, f"{split}2017", image_id, card)
                    if split == "train":
                        _truth(mini, question_id, answer, reasons)
        for kind in ("large_vocab_train", "specialized_vocab_train"):
            tree.write_lines(f"{kind}.csv", text.COLORS)


def _question_id(mini: Miniature, split: str, index: int) -> str:
    """22 letters and digits."""
    raw = bytes.fromhex(mini.hex_id(32, split, index))
    return base64.b64encode(raw, b"Aa").decode()[:22]


def _record(
    rng: Random, question: str, answer: str, reasons: list[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The record as in train, and as in test, where the answers are kept back."""
    wrong = rng.sample([word for word in (*text.COLORS, *text.THINGS) if word != answer], 3)
    place = rng.randrange(4)
    shown = {"question": question, "choices": [*wrong[:place], answer, *wrong[place:]]}
    solved = {
        "correct_choice_idx": place,
        "direct_answers": [answer] * 7 + wrong,
        "difficult_direct_answer": False,
        "rationales": [_typed(rng, reason) for reason in reasons],
    }
    return {**shown, **solved}, {**shown, "difficult_direct_answer": False}


def _typed(rng: Random, reason: str) -> str:
    """Upstream's rationales differ in capitals, full stops and blanks."""
    if rng.random() < 0.5:
        reason = reason[0].upper() + reason[1:]
    return reason + rng.choice((".", ".", "", ". ", " ."))


def _truth(mini: Miniature, question_id: str, answer: str, reasons: list[str]) -> None:
    mini.truth("knowledge_aokvqa", question_id, target=answer)
    whole = [f"The answer is {answer} because {reason}." for reason in reasons]
    mini.truth("rationale_aokvqa_answer", question_id, one_of=whole)
    listed = [f"{n}. {reason[0].upper()}{reason[1:]}." for n, reason in enumerate(reasons, start=1)]
    mini.truth("rationale_aokvqa", question_id, target="\n".join(listed))
