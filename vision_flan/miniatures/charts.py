"""Charts of labeled, positive values; each value is written beside its mark."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PIL import Image, ImageDraw

from vision_flan.miniatures import draw
from vision_flan.miniatures.draw import Color, Size

#: Colors of marks, in order; their names are keys of `draw.NAMED`.
PALETTE = ("blue", "orange", "green", "red", "purple", "brown", "pink", "gray", "cyan", "yellow")

_Mark = tuple[str, float, Color]
_LEFT, _TOP, _BELOW = 16, 16, 24


def chart(
    kind: str,
    values: Sequence[tuple[str, float]],
    size: Size = (160, 120),
    *,
    title: str = "",
    colors: Sequence[str] = PALETTE,
) -> Image.Image:
    """A chart of kind `bar`, `hbar`, `line` or `pie`; `colors` are names, used in turn."""
    image = draw.blank(size)
    pen = ImageDraw.Draw(image)
    draw.write(pen, (4, 1), title, (0, 0, 0), 9)
    marks = [
        (label, value, draw.NAMED[colors[place % len(colors)]]) for place, (label, value) in enumerate(values)
    ]
    _KINDS[kind](pen, marks, size)
    return image


def _axes(pen: ImageDraw.ImageDraw, size: Size) -> tuple[int, int]:
    """Draw both axes; returns width and height between them."""
    right, bottom = size[0] - 6, size[1] - _BELOW
    pen.line((_LEFT, _TOP, _LEFT, bottom, right, bottom), (0, 0, 0))
    return right - _LEFT, bottom - _TOP - 10


def _bars(pen: ImageDraw.ImageDraw, marks: Sequence[_Mark], size: Size, *, joined: bool = False) -> None:
    width, height = _axes(pen, size)
    bottom = size[1] - _BELOW
    step = width / len(marks)
    most = max(value for _, value, _ in marks) or 1
    points = []
    for place, (label, value, color) in enumerate(marks):
        x, y = _LEFT + (place + 0.5) * step, bottom - height * value / most
        points.append((x, y))
        if not joined:
            pen.rectangle((x - step * 0.35, y, x + step * 0.35, bottom), color)
        draw.write(pen, (x - step * 0.3, y - 11), f"{value:g}", (0, 0, 0), 9)
        draw.write(pen, (x - step * 0.4, bottom + 2 + place % 2 * 10), label, (0, 0, 0), 9)
    if joined:
        pen.line(points, marks[0][2], 2)


def _line(pen: ImageDraw.ImageDraw, marks: Sequence[_Mark], size: Size) -> None:
    _bars(pen, marks, size, joined=True)


def _lying_bars(pen: ImageDraw.ImageDraw, marks: Sequence[_Mark], size: Size) -> None:
    width, height = _axes(pen, size)
    step = height / len(marks)
    most = max(value for _, value, _ in marks) or 1
    for place, (label, value, color) in enumerate(marks):
        y = _TOP + place * step
        pen.rectangle((_LEFT, y + 2, _LEFT + width * value / most, y + step - 2), color)
        words = f"{label} {value:g}"
        # on a white patch: black on a dark bar is illegible
        pen.rectangle((_LEFT + 2, y + 4, _LEFT + 5 + draw.font(9).getlength(words), y + 15), (255, 255, 255))
        draw.write(pen, (_LEFT + 4, y + 4), words, (0, 0, 0), 9)


def _pie(pen: ImageDraw.ImageDraw, marks: Sequence[_Mark], size: Size) -> None:
    total = sum(value for _, value, _ in marks) or 1
    side = min(size) - _BELOW
    angle = -90.0
    for place, (label, value, color) in enumerate(marks):
        until = angle + 360 * value / total
        pen.pieslice((4, _TOP, 4 + side, _TOP + side), angle, until, color, (255, 255, 255))
        draw.write(pen, (side + 8, _TOP + 10 * place), f"{label} {value:g}", color, 9)
        angle = until


_KINDS: dict[str, Callable[[ImageDraw.ImageDraw, Sequence[_Mark], Size], None]] = {
    "bar": _bars,
    "hbar": _lying_bars,
    "line": _line,
    "pie": _pie,
}
