"""VisDA-2017: renderings in train, cropped photographs in validation, unsorted trunk folders in test.

`n` counts train images; validation gets half as many, test a tenth. `source_id` is the path.
"""

from __future__ import annotations

from vision_flan.miniatures import draw
from vision_flan.miniatures.miniature import Miniature

_CATEGORIES = (
    "aeroplane",
    "bicycle",
    "bus",
    "car",
    "horse",
    "knife",
    "motorcycle",
    "person",
    "plant",
    "skateboard",
    "train",
    "truck",
)


def generate(mini: Miniature) -> None:
    with mini.pack("train.tar") as tree, tree.lines("train/image_list.txt") as add:
        for index in range(mini.n):
            label = index % 12
            category = _CATEGORIES[label]
            name = f"src_{index % 6 + 1}_{index:x}-a_1__{index % 360}_349_165.png"
            add(f"{category}/{name} {label}")
            path = f"train/{category}/{name}"
            tree.image(path, draw.caption_card(category, (96, 54), note="rendered").convert("L"))
            mini.truth("object_visda2017", path, target=_shown(category))
            mini.truth("object_visda2017_multiple_choice", path, answer=_shown(category))
    with mini.pack("validation.tar") as tree, tree.lines("validation/image_list.txt") as add:
        for index in range(max(mini.n // 2, 1)):
            label = index * 5 % 12
            category = _CATEGORIES[label]
            name = f"{category}/{category}_{20872 + index}.jpg"
            add(f"{name} {label}")
            tree.image(f"validation/{name}", draw.caption_card(category, (80, 60), note="photo"))
            mini.truth("object_visda2017_validation", f"validation/{name}", answer=_shown(category))
    with mini.pack("test.tar") as tree, mini.lines("image_list.txt") as add:
        for index in range(max(mini.n // 10, 1)):
            name = f"trunk{index % 20 + 1:02d}/{mini.hex_id(32, index)}.jpg"
            add(f"{name} {index % 12}")
            tree.image(f"test/{name}", draw.caption_card(_CATEGORIES[index % 12], (80, 60)))


def _shown(category: str) -> str:
    return "airplane" if category == "aeroplane" else category
