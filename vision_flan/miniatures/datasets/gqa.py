"""GQA: balanced questions in one object keyed by question id, with programs, on Visual Genome images.

`n` counts balanced train questions, five per image; val gets a tenth, testdev a twentieth. `source_id` is the
question's id, eight digits.
"""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

from vision_flan.miniatures import draw, text
from vision_flan.miniatures.miniature import Miniature

_PER_IMAGE = 5


def generate(mini: Miniature) -> None:
    splits = (("train", 1.0), ("val", 0.1), ("testdev", 0.05))
    with mini.pack("questions1.2.zip") as tree, mini.pack("images.zip") as images:
        for split, part in splits:
            count = max(int(mini.n * part), 1)
            with tree.json_object(f"{split}_balanced_questions.json") as put:
                for index in range(count):
                    _question(mini, put, images, split, index)
        tree.write_text("readme.txt", "GQA (miniature)\n")


def _question(mini: Miniature, put: Any, images: Any, split: str, index: int) -> None:
    rng = mini.rng(split, index)
    image_id = _image_id(mini, split, index // _PER_IMAGE)
    question, answer = text.question_answer(rng)
    key = f"{mini.number(index, 0, 29_999_999, split):08d}"
    put(key, _record(rng, image_id, question, answer))
    if index % _PER_IMAGE == 0:
        # the image has the answers to all its questions written on it
        about = (text.question_answer(mini.rng(split, index + place)) for place in range(_PER_IMAGE))
        note = "; ".join(f"{asked} {told}" for asked, told in about)
        images.image(f"images/{image_id}.jpg", partial(draw.caption_card, note, (250, 160), note=image_id))
    if split == "train":
        mini.truth("vqa_gqa", key, target=answer)


def _image_id(mini: Miniature, split: str, image: int) -> str:
    """Digits; those that are not from Visual Genome begin with an n."""
    number = mini.number(image, 1, 2_417_997, split)
    return f"n{number}" if split == "testdev" else str(number)


def _record(rng: Random, image_id: str, question: str, answer: str) -> dict[str, Any]:
    thing = text.subject(rng)
    steps = [("select", [], "thing (1)"), ("query", [0], "name")]
    return {
        "semantic": [
            {"operation": name, "dependencies": inputs, "argument": argument}
            for name, inputs, argument in steps
        ],
        "entailed": [],
        "equivalent": ["02930152"],
        "question": question,
        "imageId": image_id,
        "isBalanced": True,
        "groups": {"global": None, "local": f"10q-{thing}"},
        "answer": answer,
        "semanticStr": "select: thing (1)->query: name [0]",
        "annotations": {"answer": {}, "question": {"4": "1231798"}, "fullAnswer": {}},
        "types": {"detailed": "relO", "semantic": rng.choice(("rel", "attr")), "structural": "query"},
        "fullAnswer": f"It is {answer}.",
    }
