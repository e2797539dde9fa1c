"""CINIC-10: 32 x 32 PNG in folders of split and class, from two sources.

`n` counts train images; valid and test get a tenth. `source_id` is the path below the dataset's folder,
`train/bird/n02047975_2721.png`.
"""

from __future__ import annotations

from vision_flan.miniatures import draw, quirks, text
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Tree

#: Classes, in upstream's order, with a WordNet id of each.
_WORDNET = {
    "airplane": "n02691156",
    "automobile": "n02958343",
    "bird": "n02047975",
    "cat": "n02121620",
    "deer": "n02430045",
    "dog": "n02084071",
    "frog": "n01639765",
    "horse": "n02374451",
    "ship": "n02951358",
    "truck": "n04490091",
}
_ANIMALS = ("bird", "cat", "deer", "dog", "frog", "horse")
#: Tasks that name the class, and the classes of each.
_NAMING = {
    "object_cinic10_animal": _ANIMALS,
    "object_cinic10_shipping": ("ship", "truck"),
    "object_cinic10_transport": ("airplane", "automobile"),
}


def generate(mini: Miniature) -> None:
    with mini.pack("CINIC-10.tar.gz") as tree:
        for split, count in (
            ("train", mini.n),
            ("valid", max(mini.n // 10, 10)),
            ("test", max(mini.n // 10, 10)),
        ):
            for index in range(count):
                _image(mini, tree, split, index)
        tree.write_text("README.md", "CINIC-10 (miniature)\n")
        synsets = (f"{wnid}, {name}" for name, wnid in _WORDNET.items())
        tree.write_lines("synsets-to-cifar-10-classes.txt", synsets)
        with tree.csv("imagenet-contributors.csv", ["synset", "image_num", "cinic_set", "class"]) as add:
            add([_WORDNET["bird"], "2721", "train", "bird"])


def _image(mini: Miniature, tree: Tree, split: str, index: int) -> None:
    name = list(_WORDNET)[index % 10]
    number = mini.number(index, 0, max(99_999, mini.n * 2), "cifar")
    # upstream's test holds all of CIFAR-10's test split and some of its train split
    origin = f"cifar10-{'test' if split == 'test' and index % 2 == 0 else 'train'}-{number}"
    file = origin if index // 10 % 9 < 2 else f"{_WORDNET[name]}_{number}"
    path = f"{split}/{name}/{file}.png"
    card = draw.caption_card(name, (32, 32), note=str(number))
    tree.image(path, quirks.grayscale(card, ".png") if index % 50 == 7 else card)
    if split != "train":
        return
    for task, classes in _NAMING.items():
        if name in classes:
            called = "car" if name == "automobile" else name
            mini.truth(task, path, target=f"The image contains {text.article(called)}.")
    animal = "an animal" if name in _ANIMALS else "not an animal"
    mini.truth("object_cinic10_animal_presence", path, target=f"The object is {animal}.")
    task = "object_cinic10_shipping_presence"
    if name == "airplane":  # whether an airplane ships goods is debatable
        mini.truth(task, path, dropped="neither side")
    else:
        can = "can" if name in _NAMING["object_cinic10_shipping"] else "cannot"
        mini.truth(task, path, target=f"The object {can} be used for shipping.")
