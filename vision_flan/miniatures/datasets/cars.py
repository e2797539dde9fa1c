"""Cars: photographs in two folders with the same file names, annotations as MATLAB 5 structs.

`n` counts train images; test gets an eighth. `source_id` is the file name without suffix, `00001`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from vision_flan.miniatures import draw, formats, quirks, text
from vision_flan.miniatures.miniature import Miniature

_MAKES = text.listed(
    "AM General,Acura,Aston Martin,Audi,BMW,Bentley,Bugatti,Buick,Cadillac,Chevrolet,Chrysler,Daewoo,Dodge,"
    "Eagle,FIAT,Ferrari,Fisker,Ford,GMC,Geo,HUMMER,Honda,Hyundai,Infiniti,Isuzu,Jaguar,Jeep,Lamborghini,"
    "Land Rover,Lincoln,MINI,Maybach,Mazda,McLaren,Mercedes-Benz,Mitsubishi,Nissan,Plymouth,Porsche,Ram,"
    "Rolls-Royce,Scion,Spyker,Suzuki,Tesla,Toyota,Volkswagen,Volvo,smart",
    ",",
)
#: Four models of each of the 49 makes are 196 classes; one name holds a slash, as one of
#: upstream's does, and one has no body style, as 14 of them.
_MODELS = ("SUV 2000", "C/V Cargo Van Minivan 2012", "Series 5 Coupe 2007", "Integra Type R 2001")
_CLASSES = [f"{make} {model}" for make in _MAKES for model in _MODELS]


def generate(mini: Miniature) -> None:
    few = max(mini.n // 8, 1)
    with mini.pack("car_devkit.tgz") as tree:
        tree.write_bytes("devkit/cars_meta.mat", formats.mat5({"class_names": formats.cell(_CLASSES)}))
        tree.write_text("devkit/README.txt", "Cars (miniature)\n")
        tree.write_text("devkit/eval_train.m", "% accuracy of predictions\n")
        train = [_record(mini, "train", index) for index in range(mini.n)]
        tree.write_lines("devkit/train_perfect_preds.txt", (str(record["class"]) for record in train))
        tree.write_bytes("devkit/cars_train_annos.mat", _annotations(train))
        test = [_record(mini, "test", index) for index in range(few)]
        unlabeled = [{name: value for name, value in record.items() if name != "class"} for record in test]
        tree.write_bytes("devkit/cars_test_annos.mat", _annotations(unlabeled))
    mini.write_bytes("cars_test_annos_withlabels.mat", _annotations(test))
    for split, records in (("train", train), ("test", test)):
        with mini.pack(f"cars_{split}.tgz") as tree:
            for index, record in enumerate(records):
                name = _CLASSES[record["class"] - 1]
                card = draw.caption_card(name, (160, 120), note=f"{split} {record['fname']}")
                tree.image(
                    f"cars_{split}/{record['fname']}", quirks.grayscale(card) if index % 40 == 9 else card
                )
    for record in train:
        label = int(record["class"]) - 1
        key = record["fname"].removesuffix(".jpg")
        mini.truth("vehicle_cars", key, target=_CLASSES[label])
        mini.truth("vehicle_cars_brand", key, target=_MAKES[label // len(_MODELS)])


def _record(mini: Miniature, split: str, index: int) -> dict[str, Any]:
    rng = mini.rng(split, index)
    corners = rng.randint(1, 40), rng.randint(1, 40), rng.randint(100, 640), rng.randint(80, 480)
    names = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")
    box = {name: _smallest(edge) for name, edge in zip(names, corners, strict=True)}
    return {**box, "class": np.uint8(rng.randint(1, len(_CLASSES))), "fname": f"{index + 1:05d}.jpg"}


def _smallest(number: int) -> np.uint8 | np.uint16:
    return np.uint8(number) if number < 256 else np.uint16(number)


def _annotations(records: list[dict[str, Any]]) -> bytes:
    return formats.mat5({"annotations": formats.struct_array(records)})
