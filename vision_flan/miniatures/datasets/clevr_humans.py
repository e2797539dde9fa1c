"""CLEVR-Humans: one question per CLEVR image, as people typed it.

`n` counts train questions; val gets a tenth, test a twentieth, without answers. `source_id` is the image's
file name without suffix, `CLEVR_train_001429`.
"""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

from vision_flan.miniatures import scenes
from vision_flan.miniatures.datasets import clevr
from vision_flan.miniatures.miniature import Miniature

#: Number of the last image that a split uses from the CLEVR split of the same name.
_LAST = {"train": 19_999, "val": 7_999, "test": 7_999}


def generate(mini: Miniature) -> None:
    lender = mini.borrow("clevr")
    with mini.pack("CLEVR-Humans.zip") as tree:
        for split, part in (("train", 1.0), ("val", 0.1), ("test", 0.05)):
            info = {"date": "4/16/2017", "split": split, "version": "1.0"}
            count = max(int(mini.n * part), 1)
            file = f"CLEVR-Humans/CLEVR-Humans-{split}.json"
            with tree.json_document(file) as document:
                add = document.array("questions")
                document.field("info", info)
                for index in range(count):
                    rng = mini.rng(split, index)
                    image = mini.number(index, 0, max(_LAST[split], 2 * mini.n), split)
                    name = f"CLEVR_{split}_{image:06d}"
                    things = clevr.solids(rng, {})
                    question, answer = _asked(rng, things)
                    lender.image(f"CLEVR_v1.0/images/{split}/{name}.png", partial(scenes.clevr_scene, things))
                    add(_record(image, name, split, _typed(rng, question), answer))
                    if split == "train":
                        shown = f"{question[0].upper()}{question[1:]}?"
                        mini.truth("vqa_clevr_humans", name, target=answer, contains=shown)


def _asked(rng: Random, things: list[clevr.Thing]) -> tuple[str, str]:
    """A question about the solids, without question mark, and the answer."""
    found: list[tuple[str, str]] = []
    for shape in scenes.CLEVR_SHAPES:
        alike = [thing for thing in things if thing["shape"] == shape]
        found.append((f"How many {shape}s are in the picture", str(len(alike))))
        blue = any(thing["color"] == "blue" for thing in alike)
        found.append((f"Is there a blue {shape}", "yes" if blue else "no"))
        if len(alike) == 1:
            found.append((f"what is the {shape} made of", alike[0]["material"]))
            found.append((f"What color is the {shape}", alike[0]["color"]))
    small = [thing for thing in things if thing["size"] == "small"]
    if len(small) == 1:
        found.append(("What shape is the smallestt thing", small[0]["shape"]))
    return rng.choice(found)


def _typed(rng: Random, question: str) -> str:
    """Upstream kept stray spaces and missing question marks."""
    return rng.choice(("{}?", "{}?", "{}?", "{} ", "{}", " {}?", "{} ?", "{}? ")).format(question)


def _record(image: int, name: str, split: str, question: str, answer: str) -> dict[str, Any]:
    solved = {} if split == "test" else {"answer": answer}
    return {
        "image_filename": f"{name}.png",
        "image_index": image,
        "question": question,
        **solved,
        "split": split,
    }
