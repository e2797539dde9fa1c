"""FairFace: portraits named by number, with age, gender and race in a CSV file for each split.

`n` counts train images; val gets a tenth. `source_id` is the path in the list, `train/17.jpg`.
"""

from __future__ import annotations

from vision_flan.miniatures import draw
from vision_flan.miniatures.miniature import Miniature

_AGES = ("0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "more than 70")
_RACES = ("East Asian", "Indian", "Black", "White", "Middle Eastern", "Latino_Hispanic", "Southeast Asian")
#: What spreadsheets turn two of the ages into, by their order of day and month.
_DATES = {"3-9": ("9-Mar", "03-Sep"), "10-19": ("19-Oct", "Oct-19")}


def generate(mini: Miniature) -> None:
    folder = "fairface-img-margin125-trainval"
    with mini.pack(f"{folder}.zip", into=folder) as tree:
        for split, count in (("train", mini.n), ("val", max(mini.n // 10, 1))):
            header = ["file", "age", "gender", "race", "service_test"]
            with mini.csv(f"fairface_label_{split}.csv", header) as add:
                for index in range(count):
                    rng = mini.rng(split, index)
                    age, race = rng.choice(_AGES), rng.choice(_RACES)
                    gender = rng.choice(("Male", "Female"))
                    file = f"{split}/{index + 1}.jpg"
                    copied = index % 10 == 4  # as in copies: a different path, ages turned into dates
                    listed = f"fairface/{file}" if copied else file
                    shown = _DATES[age][index // 10 % 2] if copied and age in _DATES else age
                    add([listed, shown, gender, race, str(rng.random() < 0.5)])
                    label = f"{gender}, {age}, {race}".replace("_", " ")
                    tree.image(file, draw.caption_card(label, (112, 112), note=file))
                    if split == "train":
                        mini.truth("face_fairface_age", file, target=age)
                        mini.truth("face_fairface_gender", file, target=gender.lower())
                        mini.truth("face_fairface_race", file, target=race.replace("_", " "))
