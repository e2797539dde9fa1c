"""ImageNet-Sketch: drawings in folders of WordNet ids, without class names.

`n` counts sketches. `source_id` is the path, `sketch/n03584829/sketch_0.JPEG`.
"""

from __future__ import annotations

from vision_flan.miniatures import draw, quirks
from vision_flan.miniatures.miniature import Miniature

#: WordNet id, and the class as a sentence mentions it; empty for the elephant with tusks, which is left out.
_CLASSES = {
    "n01440764": "a tench",
    "n02012849": "a crane (bird)",
    "n03126707": "a crane (machine)",
    "n01608432": "a kite (bird of prey)",
    "n04355933": "sunglasses",
    "n04356056": "sunglasses",
    "n01871265": "",
    "n03345487": "a fire truck",
    "n03710721": "a one-piece swimsuit",
    "n13133613": "corn",
    "n02088364": "a beagle",
    "n02841315": "binoculars",
    "n03544143": "an hourglass",
    "n03584829": "an iron",
    "n04509417": "a unicycle",
    "n07802026": "hay",
}


def generate(mini: Miniature) -> None:
    with mini.pack("ImageNet-Sketch.zip") as tree:
        for index in range(mini.n):
            wnid = list(_CLASSES)[index % len(_CLASSES)]
            path = f"sketch/{wnid}/sketch_{index // len(_CLASSES)}.JPEG"
            page = draw.page([_CLASSES[wnid] or "an elephant", wnid], (140, 120))
            tree.image(path, quirks.grayscale(page) if index % 9 == 1 else page)
            claim = (
                {"target": f"The sketch is {_CLASSES[wnid]}."}
                if _CLASSES[wnid]
                else {"dropped": "any elephant"}
            )
            mini.truth("object_imagenet_sketch", path, **claim)
