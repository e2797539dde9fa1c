"""FoodLogoDet-1500: logos on food, one Pascal VOC document per image.

`n` counts train images; val gets an eighth, test a quarter. `source_id` is the six-digit number.
"""

from __future__ import annotations

from functools import partial

from vision_flan.miniatures import draw, formats, text
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Tree

_TOP = "FoodLogoDet-1500"
_BRANDS = text.listed(
    "Del Monte;Ben & Jerry's;Nestlé;7 Up;Uncle Ben's;Häagen-Dazs;Lay's;KFC;Oreo;M&M's;illy", ";"
)
_SIZE = (160, 128)


def generate(mini: Miniature) -> None:
    ends = {"train": mini.n, "val": mini.n + max(mini.n // 8, 1)}
    ends["test"] = ends["val"] + max(mini.n // 4, 1)
    with mini.pack("FoodLogoDet-1500.zip") as tree:
        tree.write_text(f"{_TOP}/class.txt", ", ".join(map(repr, _BRANDS)))
        first = 1
        for split, end in ends.items():
            # upstream's lists may lack leading zeros
            numbers = (str(number) if number % 2 else f"{number:06d}" for number in range(first, end + 1))
            tree.write_lines(f"{_TOP}/ImageSets/Main/{split}.txt", numbers)
            for number in range(first, end + 1):
                brands = _image(mini, tree, number)
                if split == "train":
                    target = "; ".join(sorted(brands, key=str.lower))
                    mini.truth("ocr_foodlogodet1500", f"{number:06d}", target=target)
            first = end + 1


def _image(mini: Miniature, tree: Tree, number: int) -> set[str]:
    """Write image and annotation; returns the brands, one of which is often in several boxes."""
    rng, name = mini.rng(number), f"{number:06d}"
    brands = rng.sample(_BRANDS, 2 if rng.random() < 0.15 else 1)
    brands += brands[:1] * rng.randint(0, 1)
    boxes = [(8, 8 + 40 * place, 120, 32) for place in range(len(brands))]
    tree.image(
        f"{_TOP}/JPEGImages/{name}.jpg", partial(draw.objects_scene, _SIZE, zip(brands, boxes, strict=True))
    )
    objects = [
        {"name": brand, "box": (x + 1, y + 1, x + width, y + height)}
        for brand, (x, y, width, height) in zip(brands, boxes, strict=True)
    ]
    xml = formats.voc_xml(f"{name}.jpg", _SIZE, objects, folder="JPEGImages")
    tree.write_text(f"{_TOP}/Annotations/{name}.xml", xml)
    return set(brands)
