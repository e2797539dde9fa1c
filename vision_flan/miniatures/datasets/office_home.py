"""Office-Home: images of four domains in class folders, one domain with a space in its name.

`n` counts images. `source_id` is domain, class and number, `Real World/Alarm_Clock/00001`.
"""

from __future__ import annotations

from vision_flan.miniatures import draw
from vision_flan.miniatures.miniature import Miniature

_TOP = "OfficeHomeDataset_10072016"
_DOMAINS = ("Art", "Clipart", "Product", "Real World")
_CLASSES = {
    "Alarm_Clock": "alarm clock",
    "Bike": "bicycle",
    "Flipflops": "flip-flops",
    "Postit_Notes": "Post-it notes",
    "Shelf": "shelf",
    "TV": "TV",
    "ToothBrush": "toothbrush",
    "Trash_Can": "trash can",
}


def generate(mini: Miniature) -> None:
    with mini.pack("OfficeHomeDataset_10072016.zip") as tree, tree.lines(f"{_TOP}/imagelist.txt") as add:
        for index in range(mini.n):
            domain = _DOMAINS[index % 4]
            folder = list(_CLASSES)[index % len(_CLASSES)]
            key = f"{domain}/{folder}/{index // len(_CLASSES) + 1:05d}"
            card = draw.caption_card(_CLASSES[folder], (110, 90), note=f"{domain} {index}")
            tree.image(f"{_TOP}/{key}.jpg", card)
            add(f"{key}.jpg 110 90")
            mini.truth("object_office_home", key, target=_CLASSES[folder])
