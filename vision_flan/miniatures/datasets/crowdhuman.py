"""CrowdHuman: people in crowds, as JSON lines with a suffix of upstream's own.

`n` counts train images; val gets a quarter, test an eighth without annotation. `source_id` is the ID, which
holds a comma.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from random import Random

from vision_flan.miniatures import draw
from vision_flan.miniatures.miniature import Miniature

_SIZE = (160, 96)


def generate(mini: Miniature) -> None:
    archives = [f"CrowdHuman_train{part:02d}.zip" for part in (1, 2, 3)]
    _split(mini, "train", mini.n, archives)
    _split(mini, "val", max(mini.n // 4, 1), ["CrowdHuman_val.zip"])
    with mini.pack("CrowdHuman_test.zip") as tree:
        for index in range(max(mini.n // 8, 1)):
            image_id = _image_id(mini, "test", index)
            tree.image(f"Images/{image_id}.jpg", partial(draw.caption_card, "test", _SIZE, note=image_id))


def _split(mini: Miniature, split: str, count: int, archives: list[str]) -> None:
    with ExitStack() as stack:
        trees = [stack.enter_context(mini.pack(name)) for name in archives]
        add = stack.enter_context(mini.json_lines(f"annotation_{split}.odgt"))
        for index in range(count):
            rng, image_id = mini.rng(split, index), _image_id(mini, split, index)
            people, passed = rng.randint(1, 40), rng.randint(0, 2)
            masked = rng.random() < 0.25
            boxes = [_person(rng, place) for place in range(people)]
            boxes += [_person(rng, people + place, ignore=1) for place in range(passed)]
            if masked:
                boxes.insert(0, {"tag": "mask", **_boxes(rng), "extra": {"ignore": 1}, "head_attr": {}})
            add({"ID": image_id, "gtboxes": boxes})
            marks = [("person", (place % 10 * 16, place // 10 * 24, 8, 20)) for place in range(people)]
            card = partial(draw.objects_scene, _SIZE, marks)
            trees[index % len(trees)].image(f"Images/{image_id}.jpg", card)
            if split == "train" and masked:
                mini.truth("human_crowdhuman_count", image_id, dropped="a mask hides people")
            elif split == "train":
                mini.truth("human_crowdhuman_count", image_id, target=str(people))


def _image_id(mini: Miniature, split: str, index: int) -> str:
    return f"{mini.rng(split, index, 'id').randint(273_000, 284_999)},{mini.hex_id(16, split, index)}"


def _boxes(rng: Random) -> dict[str, list[int]]:
    """Boxes: full body, which may extend beyond the image; visible part; head."""
    x, y = rng.randint(-10, 120), rng.randint(-5, 60)
    return {"fbox": [x, y, 30, 90], "vbox": [max(x, 0), max(y, 0), 20, 30], "hbox": [x + 8, y, 10, 10]}


def _person(rng: Random, place: int, ignore: int = 0) -> dict[str, object]:
    extra = {"box_id": place, "occ": rng.randint(0, 1)}
    if ignore or place % 3 == 0:
        extra["ignore"] = ignore
    head = {"ignore": 0, "occ": 0, "unsure": 0} if place % 5 else {}
    return {"tag": "person", **_boxes(rng), "extra": extra, "head_attr": head}
