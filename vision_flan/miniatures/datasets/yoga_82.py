"""Yoga-82: lists of images with labels at three levels, links, and what a user downloaded from them.

`n` counts lines of the train list; test gets a third. `source_id` is pose and file name without suffix,
`Akarna_Dhanurasana/64`.
"""

from __future__ import annotations

from vision_flan.miniatures import quirks, scenes
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Drawing, encode

#: Folder of a pose, its name, and labels of 6, 20 and 82 classes.
_POSES = (
    ("Akarna_Dhanurasana", "Akarna Dhanurasana", (1, 8, 0)),
    (
        "Bharadvaja's_Twist_pose_or_Bharadvajasana_I_",
        "Bharadvaja's Twist pose or Bharadvajasana I",
        (1, 5, 1),
    ),
    ("Boat_Pose_or_Paripurna_Navasana_", "Boat Pose or Paripurna Navasana", (5, 19, 2)),
    ("Bound_Angle_Pose_or_Baddha_Konasana_", "Bound Angle Pose or Baddha Konasana", (1, 4, 3)),
    (
        "viparita_virabhadrasana_or_reverse_warrior_pose",
        "Viparita virabhadrasana or reverse warrior pose",
        (0, 0, 79),
    ),
)
#: Wide enough for the longest name below the figure.
_SIZE = (270, 128)


def generate(mini: Miniature) -> None:
    with mini.pack("Yoga-82.zip") as tree:
        for split, count in (("train", mini.n), ("test", max(mini.n // 3, 1))):
            with tree.lines(f"Yoga-82/yoga_{split}.txt") as add:
                for index in range(count):
                    folder, pose, labels = _POSES[index % len(_POSES)]
                    number = 2 * index + (split == "test")
                    name = f"0_{number}" if index % 7 == 3 else str(number)
                    add(f"{folder}/{name}.jpg,{','.join(map(str, labels))}")
                    if split == "train":
                        _fetched(mini, folder, name, pose, index)
        for folder, _, _ in _POSES:
            link = f"{folder}/0.jpg\thttp://example.org/{mini.hex_id(8, folder)}-pose.jpg"
            tree.write_text(f"Yoga-82/yoga_dataset_links/{folder}.txt", f"{link}\n")


def _fetched(mini: Miniature, folder: str, name: str, pose: str, index: int) -> None:
    """What the link returned: an image, another format, an HTML page, or nothing."""
    key = f"{folder}/{name}"
    image = scenes.figure(f"{pose} {name}", _SIZE)
    fate = index % 20
    if fate == 6:
        mini.truth("human_yoga82", key, dropped="dead link")
        return
    data: Drawing = image
    if fate == 8:
        data = quirks.not_an_image()
    elif fate == 11:
        data = quirks.animated([image, scenes.figure(f"{pose} again", _SIZE)])
    elif fate in (13, 17):
        data = encode(image, ".png" if fate == 13 else ".webp")
    mini.image(f"images/{key}.jpg", data)
    if fate in (8, 11):
        mini.truth("human_yoga82", key, dropped="no picture, or several")
    else:
        mini.truth("human_yoga82", key, target=pose)
