"""Winoground: two captions of the same words and two images per example; the images in a zip.

`n` counts instances, two per example. `source_id` is "<id>+image_0" or "<id>+image_1".
"""

from __future__ import annotations

from functools import partial

from vision_flan.miniatures import draw, quirks
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Drawing

#: Relations that make sense for two things in either order.
_CAPTIONS = (
    ("{} chases {}", "a cat", "a dog"),
    ("{} stands behind {}", "the old man", "the child"),
    ("{} lies on {}", "a red book", "a blue plate"),
    ("there is {} in {}", "a boat", "some water"),
    ("{} is larger than {}", "the horse", "the cow"),
    ("{} carries {}", "the father", "the son"),
)


def generate(mini: Miniature) -> None:
    with (
        mini.json_lines("data/examples.jsonl") as add,
        mini.pack("data/images.zip", into="data/images") as tree,
    ):
        for index in range(max(mini.n // 2, 1)):
            rng = mini.rng(index)
            relation, one, other = rng.choice(_CAPTIONS)
            captions = [relation.format(one, other), relation.format(other, one)]
            record = {"id": index, "tag": "Noun", "secondary_tag": "", "num_main_preds": 1}
            record |= {"collapsed_tag": ("Object", "Relation", "Both")[index % 3]}
            for side, caption in enumerate(captions):
                name = f"ex_{index}_img_{side}"
                record |= {f"caption_{side}": caption, f"image_{side}": name}
                tree.image(f"{name}.png", partial(_image, caption, index))
                mini.truth("matching_winoground", f"{index}+image_{side}", answer=caption)
            add(record)


def _image(caption: str, index: int) -> Drawing:
    card = draw.caption_card(caption, (140, 100), note=str(index))
    if index % 5 == 2:
        return quirks.grayscale(card)  # JPEG data in a file named .png
    return quirks.rgba(card) if index % 5 == 3 else quirks.palette(card) if index % 5 == 4 else card
