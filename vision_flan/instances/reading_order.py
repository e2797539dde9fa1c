"""Words of an image in the order a person reads them: lines from top to bottom, words from left to right.

Scene text datasets list boxes in no particular order (TextOCR, https://textvqa.org/textocr/), so the lines
are inferred from the boxes. Words are visited by x; each continues the line whose last word it overlaps most
vertically, if by at least half the height of the shorter of the two, and otherwise starts a new line.
Comparing with the last word, not with the line's mean, lets a line slope.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

#: Share of the shorter box's height that must overlap for two words to be on one line.
MIN_OVERLAP = 0.5


@dataclass
class _Line:
    """Words of one line so far, as (top, bottom, text)."""

    words: list[tuple[float, float, str]] = field(default_factory=list)

    @property
    def middle(self) -> float:
        return sum((top + bottom) / 2 for top, bottom, _ in self.words) / len(self.words)


def reading_order(texts: Sequence[str], boxes: Sequence[Sequence[float]]) -> list[str]:
    """Order words for reading.

    Args:
        texts: the words.
        boxes: one [x, y, width, height] per word, in pixels of the image as shown, origin top left.

    Returns:
        The same words; repeated ones stay.
    """
    words = sorted(
        (float(x), float(y), max(float(h), 0.0), text)
        for text, (x, y, _, h) in zip(texts, boxes, strict=True)
    )
    lines: list[_Line] = []
    for _, top, height, text in words:
        line = _line_of(lines, top, top + height)
        if line is None:
            line = _Line()
            lines.append(line)
        line.words.append((top, top + height, text))
    # the sort is stable: lines at the same height stay in the order of their first word's x
    return [text for line in sorted(lines, key=lambda line: line.middle) for _, _, text in line.words]


def _line_of(lines: list[_Line], top: float, bottom: float) -> _Line | None:
    best, most = None, 0.0
    for line in lines:
        last_top, last_bottom, _ = line.words[-1]
        overlap = min(bottom, last_bottom) - max(top, last_top)
        lower = min(bottom - top, last_bottom - last_top)
        if overlap > most and overlap >= MIN_OVERLAP * lower:
            best, most = line, overlap
    return best
