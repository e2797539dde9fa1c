"""Office-31: images of three domains in class folders.

`n` counts images. `source_id` is domain, class and file, `webcam/letter_tray/frame_0001`.
"""

from __future__ import annotations

from vision_flan.miniatures import draw
from vision_flan.miniatures.miniature import Miniature

_DOMAINS = {"amazon": "Amazon", "dslr": "DSLR", "webcam": "webcam"}
_CLASSES = {
    "bike": "bicycle",
    "back_pack": "backpack",
    "desk_chair": "desk chair",
    "laptop_computer": "laptop",
    "mobile_phone": "cell phone",
    "letter_tray": "letter tray",
    "monitor": "monitor",
    "paper_notebook": "paper notebook",
    "punchers": "hole punch",
    "scissors": "scissors",
}


def generate(mini: Miniature) -> None:
    with mini.pack("domain_adaptation_images.tar.gz") as tree:
        for index in range(mini.n):
            # four of six are from amazon, as upstream
            domain = ("amazon", "dslr", "amazon", "webcam", "amazon", "amazon")[index % 6]
            folder = list(_CLASSES)[index % len(_CLASSES)]
            frame = f"frame_{index // len(_CLASSES) + 1:04d}"
            card = draw.caption_card(_CLASSES[folder], (120, 120), note=f"{domain} {index}")
            tree.image(f"{domain}/images/{folder}/{frame}.jpg", card)
            key = f"{domain}/{folder}/{frame}"
            mini.truth("object_office31", key, target=_CLASSES[folder])
            mini.truth("object_office31_domain", key, target=f"{_DOMAINS[domain]}; {_CLASSES[folder]}")
            mini.truth("style_office31", key, answer=_DOMAINS[domain])
