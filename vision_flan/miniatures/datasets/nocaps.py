"""nocaps: ten captions per image, in COCO's format; images with their Open Images names.

`n` counts images of val; test has a tenth, without captions. `source_id` is the file name.
"""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

from vision_flan.miniatures import draw, open_images, text
from vision_flan.miniatures.miniature import Miniature

_HEAD = {"info": {"description": "nocaps (miniature)", "version": "0.1"}, "licenses": []}
#: Ten people's captions of one scene.
_WORDINGS = (
    "{}", "a photo in which {}", "in this picture, {}", "a scene where {}", "here {}", "we see that {}",
    "the moment when {}", "it looks as if {}", "a view of how {}", "somebody took a photo while {}",
)  # fmt: skip
_DOMAINS = ("in-domain", "near-domain", "out-domain")


def generate(mini: Miniature) -> None:
    listed = [mini.hex_id(16, "val", index) for index in range(mini.n)]
    open_images.authors(mini, mini, "open_images/validation-images-with-rotation.csv", "validation", listed)
    with mini.json_document("nocaps_val_4500_captions.json") as document:
        for name, value in _HEAD.items():
            document.field(name, value)
        add_image, add_caption = document.array("images"), document.array("annotations")
        for index in range(mini.n):
            record = _image(mini, "val", index)
            add_image(record)
            rng = mini.rng("captions", index)
            scene = text.clause(rng)
            clauses = [wording.format(scene) for wording in rng.sample(_WORDINGS, len(_WORDINGS))]
            mini.image(f"val/{record['file_name']}", partial(draw.caption_card, scene, (128, 96)))
            lines = []
            for place, clause in enumerate(clauses):
                written = _as_written(rng, clause)
                add_caption({"id": index * 10 + place, "image_id": index, "caption": written})
                lines.append(f"Caption {place + 1}: {clause[0].upper()}{clause[1:]}.")
            mini.truth("caption_nocaps", record["file_name"], target="\n".join(lines))
    with mini.json_array("nocaps_test_image_info.json", "images", _HEAD) as add:
        for index in range(max(mini.n // 10, 1)):
            add(_image(mini, "test", index))


def _image(mini: Miniature, split: str, index: int) -> dict[str, Any]:
    key = mini.hex_id(16, split, index)
    return {
        "license": 0,
        "open_images_id": key,
        "width": 128,
        "height": 96,
        "file_name": f"{key}.jpg",
        "id": index,
        "date_captured": "2018-11-07 11:04:37",
        "coco_url": f"https://s3.amazonaws.com/nocaps/{split}/{key}.jpg",
        "domain": _DOMAINS[index % 3],
    }


def _as_written(rng: Random, clause: str) -> str:
    """With stray spaces, in upper or lower case, with and without a period."""
    start = clause[0].upper() + clause[1:] if rng.random() < 0.6 else clause
    return rng.choice((start, f"{start}.", f" {start}.", f"{start} ", start.replace(" ", "  ", 1)))
