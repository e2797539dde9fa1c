"""DTD: folders of textures, lists of ten partitions, and a file with all attributes of each image.

`n` counts train images of partition 1; val and test get a tenth each. `source_id` is the path below
images/, `banded/banded_0002.jpg`.
"""

from __future__ import annotations

from vision_flan.miniatures import draw, quirks
from vision_flan.miniatures.miniature import Miniature

_TEXTURES = ("banded", "braided", "dotted", "grid", "lined", "polka-dotted", "scaly", "zigzagged")
#: Textures that also apply to some images of another texture.
_ALSO = {"banded": ("lined",), "dotted": ("polka-dotted",), "scaly": ("cracked", "grid")}


def generate(mini: Miniature) -> None:
    few = max(mini.n // 10, 1)
    ends = {"train": mini.n, "val": mini.n + few, "test": mini.n + 2 * few}
    with mini.pack("dtd-r1.0.1.tar.gz") as tree:
        for index in range(ends["test"]):
            path, textures = _image(index)
            card = draw.caption_card(" ".join(textures), (100, 80), note=str(index))
            tree.image(f"dtd/images/{path}", quirks.grayscale(card) if index % 15 == 4 else card)
            if index < ends["val"]:
                mini.truth("texture_dtd", path, target=path.partition("/")[0])
                mini.truth("texture_dtd_multiple", path, target="; ".join(sorted(textures)))
            else:
                mini.truth("texture_dtd_multiple", path, dropped="of the test split")
        images = map(_image, range(ends["test"]))
        rows = (f"{path} {' '.join(sorted(textures))} " for path, textures in images)
        tree.write_lines("dtd/labels/labels_joint_anno.txt", rows)
        for partition in range(1, 11):
            start = 0
            for split, end in ends.items():
                # the other partitions split the same images differently
                numbers = ((number + 7 * (partition - 1)) % ends["test"] for number in range(start, end))
                names = (_image(number)[0] for number in numbers)
                tree.write_lines(f"dtd/labels/{split}{partition}.txt", names)
                start = end


def _image(index: int) -> tuple[str, list[str]]:
    """Path below images/, and all textures."""
    texture = _TEXTURES[index % len(_TEXTURES)]
    path = f"{texture}/{texture}_{index // len(_TEXTURES) + 1:04d}.jpg"
    return path, [texture, *(_ALSO.get(texture, ()) if index // len(_TEXTURES) % 2 else ())]
