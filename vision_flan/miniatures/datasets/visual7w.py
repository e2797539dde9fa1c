"""Visual7W: telling questions with one right and three wrong answers, and pointing questions beside them.

`n` counts telling questions of train, four per image; val and test get a tenth each. `source_id` is
`<image_id>_<qa_id>`.
"""

from __future__ import annotations

from functools import partial
from random import Random

from vision_flan.miniatures import draw, text
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Tree

_TOP_ID = 2_417_997
_PER_IMAGE = 4


def generate(mini: Miniature) -> None:
    with (
        mini.pack("dataset_v7w_telling.zip") as archive,
        mini.pack("visual7w_images.zip") as images,
        archive.json_document("dataset_v7w_telling.json") as document,
    ):
        document.field("dataset", "visual7w_telling")
        document.field("boxes", [])
        add = document.array("images")
        for split, part in (("train", 1.0), ("val", 0.1), ("test", 0.1)):
            count = max(int(mini.n * part), 1)
            for first in range(0, count, _PER_IMAGE):
                numbers = range(first, min(first + _PER_IMAGE, count))
                add(_image(mini, images, split, numbers))
    with mini.pack("dataset_v7w_pointing.zip") as archive:
        archive.write_json("dataset_v7w_pointing.json", _pointing())


def _image(mini: Miniature, images: Tree, split: str, numbers: range) -> dict[str, object]:
    image_id = mini.number(numbers.start // _PER_IMAGE, 1, _TOP_ID, split)
    asked = mini.rng(split, "asked", image_id).sample(text.THINGS, len(numbers))
    pairs = [
        _pair(mini.rng(split, number), image_id, number, thing)
        for number, thing in zip(numbers, asked, strict=True)
    ]
    if split == "train":
        for pair in pairs:
            key = f"{image_id}_{pair['qa_id']}"
            shown = str(pair["answer"]).lower().removesuffix(".")
            mini.truth("vqa_coco_multiple_choice", key, answer=shown, contains=pair["question"])
    if split == "test":  # words that stand small in a question are no names in any answer
        pairs[0]["question"] = f"Is it a {' or a '.join(text.THINGS)}?"
    note = " ".join(f"{pair['question']} {pair['answer']}" for pair in pairs)
    images.image(f"images/v7w_{image_id}.jpg", partial(draw.caption_card, note, (208, 130)))
    return {
        "image_id": image_id,
        "filename": f"v7w_{image_id}.jpg",
        "split": split,
        "qa_pairs": pairs,
    }


def _pair(rng: Random, image_id: int, number: int, asked: str) -> dict[str, object]:
    words = rng.sample([thing for thing in text.THINGS if thing != asked], 4)
    right, *wrong = (f"{word.title()}." for word in words)
    return {
        "qa_id": 517_238 + number,
        "image_id": image_id,
        "question": f"What is next to the {asked}?",
        "answer": right,
        "multiple_choices": wrong,
        "type": "what",
    }


def _pointing() -> dict[str, object]:
    """The answers of this set are boxes."""
    pair = {
        "qa_id": 1,
        "image_id": 1,
        "question": "Which one is red?",
        "answer": 11,
        "multiple_choices": [12, 13, 14],
        "type": "which",
    }
    box = {"box_id": 11, "name": "ball", "x": 1, "y": 1, "width": 9, "height": 9}
    image = {"image_id": 1, "filename": "v7w_1.jpg", "split": "train", "qa_pairs": [pair]}
    return {"dataset": "visual7w_pointing", "boxes": [box], "images": [image]}
