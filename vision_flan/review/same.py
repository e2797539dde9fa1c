"""When two instances with one image are the same, by what they ask and answer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
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
        target = row.get("target", "")
        answer = next((one for one in options if target[4:] == one and target[:1] == "("), target)
        later = [text for turn in (row.get(TURNS) or ())[1:] for text in turn.values()]
        text = "\0".join((row["instruction"], row["input"], *options, answer, *later))
        yield hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8]
