"""CUB-200-2011: birds in folders of classes, listed in text files that share an image id.

`n` counts train images; test gets a quarter, mixed in as upstream does. `source_id` is the path below
`CUB_200_2011/images`.
"""

from __future__ import annotations

from functools import partial

from vision_flan.miniatures import draw, quirks
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Tree

_TOP = "CUB_200_2011"
#: Some of the 200 classes with upstream's ids and spelling.
_CLASSES = {
    1: "Black_footed_Albatross",
    4: "Groove_billed_Ani",
    10: "Red_winged_Blackbird",
    17: "Cardinal",
    22: "Chuck_will_Widow",
    34: "Gray_crowned_Rosy_Finch",
    71: "Long_tailed_Jaeger",
    141: "Artic_Tern",
    146: "Forsters_Tern",
    200: "Common_Yellowthroat",
}


#: English names that are not just the words of the folder.
_NAMES = {
    "Cardinal": "Northern Cardinal",
    "Chuck_will_Widow": "Chuck-will's-widow",
    "Gray_crowned_Rosy_Finch": "Gray-crowned Rosy-Finch",
    "Artic_Tern": "Arctic Tern",
    "Forsters_Tern": "Forster's Tern",
    "Black_footed_Albatross": "Black-footed Albatross",
    "Groove_billed_Ani": "Groove-billed Ani",
    "Red_winged_Blackbird": "Red-winged Blackbird",
    "Long_tailed_Jaeger": "Long-tailed Jaeger",
    "Common_Yellowthroat": "Common Yellowthroat",
}


def generate(mini: Miniature) -> None:
    total = mini.n + max(mini.n // 4, 1)
    with mini.pack("CUB_200_2011.tgz") as tree:
        tree.write_text("attributes.txt", "1 has_bill_shape::curved_(up_or_down)\n")
        tree.write_text(f"{_TOP}/README", "CUB-200-2011 (miniature)\n")
        end = {200: " "}
        lines = (f"{key} {_folder(key)}{end.get(key, '')}" for key in _CLASSES)
        tree.write_lines(f"{_TOP}/classes.txt", lines)
        tree.write_lines(
            f"{_TOP}/images.txt", (f"{index + 1} {_path(mini, index)}" for index in range(total))
        )
        lines = (f"{index + 1} {_class(index)}" for index in range(total))
        tree.write_lines(f"{_TOP}/image_class_labels.txt", lines)
        lines = (f"{index + 1} {int(_is_train(index))}" for index in range(total))
        tree.write_lines(f"{_TOP}/train_test_split.txt", lines)
        lines = (f"{index + 1} 20.0 12.0 88.0 {40 + index % 40}.0" for index in range(total))
        tree.write_lines(f"{_TOP}/bounding_boxes.txt", lines)
        for index in range(total):
            _image(mini, tree, index)


def _is_train(index: int) -> bool:
    return index % 5 != 4


def _class(index: int) -> int:
    return list(_CLASSES)[index * 3 % len(_CLASSES)]


def _folder(key: int) -> str:
    return f"{key:03d}.{_CLASSES[key]}"


def _path(mini: Miniature, index: int) -> str:
    key = _class(index)
    number = mini.number(index, 1, max(200_000, 4 * mini.n), "file")
    return f"{_folder(key)}/{_CLASSES[key].title()}_{index % 10_000:04d}_{number}.jpg"


def _image(mini: Miniature, tree: Tree, index: int) -> None:
    path, name = _path(mini, index), _NAMES[_CLASSES[_class(index)]]
    card = partial(draw.caption_card, name, (128, 96), note=str(index))
    tree.image(f"{_TOP}/images/{path}", quirks.grayscale(card()) if index % 40 == 6 else card)
    if _is_train(index):
        mini.truth("animal_cub200", path, target=name)
