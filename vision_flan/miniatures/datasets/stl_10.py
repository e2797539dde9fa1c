"""STL-10: images in one binary file of uint8 planes, column by column; labels from 1, one byte each.

`n` counts train images; test and the unlabeled part get a fifth. `source_id` is the record's position in
train_X.bin, from 0.
"""

from __future__ import annotations

from vision_flan.miniatures import draw
from vision_flan.miniatures.formats import pixels, planes
from vision_flan.miniatures.miniature import Miniature

_CLASSES = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")
_FOLDER = "stl10_binary"


def generate(mini: Miniature) -> None:
    few = max(mini.n // 5, 1)
    with mini.pack("stl10_binary.tar.gz") as tree:
        for split, count in (("train", mini.n), ("test", few), ("unlabeled", few)):
            labels = bytes(mini.rng(split, index).randrange(10) for index in range(count))
            with tree.open(f"{_FOLDER}/{split}_X.bin") as out:
                for index, label in enumerate(labels):
                    name = _CLASSES[label]
                    image = draw.caption_card(name, (96, 96), note=f"{split} {index}")
                    out.write(planes(image, column_major=True))
                    if split == "train":
                        mini.truth("object_stl10", index, answer=name, pixels=pixels(image))
            if split != "unlabeled":
                tree.write_bytes(f"{_FOLDER}/{split}_y.bin", bytes(label + 1 for label in labels))
        tree.write_lines(f"{_FOLDER}/class_names.txt", _CLASSES)
        fold = min(mini.n, 1000)
        folds = (sorted(mini.rng("fold", line).sample(range(mini.n), fold)) for line in range(10))
        tree.write_lines(f"{_FOLDER}/fold_indices.txt", (" ".join(map(str, line)) for line in folds))
