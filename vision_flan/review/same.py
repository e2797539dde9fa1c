"""When two instances with one image are the same, by what they ask and answer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from enum import StrEnum

import pyarrow as pa

from vision_flan.columns import OPTIONS, TURNS


class Same(StrEnum):
    """What two instances with one image must share besides, so that one of them goes."""

    IMAGE = "image"
    QUESTION = "question"
    ANSWER = "answer"


def text_columns(same: Same) -> tuple[str, ...]:
    """The columns that decide whether two instances ask and answer the same."""
    question = ("instruction", "input", OPTIONS)
    return {Same.IMAGE: (), Same.QUESTION: question, Same.ANSWER: (*question, "target", TURNS)}[same]


def signatures(batch: pa.RecordBatch, same: Same) -> Iterator[bytes]:
    """What each row asks and answers, in eight bytes; not in which order options stand, nor their letters."""
    if same is Same.IMAGE:
        yield from [b""] * batch.num_rows
        return
    columns = [name for name in text_columns(same) if name in batch.schema.names]
    for row in batch.select(columns).to_pylist():
        options = sorted(row[OPTIONS] or ())
        answer = without_letter(row.get("target", ""), options)
        later = [text for turn in (row.get(TURNS) or ())[1:] for text in turn.values()]
        text = "\0".join((row["instruction"], row["input"], *options, answer, *later))
        yield hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8]


def questions(batch: pa.RecordBatch) -> Iterator[bytes]:
    """What each row asks, whatever options it offers, in eight bytes."""
    for row in batch.select(["instruction", "input"]).to_pylist():
        text = f"{row['instruction']}\0{row['input']}"
        yield hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8]


def answers(batch: pa.RecordBatch) -> list[str]:
    """The target of each row, without the letter of its option."""
    rows = batch.select(["target", OPTIONS]).to_pylist()
    return [without_letter(row["target"], row[OPTIONS] or ()) for row in rows]


def without_letter(target: str, options: Sequence[str]) -> str:
    """`dog` for `(B) dog`, if it is one of the options."""
    return target[4:] if target[:1] == "(" and target[2:4] == ") " and target[4:] in options else target
