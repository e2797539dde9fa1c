"""A few questions of each benchmark in the columns of the data that lmms-eval asks, answers, their score.

Texts are ours; columns and types are those that the tasks of lmms-eval 0.7.3 read.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

Row = Mapping[str, object]


@dataclass(frozen=True)
class Asked:
    """Questions of a benchmark.

    Attributes:
        rows: of each part of the suite.
        answers: what the model says, in the order of the rows of all parts.
        line: of answers.jsonl, of the first row, without the prediction and its length.
        score: what the official rules give these answers.
        splits: part -> the split lmms-eval reads, where it is not test.
    """

    rows: Mapping[str, Sequence[Row]]
    answers: Sequence[str]
    line: Row
    score: float
    splits: Mapping[str, str] = field(default_factory=dict)


def image() -> dict[str, object]:
    """A small image, as `datasets` stores it."""
    out = io.BytesIO()
    Image.new("RGB", (32, 32), (200, 30, 30)).save(out, "PNG")
    return {"bytes": out.getvalue(), "path": "0.png"}


def _mme() -> list[Row]:
    return [
        {
            "question_id": f"existence/{number:04}.png",
            "image": image(),
            "question": f"Is it {word}? Please answer yes or no.",
            "answer": answer,
            "category": "existence",
        }
        for number in range(2)
        for word, answer in (("red", "Yes"), ("blue", "No"))
    ]


def _pope(split: str) -> list[Row]:
    return [
        {
            "id": str(number),
            "question_id": str(number + 1),
            "question": f"Is there a {thing} in the image?",
            "answer": answer,
            "image_source": "drawn",
            "image": image(),
            "category": split,
        }
        for number, (thing, answer) in enumerate((("square", "yes"), ("boat", "no")))
    ]


def _mmbench(index: int, question: str, options: Sequence[str], right: str) -> list[Row]:
    """A question in all rotations; missing options are the text nan, as in the published table."""
    rows = []
    for turn in range(len(options)):
        shown = [*options[turn:], *options[:turn]]
        letters: dict[str, object] = dict.fromkeys("ABCD", "nan")
        letters |= dict(zip("ABCD", shown, strict=False))
        rows.append(
            {
                "index": index + turn * 1_000_000,
                "question": question,
                "hint": "nan",
                "answer": "ABCD"[shown.index(right)],
                **letters,
                "category": "color",
                "image": image(),
                "source": "drawn",
                "L2-category": "attributes",
                "comment": "nan",
                "split": "dev",
            }
        )
    return rows


def _mmmu(name: str, kind: str, options: str, answer: str) -> Row:
    images = {f"image_{number}": image() if number == 1 else None for number in range(1, 8)}
    texts = {"explanation": "", "img_type": "['Diagrams']", "topic_difficulty": "Easy", "subfield": "Color"}
    question = f"Which color has the square of {name} in <image 1>?"
    return {
        "id": name,
        "question": question,
        "options": options,
        "answer": answer,
        "question_type": kind,
        **texts,
        **images,
    }


def _mm_vet(number: int, answer: str, capability: str) -> Row:
    return {
        "question_id": f"v1_{number}",
        "image": image(),
        "question": f"What is side {number} of the square?",
        "answer": answer,
        "image_source": "drawn",
        "capability": capability,
    }


def _llava_bench(number: int, category: str) -> Row:
    return {
        "question_id": number,
        "question": f"What is shown in image {number}?",
        "caption": "A red square\non nothing.",
        "gpt_answer": "The image shows a red square.",
        "category": category,
        "image": image(),
        "image_id": "001.jpg",
    }


CHOICE, OPEN = "multiple-choice", "open"
ASKED = {
    "mme": Asked(
        {"all": _mme()},
        ["Yes", "no, it is red", "yes.", "Yes"],
        {
            "id": "existence/0000.png#0",
            "part": "existence",
            "image": "existence/0000.png",
            "question": "Is it red? Please answer yes or no.",
            "target": "yes",
        },
        125.0,  # 3 of 4 questions, 1 of 2 images
    ),
    "pope": Asked(
        {split: _pope(split) for split in ("random", "popular", "adversarial")},
        ["Yes, there is.", "No", "no", "no", "Yes", "Yes. No boat."],
        {"id": "1", "part": "random", "question": "Is there a square in the image?", "target": "yes"},
        100 * (1 + 0 + 2 / 3) / 3,
        {split: split for split in ("random", "popular", "adversarial")},
    ),
    "mmbench": Asked(
        {
            "dev": [
                *_mmbench(1, "Which color?", ["red", "blue"], "red"),
                *_mmbench(2, "What?", list("xyz"), "y"),
            ]
        },
        ["A", "B. red", "B", "A", "B"],  # the last rotation of the second is wrong
        {
            "id": "1",
            "question": "Which color?",
            "options": {"A": "red", "B": "blue"},
            "target": "A",
            "part": "color",
        },
        50.0,
        {"dev": "dev"},
    ),
    "mmmu": Asked(
        {
            "validation": [
                _mmmu("validation_Art_1", CHOICE, "['red', 'blue']", "A"),
                _mmmu("validation_Art_2", CHOICE, "['$\\\\frac{1}{2}$', \"it's 2\", '3']", "B"),
                _mmmu("validation_Math_15", OPEN, "[]", "['24/7', '3.429']"),
                _mmmu("validation_Math_16", OPEN, "[]", "[0, 1]"),
            ]
        },
        ["A", "C", "The answer is 3.43", "It is [0, 1]"],
        {"id": "validation_Art_1", "target": "A", "options": ["red", "blue"]},
        75.0,
        {"validation": "validation"},
    ),
    "mm_vet": Asked(
        {"all": [_mm_vet(0, "4<AND>cm", "ocr,math"), _mm_vet(1, "2<OR>two", "rec")]},
        ["4 cm", "two\n\nor three | 1"],
        {
            "id": "v1_0",
            "question": "What is side 0 of the square?",
            "target": "4<AND>cm",
            "labels": ["ocr", "math"],
        },
        75.0,  # the judge of the test gives 1.0 and 0.5
    ),
    "llava_bench": Asked(
        {"all": [_llava_bench(0, "conv"), _llava_bench(1, "detail")]},
        ["A square.", "Red."],
        {
            "id": "0",
            "part": "conv",
            "question": "What is shown in image 0?",
            "caption": "A red square\non nothing.",
            "target": "The image shows a red square.",
        },
        75.0,  # 8 6 of the judge of the test
        {"all": "train"},
    ),
}


def write_parquet(path: Path, rows: Sequence[Row]) -> None:
    """Rows as the Hub's viewer exports them: images are structs, and the schema says which columns are."""
    features: dict[str, dict[str, str]] = {}
    for name, value in rows[0].items():
        kind = "int64" if isinstance(value, int) else "string"
        is_image = name == "image" or name.removeprefix("image_").isdecimal()
        features[name] = {"_type": "Image"} if is_image else {"dtype": kind, "_type": "Value"}
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    types = {"Image": struct, "int64": pa.int64(), "string": pa.string()}
    schema = pa.schema([(name, types[of.get("dtype", of["_type"])]) for name, of in features.items()])
    info = json.dumps({"info": {"features": features}})
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=schema)
    pq.write_table(table.replace_schema_metadata({"huggingface": info}), path)


def local_suite(
    shipped: Mapping[str, Sequence[Any]], folder: Path, **more: object
) -> dict[str, dict[str, dict[str, object]]]:
    """The shipped suite with the data replaced by ours, for a machine without network.

    Args:
        more: further keys of each lmms-eval task.
    """
    found: dict[str, dict[str, dict[str, object]]] = {}
    for benchmark, asked in ASKED.items():
        for task in shipped[benchmark]:
            path = folder / f"{benchmark}_{task.part}.parquet"
            write_parquet(path, asked.rows[task.part])
            split = asked.splits.get(task.part, "test")
            data = {"token": None, "data_files": {split: [str(path)]}}
            changed = {
                **task.set,
                **more,
                "dataset_path": "parquet",
                "dataset_name": None,
                "dataset_kwargs": data,
            }
            found.setdefault(benchmark, {})[task.part] = {"include": task.include, "set": changed}
    return found
