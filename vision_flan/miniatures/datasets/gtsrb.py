"""GTSRB: small PPM pictures in folders of classes, 30 frames a track, with a list in each folder.

`n` counts train pictures; test gets a tenth, without classes. `source_id` is folder and file name without
suffix, `00035/00000_00001`.
"""

from __future__ import annotations

from vision_flan.miniatures import draw
from vision_flan.miniatures.miniature import Miniature

_SIGNS = {
    0: "Speed limit (20 km/h)",
    3: "Speed limit (60 km/h)",
    9: "No passing",
    13: "Yield",
    14: "Stop",
    30: "Beware of ice or snow",
    35: "Ahead only",
    42: "End of no passing by vehicles over 3.5 metric tons",
}
_FRAMES = 30
_HEADER = ["Filename", "Width", "Height", "Roi.X1", "Roi.Y1", "Roi.X2", "Roi.Y2"]


def generate(mini: Miniature) -> None:
    with mini.pack("GTSRB_Final_Training_Images.zip") as tree:
        for place, (label, sign) in enumerate(_SIGNS.items()):
            folder = f"GTSRB/Final_Training/Images/{label:05d}"
            with tree.csv(f"{folder}/GT-{label:05d}.csv", [*_HEADER, "ClassId"], delimiter=";") as add:
                for index in range(place, mini.n, len(_SIGNS)):
                    track, frame = divmod(index // len(_SIGNS), _FRAMES)
                    stem = f"{track:05d}_{frame:05d}"
                    side = mini.rng(index).randint(15, 90)
                    add([f"{stem}.ppm", side, side, 2, 2, side - 3, side - 3, label])
                    card = draw.caption_card(sign, (side, side), note=stem)
                    tree.image(f"{folder}/{stem}.ppm", card)
                    mini.truth("object_gtsrb", f"{label:05d}/{stem}", answer=sign)
    unlabelled = "GTSRB/Final_Test/Images"
    with (
        mini.pack("GTSRB_Final_Test_Images.zip") as tree,
        tree.csv(f"{unlabelled}/GT-final_test.test.csv", _HEADER, delimiter=";") as add,
    ):
        for index in range(max(mini.n // 10, 1)):
            add([f"{index:05d}.ppm", 30, 30, 2, 2, 27, 27])
            tree.image(f"{unlabelled}/{index:05d}.ppm", draw.blank((30, 30)))
