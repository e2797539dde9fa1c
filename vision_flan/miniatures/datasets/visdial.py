"""VisDial: dialogues of ten rounds as indices into tables of questions and answers.

`n` counts train dialogues, on borrowed COCO images of train2014 and val2014; val gets a tenth, on images
of its own. `source_id` is the image id. Truth is the answer of round 3, 5, 7 or 10, as upstream writes it,
and its question with the question mark that upstream omits; the image shows both.
"""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

from vision_flan.miniatures import coco, draw, text
from vision_flan.miniatures.miniature import Miniature

_PEOPLE = text.listed("man woman boy girl child skier surfer chef player dog cat bird horse cow sheep")
#: Task -> round, from 0, whose answer is the target.
_TASKS = {
    "dialogue_visdial_short": 2,
    "dialogue_visdial_medium": 4,
    "dialogue_visdial_long": 6,
    "dialogue_visdial_very_long": 9,
}
_BOOLEAN = ("yes", "no", "i can't tell", "not that i can see", "yes, i think so", "no, not at all")
#: First words of a question -> plausible answers, typos included.
_FITTING = {
    "anything else": ("no", "not that i can see", "just some trees", "no, that's it"),
    "how many": tuple(map(str, range(10))),
    "is": _BOOLEAN,
    "what color": text.COLORS,
    "what is": tuple(f"{text.article(thing)}, i think" for thing in text.THINGS),
    "who is": tuple(f"{article} {who}" for article in ("a", "the") for who in _PEOPLE),
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
            image_id = mini.number(index, *coco.ids_of(split), split)
            caption = text.clause(rng)
            rounds = [_round(rng, questions, answers) for _ in range(10)]
            add({"image_id": image_id, "caption": caption, "dialog": rounds})
            turns = [(f"{questions[turn['question']]}?", answers[turn["answer"]]) for turn in rounds]
            told = "; ".join([caption, *(" ".join(turns[place]) for place in _TASKS.values())])
            card = partial(draw.caption_card, told, (240, 140), note=str(image_id))
            if split == "val":
                mini.image(f"VisualDialog_val2018/VisualDialog_val2018_{image_id:012d}.jpg", card)
                continue
            coco.lend(lender, "val2014" if index % 3 == 2 else "train2014", image_id, card)
            for task, place in _TASKS.items():
                question, answer = turns[place]
                mini.truth(task, image_id, target=answer, contains=question)


def _tables(rng: Random) -> tuple[list[str], list[str]]:
    """All distinct questions and answers: lower case, no final punctuation, typos included."""
    questions = {"is t it city", "what color is teh sky", "anything else"}
    answers = {answer for fitting in _FITTING.values() for answer in fitting}
    while len(questions) < 300 or len(answers) < 200:
        questions.add(text.question_answer(rng)[0].rstrip("?").lower())
        answers.add(f"yes, {text.article(text.subject(rng))}")
    return sorted(questions), sorted(answers)


def _round(rng: Random, questions: list[str], answers: list[str]) -> dict[str, Any]:
    """A question with a plausible answer, at a random position among a hundred."""
    asked = rng.randrange(len(questions))
    opening = next(words for words in _FITTING if questions[asked].startswith(words))
    answer = answers.index(rng.choice(_FITTING[opening]))
    options = rng.sample([place for place in range(len(answers)) if place != answer], 100)
    right = rng.randrange(100)
    options[right] = answer
    return {"question": asked, "answer": answer, "answer_options": options, "gt_index": right}
