"""Words of an image in the order a person reads them: lines from top to bottom, words from left to right.

Upstreams of scene text give boxes in no order (TextOCR, https://textvqa.org/textocr/), so lines are found
from the boxes: going through the words by x, a word continues the line whose last word it overlaps most in
height, if by at least half of the lower of the two; else it begins a line. Following the last word, not the
line's mean, lets a line climb or fall.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

#: Share of the lower box that must overlap in height for two words to stand in one line.
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
        boxes: one [x, y, width, height] a word, pixels, origin top left.

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
    # sorting is stable: lines of one height stay in the order of their first word's x
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
