"""What other releases borrow from COCO: file names, the 80 categories, images."""

from __future__ import annotations

from collections.abc import Callable

from vision_flan.miniatures.tree import Drawing, Tree

#: Ids of COCO images are below this.
MAX_ID = 581_929


def ids_of(split: str) -> tuple[int, int]:
    """The ids that train, or another split, draws from, both included: no image is in two of them."""
    half = MAX_ID // 2
    return (1, half) if split == "train" else (half + 1, MAX_ID)


_NAMES = {
    "person": "1 person",
    "vehicle": "2 bicycle,3 car,4 motorcycle,5 airplane,6 bus,7 train,8 truck,9 boat",
    "outdoor": "10 traffic light,11 fire hydrant,13 stop sign,14 parking meter,15 bench",
    "animal": "16 bird,17 cat,18 dog,19 horse,20 sheep,21 cow,22 elephant,23 bear,24 zebra,25 giraffe",
    "accessory": "27 backpack,28 umbrella,31 handbag,32 tie,33 suitcase",
    "sports": "34 frisbee,35 skis,36 snowboard,37 sports ball,38 kite,39 baseball bat,40 baseball glove,"
    "41 skateboard,42 surfboard,43 tennis racket",
    "kitchen": "44 bottle,46 wine glass,47 cup,48 fork,49 knife,50 spoon,51 bowl",
    "food": "52 banana,53 apple,54 sandwich,55 orange,56 broccoli,57 carrot,58 hot dog,59 pizza,60 donut,"
    "61 cake",
    "furniture": "62 chair,63 couch,64 potted plant,65 bed,67 dining table,70 toilet",
    "electronic": "72 tv,73 laptop,74 mouse,75 remote,76 keyboard,77 cell phone",
    "appliance": "78 microwave,79 oven,80 toaster,81 sink,82 refrigerator",
    "indoor": "84 book,85 clock,86 vase,87 scissors,88 teddy bear,89 hair drier,90 toothbrush",
}
#: Records of `categories`: id (1..90, with gaps), name, supercategory.
CATEGORIES: list[dict[str, int | str]] = [
    {"supercategory": group, "id": int(entry.partition(" ")[0]), "name": entry.partition(" ")[2]}
    for group, entries in _NAMES.items()
    for entry in entries.split(",")
]
#: id -> (name, supercategory)
CATEGORY: dict[int, tuple[str, str]] = {
    int(record["id"]): (str(record["name"]), str(record["supercategory"])) for record in CATEGORIES
}


def file_name(split: str, image_id: int) -> str:
    """`COCO_train2014_000000000009.jpg`; 2017 files have only the number."""
    return f"{image_id:012d}.jpg" if split.endswith("2017") else f"COCO_{split}_{image_id:012d}.jpg"


def lend(tree: Tree, split: str, image_id: int, image: Drawing | Callable[[], Drawing]) -> None:
    """Write an image at COCO's path, `train2014/COCO_train2014_000000000009.jpg`.

    `tree` is `mini.borrow("mscoco")`, or the dataset's own folder, where readers look first.
    """
    tree.image(f"{split}/{file_name(split, image_id)}", image)
