"""Which words of a text changed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

_WORDS = re.compile(r"\w+|\s+|[^\w\s]")
#: Compared pairs of words above which the middle of two texts counts as replaced as a whole: a second's work.
_PAIRS = 2_000_000


class Piece(NamedTuple):
    """A part of two texts: in both, only in the old one, or only in the new one."""

    kind: Literal["same", "del", "ins"]
    text: str


def changed_words(old: str, new: str) -> list[Piece]:
    """Two texts as pieces: the same and deleted ones make up the old text, the same and inserted ones the
    new.

    Time is bounded: of long texts that differ in many places, all between the first and the last difference
    is one deletion and one insertion.
    """
    before, after = _WORDS.findall(old), _WORDS.findall(new)
    start = _common(before, after)
    end = _common(before[start:][::-1], after[start:][::-1])
    middle = before[start : len(before) - end], after[start : len(after) - end]
    pieces = [Piece("same", "".join(before[:start]))]
    pieces += _compared(*middle)
    pieces.append(Piece("same", "".join(before[len(before) - end :])))
    return [piece for piece in pieces if piece.text]


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many words two lists have in common at their beginning."""
    pairs = zip(one, other, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _compared(before: list[str], after: list[str]) -> Iterator[Piece]:
    if len(before) * len(after) > _PAIRS:
        yield from (Piece("del", "".join(before)), Piece("ins", "".join(after)))
        return
    for tag, i, j, k, m in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            yield Piece("same", "".join(before[i:j]))
        else:
            yield Piece("del", "".join(before[i:j]))
            yield Piece("ins", "".join(after[k:m]))
