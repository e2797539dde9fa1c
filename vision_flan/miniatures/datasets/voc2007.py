"""PASCAL VOC 2007: objects in XML, lists of splits and of classes.

`n` counts images of trainval; test gets a quarter, in a separate archive that unpacks over the first.
`source_id` is the six-digit number.
"""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

from vision_flan.miniatures import draw, formats, text
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Tree

_TOP = "VOCdevkit/VOC2007"
_CLASSES = text.listed(
    "aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person "
    "pottedplant sheep sofa train tvmonitor"
)
_SPELLED = {
    "aeroplane": "airplane",
    "diningtable": "dining table",
    "motorbike": "motorcycle",
    "pottedplant": "potted plant",
    "sofa": "couch",
    "tvmonitor": "TV monitor",
}
_SIZE = (164, 132)
#: Size of a box (width, height); six of them fit in two columns, so that none hides another.
_BOX = (76, 40)
_HEAD = (
    "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></part>"
)


def generate(mini: Miniature) -> None:
    end = mini.n + max(mini.n // 4, 1)
    with mini.pack("VOCtrainval_06-Nov-2007.tar") as tree:
        own = [number for number in range(1, end + 1) if not _is_test(number)]
        _lists(mini, tree, {"trainval": own, "train": own[::2], "val": own[1::2]})
        for number in own:
            objects = _image(mini, tree, number)
            seen = {item["name"] for item in objects if not item["difficult"]}
            claim: dict[str, str] = {"dropped": "nothing but difficult objects"}
            if seen:
                names = sorted((_SPELLED.get(name, name) for name in seen), key=str.lower)
                claim = {"target": "; ".join(names)}
            mini.truth("object_voc2007", f"{number:06d}", **claim)
    with mini.pack("VOCtest_06-Nov-2007.tar") as tree:
        own = [number for number in range(1, end + 1) if _is_test(number)]
        _lists(mini, tree, {"test": own})
        for number in own:
            _image(mini, tree, number)


def _is_test(number: int) -> bool:
    return number % 5 == 0


def _lists(mini: Miniature, tree: Tree, splits: dict[str, list[int]]) -> None:
    for split, numbers in splits.items():
        tree.write_lines(f"{_TOP}/ImageSets/Main/{split}.txt", (f"{number:06d}" for number in numbers))
        lines = (f"{number:06d} {_sign(mini, number):>2}" for number in numbers)
        tree.write_lines(f"{_TOP}/ImageSets/Main/person_{split}.txt", lines)


def _sign(mini: Miniature, number: int) -> int:
    """1 for a person, 0 for one marked difficult, -1 for none."""
    found = [item["difficult"] for item in _objects(mini.rng(number)) if item["name"] == "person"]
    return -1 if not found else int(not all(found))


def _objects(rng: Random) -> list[dict[str, Any]]:
    """One to three classes, each once or twice; persons have parts."""
    objects: list[dict[str, Any]] = []
    cells = rng.sample(range(6), 6)
    for name in rng.sample(_CLASSES, rng.randint(1, 3)):
        for _ in range(rng.randint(1, 2)):
            row, column = divmod(cells.pop(), 2)
            left, top = 82 * column + rng.randint(1, 6), 44 * row + rng.randint(1, 4)
            item: dict[str, Any] = {"name": name, "box": (left, top, left + _BOX[0], top + _BOX[1])}
            item["difficult"] = int(rng.random() < 0.2)
            objects.append({**item, "extra": _HEAD} if name == "person" else item)
    return objects


def _written(item: dict[str, Any]) -> str:
    """The object's name; difficult objects cannot be recognized."""
    name: str = item["name"]
    return "?" if item["difficult"] else _SPELLED.get(name, name)


def _image(mini: Miniature, tree: Tree, number: int) -> list[dict[str, Any]]:
    name, objects = f"{number:06d}", _objects(mini.rng(number))
    boxes = [(_written(item), (item["box"][0] - 1, item["box"][1] - 1, *_BOX)) for item in objects]
    tree.image(f"{_TOP}/JPEGImages/{name}.jpg", partial(draw.objects_scene, _SIZE, boxes))
    tree.write_text(f"{_TOP}/Annotations/{name}.xml", formats.voc_xml(f"{name}.jpg", _SIZE, objects))
    return objects
