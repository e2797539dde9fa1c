"""Total-Text: words with polygons, a MATLAB 5 cell array and a text file for each image.

`n` counts train images; test gets a quarter. `source_id` is `img11`; numbers continue across both splits.
"""

from __future__ import annotations

from itertools import chain
from random import Random

import numpy as np

from vision_flan.miniatures import draw, formats, text
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Tree

_ILLEGIBLE = "#"
Words = list[tuple[str, draw.Box]]


def generate(mini: Miniature) -> None:
    with mini.pack("totaltext.zip") as images, mini.pack("txt_format.zip") as texts:
        for index in range(mini.n + max(mini.n // 4, 1)):
            split, rng = ("Test" if index % 5 == 4 else "Train"), mini.rng(index)
            name = f"img{index + 1}"
            lines = [
                [text.sign_word(rng) if rng.random() < 0.85 else _ILLEGIBLE for _ in range(rng.randint(1, 3))]
                for _ in range(rng.randint(1, 4))
            ]
            if index % 13 == 3:
                lines = [[_ILLEGIBLE]]
            size, boxes = draw.lines_of_words(lines, rng, illegible=_ILLEGIBLE)
            words = list(zip(chain(*lines), chain(*boxes), strict=True))
            suffix = ".JPG" if index % 9 == 2 else ".jpg"
            scene = draw.word_scene(size, words, rng, illegible=_ILLEGIBLE)
            images.image(f"Images/{split}/{name}{suffix}", scene)
            _write(mini, texts, f"{split}/poly_gt_{name}", rng.sample(words, len(words)), rng)
            if split == "Train":
                _truth(mini, name, [word for word, _ in words if word != _ILLEGIBLE])


def _write(mini: Miniature, texts: Tree, path: str, words: Words, rng: Random) -> None:
    """The annotation as cells of six, and as text in the notation of Python 2."""
    cells = np.empty((len(words), 6), dtype=object)
    lines = []
    for place, (word, (x, y, width, height)) in enumerate(words):
        xs, ys = [x, x + width, x + width, x], [y, y, y + height, y + height]
        if place % 3 == 1:  # text on a curve has more corners
            xs.insert(1, x + width // 2)
            ys.insert(1, y)
        ornt = _ILLEGIBLE if word == _ILLEGIBLE else rng.choice("chm")
        # some illegible words are an empty array instead
        shown = np.zeros((0, 0)) if word == _ILLEGIBLE and place % 2 else word
        corners = [np.array([edges], dtype=np.int16) for edges in (xs, ys)]
        cells[place] = ["x:", corners[0], "y:", corners[1], shown, ornt]
        numbers = [" ".join(map(str, edges)) for edges in (xs, ys)]
        lines.append(f"x: [[{numbers[0]}]], y: [[{numbers[1]}]],")
        lines.append(f"ornt: [u'{ornt}'], transcriptions: [u{word!r}]")
    mini.write_bytes(f"Groundtruth/Polygon/{path}.mat", formats.mat5({"polygt": cells}))
    texts.write_lines(f"txt_format/{path}.txt", lines)


def _truth(mini: Miniature, name: str, words: list[str]) -> None:
    if words:
        mini.truth("ocr_total_text", name, target="; ".join(words))
    else:
        mini.truth("ocr_total_text", name, dropped="no legible word")
