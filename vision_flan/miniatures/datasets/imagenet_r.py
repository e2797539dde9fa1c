"""ImageNet-R: renditions of 200 classes in folders of WordNet ids, the style in the file name.

`n` counts images. `source_id` is the path, `imagenet-r/n01484850/tattoo_9.jpg`.
"""

from __future__ import annotations

from vision_flan.miniatures import draw, quirks
from vision_flan.miniatures.miniature import Miniature

#: WordNet id: name in upstream's README, and ours.
_CLASSES = {
    "n01443537": ("goldfish", "goldfish"),
    "n01484850": ("great_white_shark", "great white shark"),
    "n02106662": ("german_shepherd_dog", "German shepherd"),
    "n02134084": ("ice_bear", "polar bear"),
    "n03481172": ("hammer", "hammer"),
    "n07697537": ("hotdog", "hot dog"),
    "n07753592": ("banana", "banana"),
}
#: Prefix of the file name, and the style's name.
_STYLES = {
    "art": "art",
    "deviantart": "DeviantArt",
    "misc": "miscellaneous",
    "origami": "origami",
    "sketch": "sketch",
    "tattoo": "tattoo",
    "videogame": "video game",
    "toy": "toy",
}


def generate(mini: Miniature) -> None:
    with mini.pack("imagenet-r.tar") as tree:
        header = ("ImageNet-R (miniature)", "", "The classes are:", "")
        classes = (f"{wnid} {name}" for wnid, (name, _) in _CLASSES.items())
        tree.write_lines("imagenet-r/README.txt", (*header, *classes))
        for index in range(mini.n):
            wnid = list(_CLASSES)[index % len(_CLASSES)]
            style = list(_STYLES)[index % len(_STYLES)]
            path = f"imagenet-r/{wnid}/{style}_{index // 56}.jpg"
            name = _CLASSES[wnid][1]
            card = draw.caption_card(name, draw.some_size(mini.rng(index)), note=_STYLES[style])
            tree.image(path, quirks.palette(card) if index % 25 == 6 else card)
            mini.truth("object_imagenet_r", path, target=name)
            mini.truth("style_imagenet_r", path, target=_STYLES[style])
