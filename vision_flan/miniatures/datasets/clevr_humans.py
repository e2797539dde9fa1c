"""CLEVR-Humans: one question a picture of CLEVR, as people typed it.

`n` counts train questions; val gets a tenth, test a twentieth, without answers. `source_id` is the picture's
file name without suffix, `CLEVR_train_001429`.
"""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

from vision_flan.miniatures import draw
from vision_flan.miniatures.miniature import Miniature

_KINDS = {
    "How many {}s are in the picture": [str(number) for number in range(11)],
    "Is there a blue {}": ["yes", "no"],
    "What color is the smallestt {}": ["gray", "blue", "brown", "yellow", "red", "green", "purple", "cyan"],
    "what is the {} made of": ["rubber", "metal"],
    "What shape is behind the {}": ["cube", "sphere", "cylinder"],
}


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
                    image = mini.number(index, 0, max(19_999, 2 * mini.n), split)
                    name = f"CLEVR_{split}_{image:06d}"
                    question, answer = _asked(rng)
                    picture = partial(draw.caption_card, f"{question}? {answer}", (480, 320), note=name)
                    lender.image(f"CLEVR_v1.0/images/{split}/{name}.png", picture)
                    add(_record(image, name, split, _typed(rng, question), answer))
                    if split == "train":
                        shown = f"{question[0].upper()}{question[1:]}?"
                        mini.truth("vqa_clevr_humans", name, target=answer, contains=shown)


def _asked(rng: Random) -> tuple[str, str]:
    form = rng.choice(list(_KINDS))
    return form.format(rng.choice(("cube", "sphere", "cylinder"))), rng.choice(_KINDS[form])


def _typed(rng: Random, question: str) -> str:
    """Upstream kept the blanks and the missing marks of what people typed."""
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
