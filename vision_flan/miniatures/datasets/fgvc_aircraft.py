"""FGVC-Aircraft: photographs with a banner below, and three levels of labels in text lists.

`n` counts train images; val and test get a quarter each. `source_id` is the image id, seven digits.
"""

from __future__ import annotations

from functools import partial

from PIL import ImageDraw

from vision_flan.miniatures import draw, text
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Drawing, Tree

_DATA = "fgvc-aircraft-2013b/data"
_LEVELS = ("manufacturer", "family", "variant")
#: Manufacturer, family, variant.
_MODELS = tuple(
    text.listed(line, ";")
    for line in text.listed(
        "Boeing;Boeing 707;707-320,Boeing;Boeing 737;737-800,Supermarine;Spitfire;Spitfire,"
        "Yakovlev;Yak-42;Yak-42,McDonnell Douglas;F/A-18;F/A-18,Dornier;Dornier 328;Dornier 328,"
        "British Aerospace;BAE 146;BAE 146-200,Lockheed Martin;F-16;F-16A/B,Airbus;A320;A320",
        ",",
    )
)
_BANNER = 20


def generate(mini: Miniature) -> None:
    few = max(mini.n // 4, 1)
    parts = {"train": (0, mini.n), "val": (mini.n, mini.n + few), "test": (mini.n + few, mini.n + 2 * few)}
    parts["trainval"] = (0, mini.n + few)
    with mini.pack("fgvc-aircraft-2013b.tar.gz") as tree:
        tree.write_text("fgvc-aircraft-2013b/README.md", "FGVC-Aircraft (miniature)\n")
        for split, (first, end) in parts.items():
            _lists(mini, tree, split, range(first, end))
        names = {"manufacturers": 0, "families": 1, "variants": 2}
        for file, level in names.items():
            tree.write_lines(f"{_DATA}/{file}.txt", sorted({model[level] for model in _MODELS}))
        everything = range(mini.n + 2 * few)
        boxes = (f"{_image_id(mini, index)} 5 9 150 {60 + index % 30}" for index in everything)
        tree.write_lines(f"{_DATA}/images_box.txt", boxes)
        for index in everything:
            tree.image(f"{_DATA}/images/{_image_id(mini, index)}.jpg", partial(_image, index))
    for index in range(mini.n + few):
        _truth(mini, index)


def _image_id(mini: Miniature, index: int) -> str:
    return f"{mini.number(index, 34_309, 9_999_999, 'image'):07d}"


def _model(index: int) -> tuple[str, ...]:
    return _MODELS[index % len(_MODELS)]


def _lists(mini: Miniature, tree: Tree, split: str, indexes: range) -> None:
    tree.write_lines(f"{_DATA}/images_{split}.txt", (_image_id(mini, index) for index in indexes))
    for level, name in enumerate(_LEVELS):
        lines = (f"{_image_id(mini, index)} {_model(index)[level]}" for index in indexes)
        tree.write_lines(f"{_DATA}/images_{name}_{split}.txt", lines)


def _image(index: int) -> Drawing:
    card = draw.caption_card(" / ".join(_model(index)), (160, 120), note=str(index))
    pen = ImageDraw.Draw(card)
    pen.rectangle((0, 120 - _BANNER, 159, 119), fill=(0, 0, 0))
    pen.text((4, 120 - _BANNER + 3), "(c) A. Photographer", (255, 255, 255), font=draw.font(10))
    return card


def _truth(mini: Miniature, index: int) -> None:
    image_id, model = _image_id(mini, index), _model(index)
    for level, name in zip(_LEVELS, model, strict=True):
        mini.truth(f"vehicle_fgvc_aircraft_{level}", image_id, target=name)
    mini.truth("vehicle_fgvc_aircraft_model", image_id, target="; ".join(model))
