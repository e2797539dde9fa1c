"""MSCOCO: captions and instances of 2014 and 2017, and the images that other releases borrow.

`n` counts images of train2014; val2014 gets half as many, and the 2017 splits hold the same images, all
but a few of val2014 in train2017. `source_id` is the caption's id for captions and matching, and the file
name of 2017 without suffix for the object tasks, `000000000139`.
"""

from __future__ import annotations

import textwrap
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

from PIL import ImageDraw

from vision_flan.miniatures import coco, draw, quirks, text
from vision_flan.miniatures.json_stream import Add
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Tree

_GROUPS = ("animal", "vehicle", "sports", "kitchen", "furniture", "appliance")
#: What matching_coco answers for the photo's own caption, and for another photo's.
_VERDICTS = ("the caption matches the photo", "the caption does not match the photo")
_PEOPLE = text.listed("man woman boy girl chef singer dancer painter teacher tourist")
_ACTS = text.listed(
    "is standing near;is looking at;is walking past;is running towards;is resting beside", ";"
)
_THINGS = text.listed("fence wall statue fountain blanket tent ladder lamp basket barrel flag rug")
_PLACES = text.listed("in a park;on the beach;on a street;in the snow;by a river;in a field;at night", ";")
_LICENSES = [
    {"id": number, "name": f"licence {number}", "url": "http://example.org"} for number in range(1, 9)
]


@dataclass(frozen=True)
class _Photo:
    image_id: int
    index: int
    size: draw.Size
    objects: list[tuple[int, draw.Box, bool]]  # category, box, crowd
    scene: str  # activities besides the objects, lower case
    captions: list[str]


def generate(mini: Miniature) -> None:
    held_out = max(mini.n // 20, 1)
    train, both = mini.n, mini.n + max(mini.n // 2, 2)
    years = {
        "train2014": range(train),
        "val2014": range(train, both),
        "train2017": range(both - held_out),
        "val2017": range(both - held_out, both),
    }
    for year in ("2014", "2017"):
        with mini.pack(f"annotations_trainval{year}.zip") as tree:
            for split in (f"train{year}", f"val{year}"):
                _split(mini, tree, split, years[split])


def _split(mini: Miniature, tree: Tree, split: str, indices: range) -> None:
    info = {"description": f"COCO {split[-4:]} Dataset", "version": "1.0", "year": int(split[-4:])}
    with ExitStack() as stack:
        images = stack.enter_context(mini.pack(f"{split}.zip"))
        add_image, add_record = {}, {}
        for kind in ("captions", "instances", "person_keypoints"):
            document = stack.enter_context(tree.json_document(f"annotations/{kind}_{split}.json"))
            document.field("info", info)
            document.field("licenses", _LICENSES)
            add_image[kind], add_record[kind] = document.array("images"), document.array("annotations")
            if kind == "instances":
                document.field("categories", coco.CATEGORIES)
            elif kind == "person_keypoints":
                person = {**coco.CATEGORIES[0], "keypoints": ["nose", "left_eye"], "skeleton": [[1, 2]]}
                document.field("categories", [person])
        for index in indices:
            photo = _photo(mini, index)
            coco.lend(images, split, photo.image_id, partial(_image, photo))
            record = _image_record(photo, split)
            for add in add_image.values():
                add(record)
            _captions(mini, add_record["captions"], photo, split)
            _instances(mini, add_record["instances"], photo, split)


def _photo(mini: Miniature, index: int) -> _Photo:
    rng = mini.rng("photo", index)
    width, height = rng.randint(240, 300), rng.randint(140, 180)
    objects = [] if index % 40 == 5 else _objects(rng, width, height)
    labels = [_mention(coco.CATEGORY[category][0]) for category, _, _ in objects]
    scene = _scene(rng)
    captions = [_caption(rng, labels, scene) for _ in range(5 + (index % 25 == 0) + (index % 50 == 0))]
    return _Photo(mini.number(index, 1, coco.MAX_ID - 1), index, (width, height), objects, scene, captions)


def _objects(rng: Random, width: int, height: int) -> list[tuple[int, draw.Box, bool]]:
    """One to three things side by side; often one from a group that a task asks about."""
    kinds = rng.sample(list(coco.CATEGORY), rng.randint(1, 3))
    if rng.random() < 0.6:
        group = rng.choice(_GROUPS)
        kinds[0] = rng.choice([key for key, (_, name) in coco.CATEGORY.items() if name == group])
    room = width // len(kinds)
    tall = height // 4  # the lower third is for the scene
    boxes = [(place * room + 2, rng.randint(2, tall), room - 4, tall) for place in range(len(kinds))]
    return [(kind, box, rng.random() < 0.03) for kind, box in zip(kinds, boxes, strict=True)]


def _scene(rng: Random) -> str:
    """An activity that names none of the 80 categories except people."""
    thing = text.article(f"{rng.choice(text.COLORS)} {rng.choice(_THINGS)}")
    return f"a {rng.choice(_PEOPLE)} {rng.choice(_ACTS)} {thing} {rng.choice(_PLACES)}"


def _mention(label: str) -> str:
    return label if label in ("skis", "scissors") else text.article(label)


def _caption(rng: Random, labels: list[str], scene: str) -> str:
    """One of five captions: the objects in any order, before or after the scene."""
    seen = " and ".join(rng.sample(labels, len(labels)))
    wordings = [f"{seen}, and {scene}", f"{scene}, with {seen} nearby"] if seen else [scene, f"here {scene}"]
    caption = rng.choice(wordings)
    # upstream's captions were typed by hand: spaces and line breaks at the end, periods missing
    return caption[0].upper() + caption[1:] + rng.choice((".", ".", ".", "", ". ", ".\n"))


def _image(photo: _Photo) -> Any:
    things = [(coco.CATEGORY[category][0], box) for category, box, _ in photo.objects]
    scene = draw.objects_scene(photo.size, things)
    written = "\n".join(textwrap.wrap(photo.scene, photo.size[0] // 8))
    ImageDraw.Draw(scene).text((4, photo.size[1] * 2 // 3), written, (0, 0, 0), font=draw.font(12))
    return quirks.grayscale(scene) if photo.index % 50 == 21 else scene


def _image_record(photo: _Photo, split: str) -> dict[str, Any]:
    name = coco.file_name(split, photo.image_id)
    return {
        "license": photo.image_id % 8 + 1,
        "file_name": name,
        "coco_url": f"http://images.cocodataset.org/{split}/{name}",
        "height": photo.size[1],
        "width": photo.size[0],
        "date_captured": "2013-11-14 17:02:52",
        "flickr_url": f"http://farm7.staticflickr.com/6116/{photo.image_id}_z.jpg",
        "id": photo.image_id,
    }


def _captions(mini: Miniature, add: Add, photo: _Photo, split: str) -> None:
    texts = [caption.strip() for caption in photo.captions]
    for place, caption in enumerate(photo.captions):
        caption_id = photo.index * 10 + place + 1
        add({"image_id": photo.image_id, "id": caption_id, "caption": caption})
        if split == "train2014":
            sentence = text.closed(texts[place])
            mini.truth("caption_coco", caption_id, target=sentence)
            mini.truth("matching_coco", caption_id, if_input=[sentence, *_VERDICTS])
            mini.truth("matching_coco_selection", caption_id, answer=sentence)


def _instances(mini: Miniature, add: Add, photo: _Photo, split: str) -> None:
    for place, (category, (x, y, width, height), crowd) in enumerate(photo.objects):
        outline: Any = [[float(edge) for edge in (x, y, x + width, y, x + width, y + height, x, y + height)]]
        add(
            {
                "segmentation": {"counts": [0, 4, 8], "size": [photo.size[1], photo.size[0]]}
                if crowd
                else outline,
                "area": float(width * height),
                "iscrowd": int(crowd),
                "image_id": photo.image_id,
                "bbox": [float(x), float(y), float(width), float(height)],
                "category_id": category,
                "id": photo.index * 10 + place + 1,
            }
        )
    if split != "train2017":
        return
    for group in _GROUPS:
        found = {coco.CATEGORY[kind][0] for kind, _, _ in photo.objects if coco.CATEGORY[kind][1] == group}
        task, key = f"object_coco_{group}", f"{photo.image_id:012d}"
        if len(found) == 1:
            mini.truth(task, key, answer=found.pop())
        elif found:
            mini.truth(task, key, dropped="several classes of the group")
