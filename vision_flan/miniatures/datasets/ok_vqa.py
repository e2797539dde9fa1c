"""OK-VQA: questions and ten stemmed answers each, each JSON file in its own zip, on borrowed COCO images.

`n` counts train questions; val gets half as many. `source_id` is the question id. Images are borrowed:
`mscoco/train2014` and `mscoco/val2014`.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from random import Random

from vision_flan.miniatures import coco, draw, text
from vision_flan.miniatures.miniature import Miniature

#: Answers as people typed them, and the stems that upstream counts.
_STEMS = {"racing": "race", "surfing": "surf", "horses": "horse", "italy": "italy", "hot dogs": "hot dog"}
#: Questions, the objects they are about, and the answer.
_QUESTIONS = (
    ("What sport is this {} for?", text.listed("car bicycle motorcycle"), "racing"),
    ("What sport is this {} for?", text.listed("board wetsuit wave"), "surfing"),
    ("What animals did people ride before the {}?", text.listed("car train bus bicycle"), "horses"),
    ("Which country is famous for this {}?", text.listed("pizza pasta espresso gondola"), "italy"),
    ("What food is often sold at such a {}?", text.listed("stand stadium cart"), "hot dogs"),
)


def generate(mini: Miniature) -> None:
    lender = mini.borrow("mscoco")
    for split, count in (("train", mini.n), ("val", max(mini.n // 2, 1))):
        subset = f"{split}2014"
        head = {"info": {"version": "1.0"}, "data_type": "mscoco", "data_subtype": subset, "license": {}}
        asked = {"task_type": "Open-Ended", **head}
        answered = {**head, "question_types": {"one": "Vehicles and Transportation"}}
        questions, answers = f"OpenEnded_mscoco_{subset}_questions.json", f"mscoco_{subset}_annotations.json"
        with ExitStack() as stack:
            question_zip = stack.enter_context(mini.pack(f"{questions}.zip"))
            answer_zip = stack.enter_context(mini.pack(f"{answers}.zip"))
            add_question = stack.enter_context(question_zip.json_array(questions, "questions", asked))
            add_answers = stack.enter_context(answer_zip.json_array(answers, "annotations", answered))
            for index in range(count):
                rng = mini.rng(split, index)
                image_id = mini.number(index, *coco.ids_of(split), split)
                form, things, answer = rng.choice(_QUESTIONS)
                question = form.format(rng.choice(things))
                question_id = image_id * 10 + 5
                add_question({"image_id": image_id, "question": question, "question_id": question_id})
                add_answers(_annotation(rng, image_id, question_id, answer))
                card = partial(draw.caption_card, f"{question} {answer}", (128, 96), note=str(image_id))
                coco.lend(lender, subset, image_id, card)
                mini.truth("knowledge_okvqa", question_id, target=answer)


def _annotation(rng: Random, image_id: int, question_id: int, answer: str) -> dict[str, object]:
    """Five workers, each answer twice; in a tie of two and two, the first is the answer."""
    others = [word for word in _STEMS if word != answer]
    first, second, third = rng.sample(others, 3)
    typed = rng.choice(
        (
            [answer] * 5,
            [first, answer, answer, second, answer],
            [answer, first, first, answer, second],
            [second, answer, _STEMS[answer], answer, third],
        )
    )
    given = [word for word in typed for _ in range(2)]
    return {
        "image_id": image_id,
        "answer_type": "other",
        "question_type": rng.choice(("one", "eleven", "other")),
        "question_id": question_id,
        "answers": [
            {
                "answer_id": place,
                "raw_answer": word,
                "answer_confidence": "yes",
                "answer": _STEMS.get(word, word),
            }
            for place, word in enumerate(given, start=1)
        ],
        "confidence": 3,
    }
