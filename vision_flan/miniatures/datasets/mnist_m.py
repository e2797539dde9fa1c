"""MNIST-M: digits blended over photographs, 32 x 32 PNG, with a two-column list.

`n` counts train images; test gets a sixth, under the same file names. `source_id` is the file name without
suffix, `00000017`.
"""

from __future__ import annotations

from PIL import ImageChops

from vision_flan.miniatures import draw
from vision_flan.miniatures.miniature import Miniature

_SIDE = (32, 32)


def generate(mini: Miniature) -> None:
    with mini.pack("mnist_m.tar.gz") as tree:
        for split, count in (("train", mini.n), ("test", max(mini.n // 6, 1))):
            with tree.lines(f"mnist_m/mnist_m_{split}_labels.txt") as add:
                for row in range(count):
                    index = mini.number(row, 0, count - 1, split)  # the list is not in the order of names
                    rng = mini.rng(split, index)
                    label = rng.randrange(10)
                    ground = draw.texture(rng, _SIDE, grain=4)
                    # as upstream blends: the difference of photograph and digit
                    image = ImageChops.difference(ground, draw.digit(label, 32))
                    tree.image(f"mnist_m/mnist_m_{split}/{index:08d}.png", image)
                    add(f"{index:08d}.png {label}")
                    if split == "train":
                        mini.truth("object_mnist_m", f"{index:08d}", target=str(label))
