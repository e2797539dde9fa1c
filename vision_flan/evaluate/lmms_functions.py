"""Functions of our lmms-eval tasks; copied beside them, as lmms-eval's environment need not have us."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol


class _Image(Protocol):
    def convert(self, mode: str) -> _Image: ...


def images(doc: Mapping[str, _Image | None]) -> list[_Image]:
    """The image of a compiled row, if it has one."""
    image = doc["image"]
    return [] if image is None else [image.convert("RGB")]


def prompt(doc: Mapping[str, str], lmms_eval_specific_kwargs: object = None) -> str:
    """The prompt of a compiled row."""
    return doc["prompt"]


def answer(doc: Mapping[str, object], results: Sequence[str]) -> dict[str, object]:
    """The question's fields, which lmms-eval does not log; images are left out, and nothing is scored."""
    return {
        "vflan_answer": {key: plain for key, value in doc.items() if (plain := _plain(value)) is not None}
    }


def _plain(value: object) -> object:
    if isinstance(value, float) and math.isnan(value):  # an empty cell of a table
        return None
    if isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, list):
        parts = [_plain(part) for part in value]
        return None if any(part is None for part in parts) else parts
    return None


def count(values: Sequence[object]) -> int:
    """How many were answered."""
    return len(values)
