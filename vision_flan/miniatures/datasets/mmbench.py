"""MMBench, the legacy English dev file: one TSV, images as base64, and circular copies of each question.

`n` counts questions; each has as many rows as options. `source_id` is the index of the row.
"""

from __future__ import annotations

from vision_flan.miniatures import draw, formats
from vision_flan.miniatures.miniature import Miniature

_COLUMNS = [
    "index", "question", "hint", "A", "B", "C", "D", "answer", "category", "image", "source", "l2-category",
    "comment", "split",
]  # fmt: skip
_OPTIONS = ("apple", "pear", "plum", "fig")
_QUESTIONS = ("What does the picture show?", 'Which "fruit" is it?\nLook at the word at the top.')
_STEP = 1_000_000


def generate(mini: Miniature) -> None:
    with mini.csv("MMBench_DEV_EN_legacy.tsv", _COLUMNS, delimiter="\t") as add:
        for index in range(mini.n):
            rng = mini.rng(index)
            options = rng.sample(_OPTIONS, 4 if index % 3 else 2)
            right = rng.choice(options)
            question = _QUESTIONS[index % 4 == 1]
            hint = ("", "nan", f"It is one of {len(options)} fruits.")[index % 3]
            image = formats.base64_image(draw.caption_card(right, note=str(index)))
            for shift in range(len(options)):
                shown = options[shift:] + options[:shift]
                letter = "ABCD"[shown.index(right)]
                cells = [*shown, *[""] * (4 - len(shown))]
                prompt = question if hint in ("", "nan") else f"{hint}\n{question}"
                lines = "".join(f"\n{name}. {text}" for name, text in zip("ABCD", shown, strict=False))
                key = index + shift * _STEP
                mini.truth("eval_mmbench", key, target=letter, contains=f"\n{prompt}{lines}")
                add(
                    [
                        str(index + shift * _STEP), question, hint, *cells, letter, "attribute_recognition",
                        image, "made", "finegrained_perception", "nan", "dev",
                    ]
                )  # fmt: skip
