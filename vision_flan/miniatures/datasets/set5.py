"""Set5: five subjects as in circulating copies: seven folders of sizes, numbered names, grayscale bitmaps.

`n` counts images, at most 45. `source_id` is the path, `Set5/LRbicx2/bird.png`.
"""

from __future__ import annotations

from itertools import islice

from PIL import Image, ImageDraw

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
#: Ellipses of the subjects, (left, top, right, bottom) in parts of the image, from back to front.
_SHAPES: dict[str, tuple[tuple[str, tuple[float, float, float, float]], ...]] = {
    "baby": (("white", (0.15, 0.55, 0.85, 1.3)), ("pink", (0.25, 0.12, 0.75, 0.62))),
    "bird": (
        ("orange", (0.5, 0.32, 0.92, 0.42)),
        ("blue", (0.05, 0.45, 0.7, 0.8)),
        ("blue", (0.45, 0.2, 0.75, 0.55)),
    ),
    "butterfly": (
        ("orange", (0.05, 0.15, 0.48, 0.55)),
        ("orange", (0.52, 0.15, 0.95, 0.55)),
        ("yellow", (0.15, 0.5, 0.48, 0.85)),
        ("yellow", (0.52, 0.5, 0.85, 0.85)),
        ("black", (0.46, 0.15, 0.54, 0.85)),
    ),
    "head": (("brown", (0.05, 0.0, 0.95, 0.9)), ("pink", (0.12, 0.1, 0.88, 0.98))),
    "woman": (
        ("black", (0.28, 0.05, 0.72, 0.5)),
        ("red", (0.2, 0.42, 0.8, 1.2)),
        ("pink", (0.36, 0.1, 0.64, 0.38)),
    ),
}
#: Left eye, right eye and mouth, likewise.
_FACES = {
    "baby": ((0.36, 0.3, 0.42, 0.36), (0.58, 0.3, 0.64, 0.36), (0.45, 0.46, 0.55, 0.52)),
    "bird": ((0.6, 0.28, 0.66, 0.34),),
    "butterfly": (),
    "head": ((0.28, 0.4, 0.38, 0.5), (0.62, 0.4, 0.72, 0.5), (0.36, 0.74, 0.64, 0.82)),
    "woman": ((0.42, 0.2, 0.46, 0.24), (0.54, 0.2, 0.58, 0.24), (0.46, 0.31, 0.54, 0.33)),
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
        scene = _scene(name, (width, height), mini.hex_id(8, name))
        small = scene.resize((width // _COPIES[copy], height // _COPIES[copy]))
        mini.image(path, quirks.grayscale(small, ".bmp") if path.endswith(".bmp") else small)
        mini.truth("object_set5", path, target=f"The subject in the image is {text.article(name)}.")


def _scene(name: str, size: draw.Size, note: str) -> Image.Image:
    """The subject in a few ellipses that stay distinguishable when downsized, its name above."""
    image = draw.caption_card(f"a {name}", size, note=note)
    pen, (width, height) = ImageDraw.Draw(image), size
    eyes = [("black", box) for box in _FACES[name]]
    for color, (left, top, right, bottom) in (*_SHAPES[name], *eyes):
        edges = (left * width, 20 + top * (height - 20), right * width, 20 + bottom * (height - 20))
        pen.ellipse(edges, draw.NAMED[color])
    return image
