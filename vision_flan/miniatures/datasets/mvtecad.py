"""MVTec AD: flawless products in train, flawless and defective ones in test, with masks of the defects.

`n` counts images of train and test together. `source_id` is the path, `pill/test/combined/000.png`.
"""

from __future__ import annotations

from PIL import Image

from vision_flan.miniatures import draw, quirks
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Tree

#: Category and defects, each with its mention in a sentence.
_CATEGORIES: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("bottle", "a bottle", {"broken_large": "a large break", "contamination": "contamination"}),
    ("carpet", "a carpet", {"color": "a color defect", "thread": "a stray thread"}),
    ("leather", "a piece of leather", {"fold": "a fold", "poke": "a poke"}),
    ("metal_nut", "a metal nut", {"bent": "a bend", "flip": "a flip"}),
    ("pill", "a pill", {"combined": "a combination of defects", "pill_type": "a wrong pill type"}),
    ("toothbrush", "a toothbrush", {"defective": "defective bristles"}),
    ("zipper", "a zipper", {"broken_teeth": "broken teeth", "fabric_border": "a damaged fabric border"}),
)
_MONOCHROME = "zipper"


def generate(mini: Miniature) -> None:
    with mini.pack("mvtec_anomaly_detection.tar.xz") as tree:
        tree.write_text("readme.txt", "MVTec AD (miniature)\n")
        for index in range(mini.n):
            place, turn = index % len(_CATEGORIES), index // len(_CATEGORIES)
            category, mention, defects = _CATEGORIES[place]
            number = turn // 4 * 2 + turn % 4 // 3
            if turn % 4 == 0:
                path = f"{category}/train/good/{number:03d}.png"
                _image(tree, path, category, "good")
                mini.truth("object_mvtec", path, target=f"The object is {mention}.")
                continue
            condition = ["good", *defects, "good"][turn % 4 - 1]
            path = f"{category}/test/{condition}/{number:03d}.png"
            _image(tree, path, category, condition)
            if condition == "good":
                mini.truth("anomaly_mvtec", path, target="There is no anomaly.")
            else:
                mask = f"{category}/ground_truth/{condition}/{number:03d}_mask.png"
                tree.image(mask, Image.new("L", (140, 140), 255))
                mini.truth("anomaly_mvtec", path, target=f"The anomaly is {defects[condition]}.")


def _image(tree: Tree, path: str, category: str, condition: str) -> None:
    card = draw.caption_card(f"{category}: {condition}".replace("_", " "), (140, 140), note=path[-7:])
    tree.image(path, quirks.grayscale(card, ".png") if category == _MONOCHROME else card)
