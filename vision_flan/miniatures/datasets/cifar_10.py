"""CIFAR-10: one Python 2 pickle per batch, images as rows of three planes.

`n` counts test images; they stay in memory until their batch, one pickle, is written. `source_id` is
the row, from 0.
"""

from __future__ import annotations

import numpy as np

from vision_flan.miniatures import draw
from vision_flan.miniatures.formats import pixels, planes, python2_pickle
from vision_flan.miniatures.miniature import Miniature

_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def generate(mini: Miniature) -> None:
    with mini.pack("cifar-10-python.tar.gz") as tree:
        meta = {
            b"num_cases_per_batch": mini.n,
            b"label_names": [name.encode() for name in _CLASSES],
            b"num_vis": 3072,
        }
        tree.write_bytes("cifar-10-batches-py/batches.meta", python2_pickle(meta))
        tree.write_text("cifar-10-batches-py/readme.html", "<p>CIFAR-10 (miniature)</p>\n")
        for number in range(1, 6):
            batch = _batch(mini, f"data_batch_{number}", max(mini.n // 10, 1))
            tree.write_bytes(f"cifar-10-batches-py/data_batch_{number}", batch)
        tree.write_bytes("cifar-10-batches-py/test_batch", _batch(mini, "test_batch", mini.n))


def _batch(mini: Miniature, name: str, count: int) -> bytes:
    labels = [mini.rng(name, index).randrange(len(_CLASSES)) for index in range(count)]
    rows, files = [], []
    for index, label in enumerate(labels):
        card = draw.caption_card(_CLASSES[label], (32, 32), note=str(index))
        rows.append(np.frombuffer(planes(card), np.uint8))
        files.append(f"{_CLASSES[label]}_s_{index:06d}.png".encode())
        if name == "test_batch":
            mini.truth("eval_cifar_10", index, target=_CLASSES[label], pixels=pixels(card))
    part = "testing batch 1 of 1" if name == "test_batch" else f"training batch {name[-1]} of 5"
    return python2_pickle(
        {b"data": np.stack(rows), b"labels": labels, b"batch_label": part.encode(), b"filenames": files}
    )
