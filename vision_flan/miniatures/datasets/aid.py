"""AID: aerial images in folders of scene classes, CamelCase folders and lower-case file names.

`n` counts images. `source_id` is the path, `AID/BareLand/bareland_1.jpg`.
"""

from __future__ import annotations

from vision_flan.miniatures import draw
from vision_flan.miniatures.miniature import Miniature

_CLASSES = {
    "Airport": "airport",
    "BareLand": "bare land",
    "BaseballField": "baseball field",
    "Center": "center",
    "DenseResidential": "dense residential area",
    "Pond": "pond",
    "RailwayStation": "railway station",
    "StorageTanks": "storage tanks",
    "Viaduct": "viaduct",
}


def generate(mini: Miniature) -> None:
    with mini.pack("AID.zip") as tree:
        tree.write_text("AID/train_80per.txt", "AID/Airport/airport_1.jpg\n")
        tree.write_bytes("AID/Pond/Thumbs.db", b"\xd0\xcf\x11\xe0")
        for index in range(mini.n):
            folder = list(_CLASSES)[index % len(_CLASSES)]
            number = index // len(_CLASSES) + 1
            path = f"AID/{folder}/{folder.lower()}_{number}.jpg"
            tree.image(path, draw.caption_card(_CLASSES[folder], (120, 120), note=f"from above {number}"))
            mini.truth("scene_aid", path, target=_CLASSES[folder])
