"""NUS-WIDE: lists of images with backslashes, and a file of zeros and ones for each concept.

`n` counts train images, every other one, from the first, with an animal; test gets a fifth. `source_id` is
the file name without suffix, `0001_2124494179`.
"""

from __future__ import annotations

from contextlib import ExitStack

from vision_flan.miniatures import draw, text
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Tree

_ANIMALS = text.listed("animal bear birds cat cow dog elk fish fox horses tiger whales zebra")
#: A few of the 68 other concepts.
_OTHERS = text.listed("beach buildings clouds person sky toy")
_FOLDERS = text.listed("actor zebra albatross harbour")  # a search term, not a label


def generate(mini: Miniature) -> None:
    with mini.pack("Groundtruth.zip") as truth, mini.pack("ImageList.zip") as lists:
        lists.write_text("ImageList/README.txt", "NUS-WIDE (miniature)\n")
        for split, count in (("Train", mini.n), ("Test", max(mini.n // 5, 1))):
            with lists.lines(f"ImageList/{split}Imagelist.txt") as add:
                for index in range(count):
                    add(_path(mini, split, index).replace("/", "\\"))
            _labels(mini, truth, split, count)
    with mini.lines("ConceptsList/Concepts81.txt") as add:
        for concept in sorted((*_ANIMALS, *_OTHERS)):
            add(concept)
    for index in range(mini.n):
        _image(mini, index)


def _labels(mini: Miniature, tree: Tree, split: str, count: int) -> None:
    folder = "Groundtruth/TrainTestLabels"
    with ExitStack() as stack:
        adders = {
            concept: stack.enter_context(tree.lines(f"{folder}/Labels_{concept}_{split}.txt"))
            for concept in (*_ANIMALS, *_OTHERS)
        }
        for index in range(count):
            present = _concepts(mini, split, index)
            for concept, add in adders.items():
                add(str(int(concept in present)))


def _concepts(mini: Miniature, split: str, index: int) -> set[str]:
    """What an image shows; a dog may also be labeled animal, or not; some images have no label."""
    rng = mini.rng(split, index)
    shown = set(rng.sample(_OTHERS, rng.randrange(3)))
    if index % 2 == 0:
        shown.add(rng.choice(_ANIMALS))
        if rng.random() < 0.7:
            shown.add("animal")
    return shown


def _path(mini: Miniature, split: str, index: int) -> str:
    number = mini.number(index, 10_000_000, 4_000_000_000, split)
    return f"{mini.rng('folder', split, index).choice(_FOLDERS)}/{index % 10_000:04d}_{number}.jpg"


def _image(mini: Miniature, index: int) -> None:
    path = _path(mini, "Train", index)
    key = path.rpartition("/")[2].removesuffix(".jpg")
    if index % 20 == 6:
        mini.truth("animal_nus_wide", key, dropped="gone from Flickr")
        return
    shown = ", ".join(sorted(_concepts(mini, "Train", index))) or "nothing named"
    mini.image(f"Flickr/{path}", draw.caption_card(shown, (128, 96), note=key))
    mini.truth("animal_nus_wide", key, target="no" if index % 2 else "yes")
