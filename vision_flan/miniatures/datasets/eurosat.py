"""EuroSAT: satellite tiles of 64 x 64 pixels in class folders.

`n` counts tiles. `source_id` is the file's stem, `SeaLake_3000`.
"""

from __future__ import annotations

from vision_flan.miniatures import draw
from vision_flan.miniatures.miniature import Miniature

_CLASSES = {
    "AnnualCrop": "annual crops",
    "Forest": "forest",
    "HerbaceousVegetation": "herbaceous vegetation",
    "Highway": "highway",
    "Industrial": "industrial buildings",
    "Pasture": "pasture",
    "PermanentCrop": "permanent crops",
    "Residential": "residential buildings",
    "River": "river",
    "SeaLake": "sea or lake",
}
_TASKS = {
    "scene_eurosat_land": tuple(_CLASSES),
    "scene_eurosat_crops": ("AnnualCrop", "PermanentCrop"),
    "scene_eurosat_water": ("River", "SeaLake"),
    "scene_eurosat_manmade": ("Highway", "Industrial", "Residential"),
    "scene_eurosat_natural": ("Forest", "HerbaceousVegetation", "River", "SeaLake"),
    "scene_eurosat_agri": ("AnnualCrop", "PermanentCrop", "Pasture"),
}


def generate(mini: Miniature) -> None:
    with mini.pack("EuroSAT.zip") as tree:
        for index in range(mini.n):
            folder = list(_CLASSES)[index % len(_CLASSES)]
            name = f"{folder}_{index // len(_CLASSES) + 1}"
            tree.image(f"2750/{folder}/{name}.jpg", draw.caption_card(_CLASSES[folder], (64, 64), note=name))
            for task, classes in _TASKS.items():
                if folder in classes:
                    mini.truth(task, name, answer=_CLASSES[folder])
