"""Yahoo: images in one flat folder, named by class and number, and a list of objects with attributes.

`n` counts images. `source_id` is the file name without suffix, `building_759`.
"""

from __future__ import annotations

from vision_flan.miniatures import draw, text
from vision_flan.miniatures.miniature import Miniature

_CLASSES = text.listed("bag building carriage centaur donkey goat jetski monkey mug statue wolf zebra")


def generate(mini: Miniature) -> None:
    with (
        mini.pack("ayahoo_test_images.tar.gz") as images,
        mini.pack("attribute_data.tar.gz") as lists,
        lists.lines("attribute_data/ayahoo_test.txt") as add,
    ):
        for index in range(mini.n):
            rng = mini.rng(index)
            kind = _CLASSES[index % len(_CLASSES)]
            stem = f"{kind}_{3 * (index // len(_CLASSES)) + rng.randint(1, 3)}"  # numbers with gaps
            for _ in range(2 if index % 5 == 0 else 1):
                attributes = " ".join(str(rng.randrange(2)) for _ in range(64))
                add(f"{stem}.jpg {kind} 5 5 90 80 {attributes}")
            shown = "jet ski" if kind == "jetski" else kind
            images.image(f"ayahoo_test_images/{stem}.jpg", draw.caption_card(shown, (120, 90), note=stem))
            mini.truth("object_yahoo", stem, target=shown)
