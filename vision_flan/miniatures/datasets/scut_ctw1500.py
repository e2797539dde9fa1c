"""SCUT-CTW1500: lines of text with polygons, XML for train, one text list per image for test.

`n` counts train images; test gets a half. `source_id` is the file name without suffix, `0001`.
"""

from __future__ import annotations

from itertools import chain
from random import Random
from xml.sax.saxutils import escape

from vision_flan.miniatures import draw, text
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Drawing

_IGNORED = "###"
_TEXTS = text.listed(
    "OLATHE;FIRE & RESCUE;Coffee, Tea;Latin 9;BEST <1> SHOP;STARBUCKS COFFEE;Café Müller;EST. 1987;"
    "###;24h;Hotel",
    ";",
)
#: Horizontal gap between texts at the same height, in pixels: much wider than between words of one line.
_GAP = 70
Line = tuple[str, draw.Box]


def generate(mini: Miniature) -> None:
    with (
        mini.pack("ctw1500_train_images.zip") as images,
        mini.pack("ctw1500_train_labels.zip") as labels,
    ):
        for index in range(mini.n):
            rng, name = mini.rng("train", index), f"{index + 1:04d}"
            size, lines = _scene(rng)
            images.image(f"train_images/{name}.jpg", _draw(size, lines, rng))
            boxes = "\n".join(_box(line) for line in rng.sample(lines, len(lines)))
            xml = f'<Annotations>\n<image file="{name}.jpg">\n{boxes}\n</image>\n</Annotations>\n'
            labels.write_text(f"ctw1500_train_labels/{name}.xml", xml)
            _truth(mini, name, [shown for shown, _ in lines if shown != _IGNORED])
    with (
        mini.pack("ctw1500_test_images.zip") as images,
        mini.archive("ctw1500_test_labels.zip") as labels,
    ):
        for index in range(max(mini.n // 2, 1)):
            rng, name = mini.rng("test", index), str(mini.n + index + 1).zfill(4)
            size, lines = _scene(rng)
            images.image(f"test_images/{name}.jpg", _draw(size, lines, rng))
            rows = (f"{_polygon(box)},####{shown}" for shown, box in lines)
            labels.write_lines(f"000{name}.txt", rows, "utf-8-sig" if index % 2 else "utf-8")


def _scene(rng: Random) -> tuple[draw.Size, list[Line]]:
    lines = [rng.choices(_TEXTS, k=rng.randint(1, 2)) for _ in range(rng.randint(1, 4))]
    if rng.random() < 0.1:
        lines = [[_IGNORED]]
    (width, height), boxes = draw.lines_of_words(lines, rng, illegible=_IGNORED)
    apart = [
        (x + _GAP * place, y, wide, high) for row in boxes for place, (x, y, wide, high) in enumerate(row)
    ]
    return (width + _GAP, height), list(zip(chain(*lines), apart, strict=True))


def _draw(size: draw.Size, lines: list[Line], rng: Random) -> Drawing:
    return draw.word_scene(size, lines, rng, illegible=_IGNORED)


def _polygon(box: draw.Box) -> str:
    """Fourteen corners: seven along the top edge, seven back along the bottom."""
    x, y, width, height = box
    along = [x + width * step // 6 for step in range(7)]
    corners = [(edge, y) for edge in along] + [(edge, y + height) for edge in reversed(along)]
    return ",".join(f"{left},{top}" for left, top in corners)


def _box(line: Line) -> str:
    shown, box = line
    x, y, width, height = box
    step = max(width // max(len(shown), 1), 1)
    points = "\n".join(f'<pts x="{x + place * step}" y="{y}" />' for place in range(len(shown)))
    return (
        f'<box height="{height}" left="{x}" top="{y}" width="{width}">\n<label>{escape(shown)}</label>\n'
        f"<segs>{_polygon(box)}</segs>\n{points}\n</box>"
    )


def _truth(mini: Miniature, name: str, texts: list[str]) -> None:
    if texts:
        mini.truth("ocr_scut_ctw1500", name, target="; ".join(texts))
    else:
        mini.truth("ocr_scut_ctw1500", name, dropped="no transcribed line")
