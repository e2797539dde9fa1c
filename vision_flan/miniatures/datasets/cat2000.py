"""CAT2000's training set: images in folders of categories, with drawn copies in a folder below each.

`n` counts images, at most 100 per category. `source_id` is the path.
"""

from __future__ import annotations

from vision_flan.miniatures import draw
from vision_flan.miniatures.miniature import Miniature

_CATEGORIES = {
    "Action": "action",
    "BlackWhite": "black and white",
    "LineDrawing": "line drawing",
    "LowResolution": "low resolution",
    "OutdoorManMade": "outdoor man-made",
    "Random": "random",
    "Satelite": "satellite",
    "Social": "social",
}


def generate(mini: Miniature) -> None:
    with mini.pack("trainSet.zip") as tree:
        for index in range(mini.n):
            category = list(_CATEGORIES)[index % len(_CATEGORIES)]
            folder = f"trainSet/Stimuli/{category}"
            # the training set has one of two numbers, the test set the other
            number = index // len(_CATEGORIES) * 2 + 1 + index % 2
            path = f"{folder}/{number:03d}.jpg"
            card = draw.caption_card(_CATEGORIES[category], (160, 90), note=str(number))
            tree.image(path, card)
            tree.image(f"trainSet/FIXATIONMAPS/{category}/{number:03d}.jpg", card.convert("L"))
            if category == "Random":
                mini.truth("style_trainset", path, dropped="a category that nothing shows")
            else:
                mini.truth("style_trainset", path, target=_CATEGORIES[category])
            copy = f"{folder}/Output/{number:03d}_SaliencyMap.jpg"
            tree.image(copy, card)
            mini.truth("style_trainset", copy, dropped="a drawn copy")
