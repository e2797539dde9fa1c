"""TU-Berlin sketches: 80 drawings per class, numbered across all classes.

`n` counts sketches over a few classes. `source_id` is `<class>/<number>`, `cow/4791`.
"""

from __future__ import annotations

from vision_flan.miniatures import draw, quirks
from vision_flan.miniatures.miniature import Miniature

#: Folder, place in the alphabet (from 0), shown name, and kind; None where that is debatable.
_CLASSES = (
    ("airplane", 0, "airplane", "non-living"),
    ("alarm clock", 1, "alarm clock", "non-living"),
    ("bear (animal)", 15, "bear", "living"),
    ("cow", 59, "cow", "living"),
    ("crane (machine)", 61, "crane", "non-living"),
    ("head-phones", 105, "headphones", "non-living"),
    ("motorbike", 134, "motorcycle", "non-living"),
    ("santa claus", 178, "Santa Claus", None),
    ("tree", 232, "tree", "living"),
    ("trousers", 234, "pants", "non-living"),
    ("wine-bottle", 246, "wine bottle", "non-living"),
)


def generate(mini: Miniature) -> None:
    with mini.pack("sketches_png.zip") as tree, tree.lines("png/filelist.txt") as add:
        tree.write_bytes("__MACOSX/png/cow/._4721.png", b"\x00\x05\x16\x07")
        tree.write_bytes("png/cow/._4721.png", b"\x00\x05\x16\x07")
        for index in range(mini.n):
            folder, place, name, kind = _CLASSES[index % len(_CLASSES)]
            repeat = index // len(_CLASSES)
            # beyond upstream's 80 per class, numbers continue after its 20,000
            number = place * 80 + repeat + 1 if repeat < 80 else 20_000 + index
            key = f"{folder}/{number}"
            sheet = draw.page([name, str(number)], (160, 120))
            tree.image(f"png/{key}.png", quirks.grayscale(sheet, ".png") if index % 3 else sheet)
            add(f"{key}.png")
            mini.truth("object_sketch", key, target=name)
            if kind is None:
                mini.truth("object_sketch_living", key, dropped="neither side")
            else:
                mini.truth("object_sketch_living", key, target=kind)
