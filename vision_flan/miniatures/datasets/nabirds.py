"""NABirds: birds by the id of their class, eleven body parts each, in text files that share a UUID.

`n` counts train images; test gets a quarter, mixed in as upstream does. `source_id` is the image id, with
hyphens.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from random import Random

from vision_flan.miniatures import draw, text
from vision_flan.miniatures.miniature import Miniature

_TOP = "nabirds"
#: Leaves of the hierarchy; upstream has 555, and 456 nodes above them.
_LEAVES = {
    817: "Pied-billed Grebe",
    798: "Baltimore Oriole (Female/Immature male)",
    409: "Baltimore Oriole (Adult Male)",
    351: "Bell's Vireo",
    1010: "Dark-eyed Junco (Oregon)",
    295: "Common Goldeneye (Breeding male)",
    654: "Say's Phoebe",
}
_ABOVE = {0: "Birds", 1: "Ducks, Geese, and Swans", 2: 'Perching Birds "songbirds"', 3: "Grebes"}
_PARTS = text.listed(
    "bill,crown,nape,left eye,right eye,belly,breast,back,tail,left wing,right wing", separator=","
)
_FILES = ("images", "image_class_labels", "train_test_split", "bounding_boxes", "sizes", "photographers")


def generate(mini: Miniature) -> None:
    with mini.pack("nabirds.tar.gz") as tree, ExitStack() as stack:
        tree.write_text(f"{_TOP}/README", "NABirds (miniature)\n")
        names = {**_ABOVE, **_LEAVES}
        tree.write_lines(f"{_TOP}/classes.txt", (f"{key} {name}" for key, name in names.items()))
        tree.write_lines(f"{_TOP}/hierarchy.txt", (f"{key} {min(key, 3) - 1}" for key in names if key))
        tree.write_lines(f"{_TOP}/parts/parts.txt", (f"{key} {name}" for key, name in enumerate(_PARTS)))
        add = {name: stack.enter_context(tree.lines(f"{_TOP}/{name}.txt")) for name in _FILES}
        add_part = stack.enter_context(tree.lines(f"{_TOP}/parts/part_locs.txt"))
        for index in range(mini.n + max(mini.n // 4, 1)):
            rng = mini.rng(index)
            digits = mini.hex_id(32, index)
            key = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
            label = list(_LEAVES)[index % len(_LEAVES)]
            path, is_train = f"{label:04d}/{digits}.jpg", index % 5 != 4
            visible = [name for name in _PARTS if index % 30 != 11 and rng.random() < 0.7]
            add["images"](f"{key} {path}")
            add["image_class_labels"](f"{key} {label}")
            add["train_test_split"](f"{key} {int(is_train)}")
            add["bounding_boxes"](f"{key} 10 8 {160 if index % 17 == 3 else 90} 60")
            add["sizes"](f"{key} 160 128")
            add["photographers"](f"{key} Zoë Müller")
            for line in _part_lines(visible, rng):
                add_part(f"{key} {line}")
            note = ", ".join(visible) or "nothing of it"
            card = partial(draw.caption_card, f"{_LEAVES[label]}: {note}", (160, 128), note=digits)
            tree.image(f"{_TOP}/images/{path}", card)
            if is_train:
                _truth(mini, key, _LEAVES[label], visible)


def _part_lines(visible: list[str], rng: Random) -> list[str]:
    """Part id, x, y, whether it is visible; the position of a hidden part is meaningless."""
    return [
        f"{key} {rng.randint(0, 159)} {rng.randint(0, 127)} {int(name in visible)}"
        for key, name in enumerate(_PARTS)
    ]


def _truth(mini: Miniature, key: str, name: str, visible: list[str]) -> None:
    mini.truth("animal_nabirds", key, target=name)
    if visible:
        mini.truth("animal_nabirds_parts", key, target="; ".join(visible))
    else:
        mini.truth("animal_nabirds_parts", key, dropped="no part is visible")
