"""Matches a pattern's parts in time that grows with the text alone; for texts on which `re` would backtrack.

`{a},{b},{c},{d}` on a line of 400 commas has millions of ways to fail. Here each part is looked at once per
position, from the end: a position is good if the parts from there on match. Then fields are cut off from the
start, each as long or as short as `re` would make it.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import comb

#: Ways to try a pattern up to which `re` is quick enough: a second at most.
_FEW = 2_000_000


@dataclass(frozen=True)
class Part:
    """A part of a pattern: fixed text, or a run of characters.

    Attributes:
        text: the fixed text; "" for a run.
        any_case: its letters match in either case.
        name: of the field, "" for none.
        barred: characters that the run may not hold.
        only: those that it may hold, "" for any.
        least: characters of the run.
        signed: it may start with a minus sign.
        greedy: it takes as much as possible, not as little.
    """

    text: str = ""
    any_case: bool = False
    name: str = ""
    barred: str = ""
    only: str = ""
    least: int = 0
    signed: bool = False
    greedy: bool = False


def ends_of_runs(parts: Sequence[Part]) -> list[tuple[str, int]]:
    """The fixed texts after runs, each with how often; "" where another run, or a suffix, follows."""
    after = (part for before, part in pairwise(parts) if not before.text)
    return list(Counter("" if part.any_case else part.text for part in after).items())


def short(parts: Sequence[Part]) -> int:
    """Characters of a text that is quick to match wherever the runs end."""
    runs = sum(not part.text for part in parts)
    return int(_FEW ** (1 / runs)) if runs > 1 else sys.maxsize


def is_quick(ends: Sequence[tuple[str, int]], text: str) -> bool:
    """Whether `re` tries few enough ways to match: the places where runs may end."""
    ways = 1
    for between, times in ends:
        ways *= max(1, comb(text.count(between), times))
        if ways * len(text) > _FEW:
            return len(text) * ways <= _FEW
    return True


def match(parts: Sequence[Part], text: str) -> dict[str, str] | None:
    """The fields of a text, None when it does not match; no name occurs twice."""
    good = _good(parts, text)
    if not good[0][0]:
        return None
    found: dict[str, str] = {}
    at = 0
    for part, after in zip(parts, good[1:], strict=True):
        if part.text:
            at += len(part.text)
            continue
        begin = at
        least = at + part.least + (part.signed and text.startswith("-", at))
        most = _end(part, text, at) + 1
        at = after.rfind(1, least, most) if part.greedy else after.find(1, least, most)
        if part.name:
            found[part.name] = text[begin:at]
    return found


def _good(parts: Sequence[Part], text: str) -> list[bytearray]:
    """For each part, the positions from which it and those after it match; at last, the end of the text."""
    size = len(text)
    last = bytearray(size + 1)
    last[size] = 1
    good = [last]
    for part in reversed(parts):
        good.append(_fixed(part, text, good[-1]) if part.text else _run(part, text, good[-1]))
    return good[::-1]


def _fixed(part: Part, text: str, after: bytearray) -> bytearray:
    here = bytearray(len(text) + 1)
    wanted, within = part.text, text
    if part.any_case:  # some letters are longer in lower case; no suffix has them
        wanted, within = wanted.lower(), "".join(char.lower()[:1] for char in text)
    at = within.find(wanted)
    while at >= 0:
        here[at] = after[at + len(wanted)]
        at = within.find(wanted, at + 1)
    return here


def _run(part: Part, text: str, after: bytearray) -> bytearray:
    size = len(text)
    here = bytearray(size + 1)
    none = size + 1
    nearest = [none] * (size + 3)  # the first good end from a position on
    ends = size
    plain = bytearray(size + 2)
    for at in range(size, -1, -1):
        nearest[at] = at if after[at] else nearest[at + 1]
        if at < size and not _holds(part, text[at]):
            ends = at
        plain[at] = here[at] = nearest[min(at + part.least, none)] <= ends
        if part.signed and at < size and text[at] == "-":
            here[at] = plain[at + 1]
    return here


def _holds(part: Part, char: str) -> bool:
    return char in part.only if part.only else char not in part.barred


def _end(part: Part, text: str, at: int) -> int:
    if part.signed and text.startswith("-", at):
        at += 1
    while at < len(text) and _holds(part, text[at]):
        at += 1
    return at
