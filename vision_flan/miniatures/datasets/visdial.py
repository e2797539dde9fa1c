"""VisDial: dialogues of ten rounds as indices into tables of questions and answers.

`n` counts train dialogues, on borrowed COCO pictures of train2014 and val2014; val gets a tenth, on pictures
of its own. `source_id` is the image id. Truth is the answer of round 3, 5, 7 or 10, as upstream writes it.
"""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

from vision_flan.miniatures import coco, draw, text
from vision_flan.miniatures.miniature import Miniature

#: Task -> round, from 0, whose answer is asked.
_TASKS = {
    "dialogue_visdial_short": 2,
    "dialogue_visdial_medium": 4,
    "dialogue_visdial_long": 6,
    "dialogue_visdial_very_long": 9,
}


def generate(mini: Miniature) -> None:
    _split(mini, "train", mini.n)
    _split(mini, "val", max(mini.n // 10, 1))


def _split(mini: Miniature, split: str, count: int) -> None:
    questions, answers = _tables(mini.rng("tables"))
    lender = mini.borrow("mscoco")
    with (
        mini.pack(f"visdial_1.0_{split}.zip") as tree,
        tree.json_document(f"visdial_1.0_{split}.json") as document,
    ):
        document.field("version", "1.0")
        document.field("split", split)
        data = document.nest("data")
        data.field("questions", questions)
        data.field("answers", answers)
        add = data.array("dialogs")
        for index in range(count):
            rng = mini.rng(split, index)
            image_id = mini.number(index, 1, coco.MAX_ID, split)
            caption = text.clause(rng)
            rounds = [_round(rng, len(questions), len(answers)) for _ in range(10)]
            add({"image_id": image_id, "caption": caption, "dialog": rounds})
            card = partial(draw.caption_card, caption, (128, 96), note=str(image_id))
            if split == "val":
                mini.image(f"VisualDialog_val2018/VisualDialog_val2018_{image_id:012d}.jpg", card)
                continue
            coco.lend(lender, "val2014" if index % 3 == 2 else "train2014", image_id, card)
            for task, place in _TASKS.items():
                mini.truth(task, image_id, target=answers[rounds[place]["answer"]])


def _tables(rng: Random) -> tuple[list[str], list[str]]:
    """All distinct questions and answers: lower case, no final mark, typing errors as they were typed."""
    questions = {"is t it city", "what color is teh sky", "anything else"}
    answers = {"yes", "no", "i can't tell", "not that i can see", "0", "2"}
    while len(questions) < 300 or len(answers) < 200:
        question, answer = text.question_answer(rng)
        questions.add(question.rstrip("?").lower())
        answers.add(rng.choice((answer, f"yes, {text.subject(rng)}", text.clause(rng))))
    return sorted(questions), sorted(answers)


def _round(rng: Random, questions: int, answers: int) -> dict[str, Any]:
    options = rng.sample(range(answers), 100)
    right = rng.randrange(100)
    asked = rng.randrange(questions)
    return {"question": asked, "answer": options[right], "answer_options": options, "gt_index": right}
