"""ImageNet-A: images in folders of their true class, with wrong predictions in their names.

`n` counts images. `source_id` is the path.
"""

from __future__ import annotations

from PIL import Image

from vision_flan.miniatures import draw, quirks
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Drawing

#: WordNet id: name in upstream's README, and ours.
_CLASSES = {
    "n01498041": ("stingray", "stingray"),
    "n01820546": ("lorikeet", "lorikeet"),
    "n02137549": ("mongoose", "mongoose"),
    "n02454379": ("armadillo", "armadillo"),
    "n03590841": ("jack-o'-lantern ", "jack-o'-lantern"),
    "n04399382": ("teddy_bear ", "teddy bear"),
    "n07697537": ("hotdog", "hot dog"),
}
_GUESSES = ("Rottweiler", "digital clock", "plane, carpenter's plane", "barn")


def generate(mini: Miniature) -> None:
    with mini.pack("imagenet-a.tar") as tree:
        header = ["ImageNet-A (miniature)", *("" for _ in range(11))]
        classes = (f"{wnid} {name}" for wnid, (name, _) in _CLASSES.items())
        tree.write_lines("imagenet-a/README.txt", (*header, *classes))
        for index in range(mini.n):
            wnid = list(_CLASSES)[index % len(_CLASSES)]
            first, second = _GUESSES[index % 4], _GUESSES[index % 3]
            path = f"imagenet-a/{wnid}/0.{index:06d}_{first} _ {second}_0.{mini.hex_id(4, index)}.jpg"
            name = _CLASSES[wnid][1]
            card = draw.caption_card(name, draw.some_size(mini.rng(index)), note=f"not a {second}")
            tree.image(path, _as_stored(card, index))
            mini.truth("object_imagenet_a", path, answer=name)


def _as_stored(card: Image.Image, index: int) -> Drawing:
    """Some .jpg files are PNG data or CMYK."""
    if index % 20 == 3:
        return quirks.rgba(card)
    return quirks.cmyk(card) if index % 20 == 8 else card
