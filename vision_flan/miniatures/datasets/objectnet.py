"""ObjectNet: photographs with a red border in folders of classes, and a file that names the folders.

Upstream's zip has a password, so it is never read in place: the tree is always written unpacked. `n`
counts images. `source_id` is the file name without suffix, 15 hex digits.
"""

from __future__ import annotations

from PIL import ImageDraw

from vision_flan.miniatures import draw, quirks
from vision_flan.miniatures.miniature import Miniature

#: Folders and their labels; with upstream's spaces, slash and parentheses.
_LABELS = {
    "air_freshener": "Air freshener",
    "alarm_clock": "Alarm clock",
    "bench": "Bench",
    "flashlight": "Flashlight",
    "pop_can": "Pop can",
    "nail_fastener": "Nail (fastener)",
    "tie": "Tie",
    "video_camera": "Video Camera",
    "weight_exercise": "Weight (exercise)",
    "monitor": "Computer / phone monitor",
    "tv": "TV",
    "t_shirt": "T-shirt",
    "coffee_french_press": "Coffee/French press",
}
#: Names in targets that are not the label in lower case.
_SHOWN = {
    "Computer / phone monitor": "computer or phone monitor",
    "Pop can": "soda can",
    "Weight (exercise)": "exercise weight",
    "Nail (fastener)": "nail",
    "TV": "TV",
    "T-shirt": "T-shirt",
    "Coffee/French press": "French press",
}
_TOP = "objectnet-1.0"


def generate(mini: Miniature) -> None:
    mini.write_json(f"{_TOP}/mappings/folder_to_objectnet_label.json", _LABELS)
    mini.write_json(f"{_TOP}/mappings/objectnet_to_imagenet_1k.json", {"Bench": "park bench"})
    mini.write_json(f"{_TOP}/mappings/pytorch_to_imagenet_2012_id.json", {"0": 0})
    mini.write_text(f"{_TOP}/mappings/imagenet_to_label_2012_v2", "park bench\n")
    mini.write_text(f"{_TOP}/README", "ObjectNet (miniature)\n")
    for index in range(mini.n):
        folder = list(_LABELS)[index % len(_LABELS)]
        name = mini.hex_id(15, index)
        card = draw.caption_card(_LABELS[folder], (144, 108), note=name)
        border = 0, 0, card.width - 1, card.height - 1
        ImageDraw.Draw(card).rectangle(border, outline=(255, 0, 0), width=2 if index % 3 else 1)
        path = f"{_TOP}/images/{folder}/{name}.png"
        mini.image(path, quirks.rgba(card) if index % 20 == 9 else card)
        mini.truth("object_objectnet", name, target=_SHOWN.get(_LABELS[folder], _LABELS[folder].lower()))
