"""Places365: images in folders of categories, with numbers that restart in each, and lists of paths.

`n` counts train images; val gets a tenth. `source_id` is the path in the list without its first slash,
`a/airfield/00000001.jpg`.
"""

from __future__ import annotations

from vision_flan.miniatures import draw
from vision_flan.miniatures.miniature import Miniature

#: Category and its name in words; some have a qualifier after a second slash.
_CATEGORIES = {
    "/a/airfield": "airfield",
    "/a/airplane_cabin": "airplane cabin",
    "/a/apartment_building/outdoor": "apartment building",
    "/b/balcony/interior": "indoor balcony",
    "/c/church/indoor": "indoor church",
    "/c/church/outdoor": "outdoor church",
    "/m/movie_theater/indoor": "movie theater",
    "/k/kindergarden_classroom": "kindergarten classroom",
    "/p/plaza": "plaza",
    "/s/stadium/baseball": "baseball stadium",
    "/t/train_station/platform": "train station platform",
}


def generate(mini: Miniature) -> None:
    images = mini.pack("train_256_places365standard.tar")
    with mini.pack("filelist_places365-standard.tar") as lists, images as tree:
        indices = "\n".join(f"{category} {label}" for label, category in enumerate(_CATEGORIES))
        lists.write_text("categories_places365.txt", indices)  # no newline at the end of the file
        with lists.lines("places365_train_standard.txt") as add:
            for index in range(mini.n):
                label, number = index % len(_CATEGORIES), index // len(_CATEGORIES) + 1
                category, name = list(_CATEGORIES.items())[label]
                path = f"{category}/{number:08d}.jpg"
                add(f"{path} {label}")
                tree.image(
                    f"data_256{path}", draw.caption_card(name, (128, 128), note=f"{mini.seed} {index}")
                )
                mini.truth("scene_places365", path[1:], target=name)
        few = max(mini.n // 10, 1)
        val = (f"Places365_val_{index + 1:08d}.jpg {index % len(_CATEGORIES)}" for index in range(few))
        lists.write_lines("places365_val.txt", val)
