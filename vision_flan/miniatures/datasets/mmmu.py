"""MMMU: one Parquet file per subject, up to seven images per question in separate columns.

`n` counts questions of validation. `source_id` is the id, "validation_<Subject>_<number>".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from vision_flan.miniatures import draw, formats
from vision_flan.miniatures.miniature import Miniature

_SUBJECTS = ("Art_Theory", "Biology", "Computer_Science", "Electronics")
_QUESTIONS = ("Which value does <image 1> show?", "Which value do <image 1> and <image 2> both show?")
_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_TEXTS = ("id", "question", "options", "explanation")
_REST = ("img_type", "answer", "topic_difficulty", "question_type", "subfield")
_SCHEMA = pa.schema(
    [(name, pa.string()) for name in _TEXTS]
    + [(f"image_{i}", _IMAGE) for i in range(1, 8)]
    + [(name, pa.string()) for name in _REST]
)


def generate(mini: Miniature) -> None:
    for number, subject in enumerate(_SUBJECTS):
        rows = _rows(mini, subject, range(number, mini.n, len(_SUBJECTS)))
        formats.parquet(mini.path(f"{subject}/validation-00000-of-00001.parquet"), _SCHEMA, rows)


def _rows(mini: Miniature, subject: str, numbers: range) -> Iterator[dict[str, Any]]:
    for count, index in enumerate(numbers, start=1):
        key, rng = f"validation_{subject}_{count}", mini.rng(subject, count)
        value = rng.randint(2, 40)
        images = 2 if index % 5 == 3 else 1
        question = _QUESTIONS[images - 1]
        if index % 9 == 2:
            question += " Take <image 1> as exact."  # a token twice
        row: dict[str, Any] = dict.fromkeys(_SCHEMA.names)
        for i in range(1, images + 1):
            card = draw.caption_card(_value(index, value), note=f"{key} {i}")
            row[f"image_{i}"] = formats.image_struct(card, f"{key}_{i}.png")
        if index % 6 == 4:
            row |= {"options": "[]", "answer": _value(index, value), "question_type": "open"}
            offered = ""
        else:
            options = [_value(index, value + i) for i in range(5 if index % 7 == 1 else 4)]
            options[1] = "the reader's guess"  # Python writes it in double quotes
            rng.shuffle(options)
            letter = "ABCDE"[options.index(_value(index, value))]
            row |= {"options": str(options), "answer": letter, "question_type": "multiple-choice"}
            offered = "".join(f"\n({name}) {option}" for name, option in zip("ABCDE", options, strict=False))
        row |= {"id": key, "question": question, "explanation": "", "img_type": "['Diagrams']"}
        if index % 40 == 17:
            row["question"] += " Compare it with <image 3>."  # there is none
            mini.truth("eval_mmmu", key, dropped="a token without a picture")
        else:
            mini.truth("eval_mmmu", key, target=row["answer"], contains=f"\n{question}{offered}")
        yield row | {"topic_difficulty": "Easy", "subfield": subject}


def _value(index: int, number: int) -> str:
    """A number, or a fraction in LaTeX, whose backslash Python doubles in a literal."""
    return f"$\\frac{{{number}}}{{3}}$" if index % 4 == 2 else str(number)
