"""Caltech-256: numbered class folders, a folder of clutter, a stray file and a stray folder.

`n` counts images. `source_id` is the path, `256_ObjectCategories/001.ak47/001_0001.jpg`.
"""

from __future__ import annotations

from vision_flan.miniatures import draw, quirks
from vision_flan.miniatures.miniature import Miniature

_TOP = "256_ObjectCategories"
_CLASSES = {
    "001.ak47": "AK-47",
    "002.american-flag": "American flag",
    "043.coin": "coin",
    "056.dog": "dog",
    "063.electric-guitar-101": "electric guitar",
    "145.motorbikes-101": "motorcycle",
    "198.spider": "spider",
    "232.t-shirt": "T-shirt",
    "257.clutter": "",
}


def generate(mini: Miniature) -> None:
    with mini.pack("256_ObjectCategories.tar") as tree:
        tree.write_text(f"{_TOP}/198.spider/RENAME2", "#!/bin/sh\n")
        nested = f"{_TOP}/056.dog/greg/vision309/image_0001.jpg"
        tree.image(nested, draw.caption_card("dog"))
        mini.truth("object_caltech256", nested, dropped="in a stray folder")
        for index in range(mini.n):
            folder = list(_CLASSES)[index % len(_CLASSES)]
            path = f"{_TOP}/{folder}/{folder[:3]}_{index // len(_CLASSES) + 1:04d}.jpg"
            name = _CLASSES[folder]
            card = draw.caption_card(name or "clutter", draw.some_size(mini.rng(index)), note=str(index))
            tree.image(path, quirks.grayscale(card) if index % 10 == 3 else card)
            if name:
                mini.truth("object_caltech256", path, target=name)
            else:
                mini.truth("object_caltech256", path, dropped="clutter")
