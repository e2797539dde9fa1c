"""Places205: images at the path of upstream's server, space-separated lists.

`n` counts train images; val gets a tenth. `source_id` is the path in the list,
`a/abbey/gsun_0003586c3eedd97457b2d729ebfe18b5.jpg`.
"""

from __future__ import annotations

from vision_flan.miniatures import draw, quirks
from vision_flan.miniatures.miniature import Miniature

#: Category, and whether it is indoors; some have a qualifier after a second slash.
_CATEGORIES = {
    "a/abbey": False,
    "a/airport_terminal": True,
    "a/apartment_building/outdoor": False,
    "d/dinette/home": True,
    "k/kitchenette": True,
    "s/sea_cliff": False,
    "u/underwater/coral_reef": False,
}
_IMAGES = "data/vision/torralba/deeplearning/images256"


def generate(mini: Miniature) -> None:
    codes = (f"'/{name}',{1 if indoor else 2}" for name, indoor in _CATEGORIES.items())
    mini.write_lines("IndoorOutdoor_places205.csv", codes)
    lists = mini.pack("trainvalsplit_places205.tar.gz")
    with mini.pack("imagesPlaces205_resize.tar.gz") as tree, lists as folder:
        for split, count in (("train", mini.n), ("val", max(mini.n // 10, 1))):
            with folder.lines(f"trainvalsplit_places205/{split}_places205.csv") as add:
                for index in range(count):
                    label = mini.rng(split, index).randrange(len(_CATEGORIES))
                    category, indoor = list(_CATEGORIES.items())[label]
                    path = f"{category}/gsun_{mini.hex_id(32, split, index)}.jpg"
                    add(f"{path} {label}")
                    card = draw.caption_card(category.replace("_", " "), (128, 128), note=str(index))
                    tree.image(f"{_IMAGES}/{path}", quirks.grayscale(card) if index % 40 == 9 else card)
                    if split == "train":
                        mini.truth("scene_places205", path, answer="indoors" if indoor else "outdoors")
