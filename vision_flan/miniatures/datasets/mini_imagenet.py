"""miniImageNet: lists of file names and WordNet ids; images in one folder, named by id and running number.

`n` counts test images; train and val get a fifth each, of other classes. `source_id` is the file name without
suffix, `n0193011200000001`.
"""

from __future__ import annotations

from vision_flan.miniatures import draw
from vision_flan.miniatures.miniature import Miniature

_FOLDER = "data/miniImagenet"
_TEST = {
    "n01930112": "nematode",
    "n01981276": "king crab",
    "n02116738": "African hunting dog",
    "n02443484": "black-footed ferret",
    "n03272010": "electric guitar",
    "n04418357": "theater curtain",
    "n07613480": "trifle",
}
_OTHERS = {"train": {"n01532829": "house finch", "n01558993": "robin"}, "val": {"n01855672": "goose"}}


def generate(mini: Miniature) -> None:
    few = max(mini.n // 5, 1)
    for split, classes, count in (
        *((split, classes, few) for split, classes in _OTHERS.items()),
        ("test", _TEST, mini.n),
    ):
        with mini.csv(f"{_FOLDER}/{split}.csv", ["filename", "label"]) as add:
            for index in range(count):
                wnid = list(classes)[index % len(classes)]
                # numbers with gaps, each once in its class
                stem = f"{wnid}{3 * (index // len(classes)) + mini.rng(split, index).randint(1, 3):08d}"
                add([f"{stem}.jpg", wnid])
                card = draw.caption_card(classes[wnid], (84, 84), note=stem)
                mini.image(f"{_FOLDER}/images/{stem}.jpg", card)
                if split == "test":
                    mini.truth("eval_mini_imagenet", stem, target=classes[wnid])
