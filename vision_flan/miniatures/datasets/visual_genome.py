"""Visual Genome: question-answer pairs listed by image, and the images in two folders.

`n` counts pairs, about eight per image; one image in fifteen has none. `source_id` is `<image_id>_<qa_id>`.
"""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

from vision_flan.miniatures import draw, text
from vision_flan.miniatures.miniature import Miniature

_TOP_ID = 2_417_997
_QA_START = 986_000
#: Facts of an image; all its questions and answers are written on it.
_SIZE = (300, 210)
#: What a target says for an answer.
_YES_NO = {"Yes": "yes", "No": "no"}


def generate(mini: Miniature) -> None:
    with (
        mini.pack("image_data.json.zip") as data_zip,
        mini.pack("question_answers.json.zip") as pairs_zip,
        mini.pack("images.zip") as first,
        mini.pack("images2.zip") as second,
        data_zip.json_array("image_data.json") as add_data,
        pairs_zip.json_array("question_answers.json") as add,
    ):
        index = done = 0
        while done < mini.n:
            rng = mini.rng(index)
            count = 0 if index % 15 == 3 else min(rng.randint(4, 12), mini.n - done)
            image_id = mini.number(index, 1, _TOP_ID)
            pairs = [_pair(rng, image_id, _QA_START + done + place) for place in range(count)]
            add({"id": image_id, "qas": pairs})
            tree, folder = (first, "VG_100K") if image_id % 2 else (second, "VG_100K_2")
            add_data(_data(image_id, folder))
            note = " ".join(f"{pair['question']} {pair['answer']}" for pair in pairs)
            image = partial(draw.caption_card, note, _SIZE, note=str(image_id))
            tree.image(f"{folder}/{image_id}.jpg", image)
            for pair in pairs:
                answer = pair["answer"].removesuffix(".")
                # the capital goes if the word is seen without one in another pair
                claim = (
                    {"target": _YES_NO[answer]} if answer in _YES_NO else {"one_of": [answer, answer.lower()]}
                )
                mini.truth("vqa_visual_genome", f"{image_id}_{pair['qa_id']}", **claim)
            index, done = index + 1, done + count


def _pair(rng: Random, image_id: int, qa_id: int) -> dict[str, Any]:
    question, answer = text.question_answer(rng)
    # nearly all answers end in a period
    answer = answer.title() + ("" if rng.random() < 0.1 else ".")
    thing = {"object_id": 1, "synsets": ["kite.n.03"], "name": "kite", "x": 1, "y": 2, "w": 3, "h": 4}
    return {
        "a_objects": [],
        "question": question,
        "image_id": image_id,
        "qa_id": qa_id,
        "answer": answer,
        "q_objects": [thing] if rng.random() < 0.1 else [],
    }


def _data(image_id: int, folder: str) -> dict[str, Any]:
    return {
        "image_id": image_id,
        "url": f"https://cs.stanford.edu/people/rak248/{folder}/{image_id}.jpg",
        "width": _SIZE[0],
        "height": _SIZE[1],
        "coco_id": None,
        "flickr_id": image_id + 100,
    }
