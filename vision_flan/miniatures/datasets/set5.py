"""Set5: five subjects as copies hold them: seven folders of sizes, numbered names, gray bitmaps.

`n` counts pictures, of which there are 45 and no more. `source_id` is the path, `Set5/LRbicx2/bird.png`.
"""

from __future__ import annotations

from itertools import islice

from vision_flan.miniatures import draw, quirks, text
from vision_flan.miniatures.miniature import Miniature

#: Subjects in upstream's order, with the size of the original.
_SUBJECTS = {
    "baby": (512, 512),
    "bird": (288, 288),
    "butterfly": (256, 256),
    "head": (280, 280),
    "woman": (228, 344),
}
#: Names of a copy's files, and how much smaller than the original they are.
_COPIES = {
    "Set5/original/{name}.png": 1,
    "Set5/GTmod12/{name}.png": 1,
    "Set5/LRbicx2/{name}.png": 2,
    "Set5/LRbicx3/{name}.png": 3,
    "Set5/LRbicx4/{name}.png": 4,
    "Set5/LRbicx8/{name}.png": 8,
    "Set5/LRbicx16/{name}.png": 16,
    "Set5/image_SRF_2/img_{number:03d}_SRF_2_HR.png": 1,
    "Set5/gray/{name}_GT.bmp": 1,
}


def generate(mini: Miniature) -> None:
    every = ((copy, place) for copy in _COPIES for place in range(len(_SUBJECTS)))
    for copy, place in islice(every, mini.n):
        name, (width, height) = list(_SUBJECTS.items())[place]
        path = copy.format(name=name, number=place + 1)
        card = draw.caption_card(f"a {name}", (width, height), note=mini.hex_id(8, name))
        small = card.resize((width // _COPIES[copy], height // _COPIES[copy]))
        mini.image(path, quirks.grayscale(small, ".bmp") if path.endswith(".bmp") else small)
        mini.truth("object_set5", path, target=f"The subject in the image is {text.article(name)}.")
