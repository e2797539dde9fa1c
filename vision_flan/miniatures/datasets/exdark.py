"""ExDark: dark photographs in class folders, with boxes and a list of classes beside them.

`n` counts images over all splits. `source_id` is `<class>/<stem>`, `Bicycle/2015_00001`.
"""

from __future__ import annotations

from PIL import ImageEnhance

from vision_flan.miniatures import draw, text
from vision_flan.miniatures.miniature import Miniature

_CLASSES = text.listed("Bicycle Boat Bottle Bus Car Cat Chair Cup Dog Motorbike People Table")
_SUFFIXES = (".jpg", ".png", ".JPEG", ".JPG", ".jpeg")


def generate(mini: Miniature) -> None:
    with (
        mini.pack("ExDark.zip") as tree,
        mini.pack("ExDark_Annno.zip") as boxes,
        mini.lines("imageclasslist.txt") as add,
    ):
        add("Name | Class | Light | In/Out | Train/Val/Test")
        for index in range(mini.n):
            number = index % len(_CLASSES)
            folder, key = _CLASSES[number], f"{_CLASSES[number]}/2015_{index + 1:05d}"
            suffix = _SUFFIXES[index % len(_SUFFIXES)]
            noun = {"People": "person", "Motorbike": "motorcycle"}.get(folder, folder.lower())
            card = draw.caption_card(noun, (120, 90), note=str(index))
            tree.image(f"ExDark/{key}{suffix}", ImageEnhance.Brightness(card).enhance(0.6))
            box = f"{folder} 4 3 60 20 0 0 0 0 0 0 0"
            boxes.write_lines(f"ExDark_Annno/{key}{suffix}.txt", ("% bbGt version=3", box))
            # the list is lower case; file names need not be
            name = key.partition("/")[2] + suffix.lower()
            add(f"{name} {number + 1} {index % 10 + 1} {index % 2 + 1} {index % 3 + 1}")
            if index % 3 == 2:
                mini.truth("object_exdark", key, dropped="an image of test")
            else:
                mini.truth("object_exdark", key, target=f"The object is a {noun}.")
