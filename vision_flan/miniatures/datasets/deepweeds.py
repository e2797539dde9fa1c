"""DeepWeeds: images in one folder, named by time and camera, with one list of all and lists of folds.

`n` counts images, half of them without a weed. `source_id` is the file name without suffix,
`20160928-140314-0`.
"""

from __future__ import annotations

from contextlib import ExitStack

from vision_flan.miniatures import draw
from vision_flan.miniatures.miniature import Miniature

#: Species as the list writes them, and as targets name them.
_SPECIES = {
    "Chinee apple": "Chinee apple",
    "Lantana": "lantana",
    "Parkinsonia": "parkinsonia",
    "Parthenium": "parthenium",
    "Prickly acacia": "prickly acacia",
    "Rubber vine": "rubber vine",
    "Siam weed": "Siam weed",
    "Snake weed": "snakeweed",
    "Negative": "none",
}
_LISTED = tuple(_SPECIES)


def generate(mini: Miniature) -> None:
    with mini.pack("images.zip", into="images") as tree, ExitStack() as stack:
        header = ["Filename", "Label", "Species"]
        labels = stack.enter_context(mini.csv("labels/labels.csv", header))
        folds = [
            stack.enter_context(mini.csv(f"labels/{part}_subset0.csv", header[:2]))
            for part in ("train", "val", "test")
        ]
        for index in range(mini.n):
            rng = mini.rng(index)
            label = 8 if rng.random() < 0.5 else rng.randrange(8)
            day, second = divmod(index, 80_000)
            clock = f"{second // 3600:02d}{second // 60 % 60:02d}{second % 60:02d}"
            stem = f"2016{day // 28 % 12 + 1:02d}{day % 28 + 1:02d}-{clock}-{rng.randrange(4)}"
            labels([f"{stem}.jpg", label, _LISTED[label]])
            folds[(0, 0, 0, 1, 2)[index % 5]]([f"{stem}.jpg", label])
            tree.image(f"{stem}.jpg", draw.caption_card(_LISTED[label], (128, 128), note=stem))
            mini.truth("animal_deepweeds", stem, target=_SPECIES[_LISTED[label]])
