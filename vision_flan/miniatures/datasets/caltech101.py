"""Caltech-101: folders of classes in a tar.gz inside a zip; with a folder of clutter.

`n` counts images over all classes. `source_id` is `<class>/image_NNNN`.
"""

from __future__ import annotations

from vision_flan.miniatures import draw, quirks
from vision_flan.miniatures.miniature import Miniature

_CLUTTER = "BACKGROUND_Google"
#: Folder, shown name, and whether it is a living kind; None where that is debatable.
_CLASSES = (
    ("accordion", "accordion", False),
    ("Faces_easy", "face", True),
    ("garfield", "Garfield", None),
    (_CLUTTER, "", None),
    ("water_lilly", "water lily", True),
    ("Motorbikes", "motorcycle", False),
    ("cougar_face", "cougar face", True),
    ("windsor_chair", "Windsor chair", False),
)


def generate(mini: Miniature) -> None:
    with mini.pack("caltech-101/101_ObjectCategories.tar.gz") as tree:
        tree.write_bytes(f"101_ObjectCategories/{_CLUTTER}/tmp", b"not a picture")
        for index in range(mini.n):
            folder, name, living = _CLASSES[index % len(_CLASSES)]
            key = f"{folder}/image_{index // len(_CLASSES) + 1:04d}"
            size = draw.some_size(mini.rng(index))
            card = draw.caption_card(name or "anything", size, note=str(index))
            path = f"101_ObjectCategories/{key}.jpg"
            tree.image(path, quirks.grayscale(card) if index % 11 == 5 else card)
            if folder == _CLUTTER:
                mini.truth("object_caltech101", key, dropped="clutter")
            else:
                mini.truth("object_caltech101", key, target=name)
            if living is None:
                mini.truth("object_caltech101_living", key, dropped="neither side")
            else:
                mini.truth("object_caltech101_living", key, target="yes" if living else "no")
