"""MNIST: digits in idx files, gzipped, images apart from labels.

`n` counts test images; they stay in memory until their file is written, since it starts with their
number. `source_id` is the position in the file, from 0.
"""

from __future__ import annotations

import gzip

import numpy as np

from vision_flan.miniatures import draw, formats
from vision_flan.miniatures.miniature import Miniature


def generate(mini: Miniature) -> None:
    for name, split, count in (("train", "train", max(mini.n // 5, 1)), ("t10k", "test", mini.n)):
        labels = np.array([mini.rng(split, index).randrange(10) for index in range(count)], np.uint8)
        images = np.stack([np.asarray(draw.digit(int(label)).convert("L")) for label in labels])
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            packed = gzip.compress(formats.idx(array), mtime=0)
            mini.write_bytes(f"{name}-{kind}-ubyte.gz", packed)
    for index, label in enumerate(labels):
        digit = draw.digit(int(label)).convert("L")
        mini.truth("eval_mnist", index, target=str(label), pixels=formats.pixels(digit))
