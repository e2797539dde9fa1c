"""CIFAR-100: two Python 2 pickles, images as rows of three planes, with a fine and a coarse label.

`n` counts test images; they stay in memory until they are written as one pickle. `source_id` is the
row, from 0.
"""

from __future__ import annotations

import numpy as np

from vision_flan.miniatures import draw, text
from vision_flan.miniatures.formats import pixels, planes, python2_pickle
from vision_flan.miniatures.miniature import Miniature

#: The 100 fine classes, in alphabetical order.
_FINE = text.listed(
    "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly "
    "camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup "
    "dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower "
    "leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid "
    "otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray "
    "road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar "
    "sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle "
    "wardrobe whale willow_tree wolf woman worm"
)
#: The 20 coarse ones; how fine classes map to them does not matter here.
_COARSE = text.listed(
    "aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices "
    "household_furniture insects large_carnivores large_man-made_outdoor_things large_natural_outdoor_scenes "
    "large_omnivores_and_herbivores medium_mammals non-insect_invertebrates people reptiles small_mammals "
    "trees vehicles_1 vehicles_2"
)


def generate(mini: Miniature) -> None:
    with mini.pack("cifar-100-python.tar.gz") as tree:
        names = {"fine_label_names": _FINE, "coarse_label_names": _COARSE}
        meta = {key.encode(): [name.encode() for name in values] for key, values in names.items()}
        tree.write_bytes("cifar-100-python/meta", python2_pickle(meta))
        tree.write_bytes("cifar-100-python/file.txt~", b"")
        tree.write_bytes("cifar-100-python/train", _split(mini, "train", max(mini.n // 5, 1)))
        tree.write_bytes("cifar-100-python/test", _split(mini, "test", mini.n))


def _split(mini: Miniature, split: str, count: int) -> bytes:
    fine = [mini.rng(split, index).randrange(len(_FINE)) for index in range(count)]
    rows, files = [], []
    for index, label in enumerate(fine):
        card = draw.caption_card(_FINE[label].replace("_", " "), (32, 32), note=str(index))
        rows.append(np.frombuffer(planes(card), np.uint8))
        files.append(f"{_FINE[label]}_s_{index:06d}.png".encode())
        if split == "test":
            mini.truth("eval_cifar_100", index, target=_FINE[label].replace("_", " "), pixels=pixels(card))
    return python2_pickle(
        {
            b"data": np.stack(rows),
            b"fine_labels": fine,
            b"coarse_labels": [label // 5 for label in fine],
            b"filenames": files,
            b"batch_label": f"{split}ing batch 1 of 1".encode(),
        }
    )
