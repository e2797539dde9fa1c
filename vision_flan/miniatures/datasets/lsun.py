"""LSUN: an LMDB for each category and split, keys of 40 hex digits, values of WebP, some of JPEG.

An LMDB is never read inside an archive, so the databases are always written unpacked. `n` counts train
images; val gets one per category. `source_id` is category and key, `bedroom/f0b3...`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vision_flan.miniatures import draw, formats
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import encode

#: Folder of a category, and its shown name, in the order of category_indices.txt.
_CATEGORIES = {
    "bedroom": "bedroom",
    "bridge": "bridge",
    "church_outdoor": "church (outdoors)",
    "classroom": "classroom",
    "conference_room": "conference room",
    "dining_room": "dining room",
    "kitchen": "kitchen",
    "living_room": "living room",
    "restaurant": "restaurant",
    "tower": "tower",
}


def generate(mini: Miniature) -> None:
    indices = (f"{category} {place}" for place, category in enumerate(_CATEGORIES))
    mini.write_lines("category_indices.txt", indices)
    for place, category in enumerate(_CATEGORIES):
        for split, numbers in (("train", range(place, mini.n, len(_CATEGORIES))), ("val", range(1))):
            folder = mini.path(f"{category}_{split}_lmdb/data.mdb").parent
            formats.lmdb(folder, _records(mini, category, split, numbers))


def _records(
    mini: Miniature, category: str, split: str, numbers: Iterable[int]
) -> Iterator[tuple[bytes, bytes]]:
    for index in numbers:
        key = mini.hex_id(32, category, split, index) + mini.hex_id(8, "tail", category, split, index)
        if split == "train":
            mini.truth("scene_lsun", f"{category}/{key}", answer=_CATEGORIES[category])
        value = b""
        if mini.images:
            card = draw.caption_card(_CATEGORIES[category], (320, 256), note=key)
            value = encode(card, ".jpg" if index % 7 == 3 else ".webp")
        yield key.encode(), value
