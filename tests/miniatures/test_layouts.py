"""Layout and quirks of miniatures of images with labels, against their fact sheets."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import scipy.io
from PIL import Image

from vision_flan.miniatures.corrupt import GROUPS

from .conftest import Make, images, modes, names, truth


def test_mnist_m_lists_every_image_and_repeats_names_between_splits(raw: Make) -> None:
    root = raw("mnist_m")
    folder = root / "mnist_m/mnist_m"
    known = truth(root, "object_mnist_m")
    listed = {}
    for split in ("train", "test"):
        text = (folder / f"mnist_m_{split}_labels.txt").read_text()
        assert text.endswith("\n")
        listed[split] = dict(line.split(" ") for line in text.splitlines())
        assert set(listed[split]) == names(folder / f"mnist_m_{split}")
    assert set(listed["test"]) < set(listed["train"])
    assert {name.removesuffix(".png"): label for name, label in listed["train"].items()} == {
        key: record["target"] for key, record in known.items()
    }
    with Image.open(folder / "mnist_m_train/00000000.png") as image:
        assert (image.size, image.mode) == ((32, 32), "RGB")


def test_stl_10_is_planes_column_by_column_with_labels_from_1(raw: Make) -> None:
    root = raw("stl_10")
    folder = root / "stl_10/stl10_binary"
    assert names(folder) == {
        *(f"{split}_{part}.bin" for split in ("train", "test") for part in "Xy"),
        "unlabeled_X.bin",
        "class_names.txt",
        "fold_indices.txt",
    }
    classes = (folder / "class_names.txt").read_text().split()
    labels = np.fromfile(folder / "train_y.bin", np.uint8)
    assert labels.min() >= 1 and labels.max() <= 10 == len(classes)
    known = truth(root, "object_stl10")
    assert [known[str(index)]["answer"] for index in range(100)] == [classes[label - 1] for label in labels]
    planes = np.fromfile(folder / "train_X.bin", np.uint8).reshape(-1, 3, 96, 96)
    # text is at the top left: rows are dark there, columns are not, once the planes are transposed
    image = planes[0].transpose(2, 1, 0)
    assert (image[:20].min(axis=2) < 60).sum() > (image[:, :3].min(axis=2) < 60).sum()
    folds = [line.split() for line in (folder / "fold_indices.txt").read_text().splitlines()]
    assert len(folds) == 10 and all(0 <= int(index) < 100 for fold in folds for index in fold)


def test_cinic_10_has_both_sources_in_class_folders(raw: Make) -> None:
    folder = raw("cinic_10") / "cinic_10"
    paths = [str(path.relative_to(folder)) for path in images(folder)]
    pattern = r"(train|valid|test)/[a-z]+/(n\d{8}_\d+|cifar10-(train|test)-\d+)\.png"
    assert all(re.fullmatch(pattern, path) for path in paths) and len(paths) == 120
    assert {"cifar10" in path for path in paths} == {True, False} and modes(folder) == {"RGB", "L"}
    assert {"README.md", "imagenet-contributors.csv", "synsets-to-cifar-10-classes.txt"} < names(folder)


def test_cars_nest_as_the_devkit_does(raw: Make) -> None:
    root = raw("cars")
    folder = root / "cars"
    classes = scipy.io.loadmat(folder / "devkit/cars_meta.mat")["class_names"]
    assert classes.shape == (1, 196) and any("C/V" in name[0] for name in classes[0])
    train = scipy.io.loadmat(folder / "devkit/cars_train_annos.mat")["annotations"]
    assert train.shape == (1, 100)
    assert train.dtype.names == ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname")
    kinds = {one[field].dtype for one in train[0] for field in ("bbox_x1", "bbox_x2")}
    assert kinds == {np.dtype("uint8"), np.dtype("<u2")} and train[0, 0]["class"].dtype == np.uint8
    test = scipy.io.loadmat(folder / "devkit/cars_test_annos.mat")["annotations"]
    assert "class" not in test.dtype.names
    assert "class" in scipy.io.loadmat(folder / "cars_test_annos_withlabels.mat")["annotations"].dtype.names
    known, brands = truth(root, "vehicle_cars"), truth(root, "vehicle_cars_brand")
    for one in train[0]:
        key = one["fname"][0].removesuffix(".jpg")
        assert known[key]["target"] == classes[0, int(one["class"][0, 0]) - 1][0]
        assert known[key]["target"].startswith(brands[key]["target"] + " ")
    assert names(folder / "cars_test") < names(folder / "cars_train") and modes(folder) == {"RGB", "L"}


def test_imagenet_c_has_19_corruptions_of_the_same_images(raw: Make) -> None:
    folder = raw("imagenet_c") / "imagenet_c"
    paths = [path.relative_to(folder).parts for path in images(folder)]
    assert {path[0] for path in paths} == {name for group in GROUPS.values() for name in group}
    assert {path[1] for path in paths} == set("12345")
    assert all(
        re.fullmatch(r"ILSVRC2012_val_\d{8}\.JPEG", path[3]) and path[2].startswith("n") for path in paths
    )
    assert max(Counter(path[3] for path in paths).values()) == 95
    with Image.open(images(folder)[0]) as image:
        assert (image.size, image.format) == ((224, 224), "JPEG")


def test_raven_follows_its_rules_and_one_choice_is_right(raw: Make) -> None:
    root = raw("raven")
    folder = root / "raven/RAVEN-10000"
    known = truth(root, "reasoning_raven")
    assert len(names(folder)) == 7
    kinds = set()
    for path in folder.rglob("*.npz"):
        data = np.load(path, allow_pickle=True)
        config, _, k, split = path.parent.name, *path.stem.split("_")
        assert split == ("train" if int(k) % 10 < 6 else "val" if int(k) % 10 < 8 else "test")
        assert data["image"].shape == (16, 160, 160) and data["predict"] == data["target"]
        kinds |= {str(data["image"].dtype), data["structure"].dtype.kind}
        assert len({panel.tobytes() for panel in data["image"][8:]}) == 8
        if split == "train":
            assert known[f"{config}/{path.stem}"]["target"] == f"Option {int(data['target']) + 1}"
        _follows_rules(path.with_suffix(".xml"), int(data["target"]))
    assert kinds == {"uint8", "int64", "U", "O"}


def _follows_rules(path: Path, target: int) -> None:
    tree = ElementTree.parse(path)
    panels = tree.findall("Panels/Panel")
    cells = [*panels[:8], panels[8 + target]]
    assert len(panels) == 16
    for place, group in enumerate(tree.findall("Rules/Rule_Group")):
        for rule in group:
            attribute = rule.attrib["attr"]
            values = []
            for cell in cells:
                layout = cell.findall("Struct/Component")[place].find("Layout")
                assert layout is not None
                values.append(
                    int(layout.attrib["Number"] if "/" in attribute else layout[0].attrib[attribute])
                )
            rows = [values[start : start + 3] for start in (0, 3, 6)]
            if rule.attrib["name"] == "Constant":
                assert all(len(set(row)) == 1 for row in rows)
            elif rule.attrib["name"] == "Progression":
                assert len({(row[1] - row[0], row[2] - row[1]) for row in rows}) == 1
            else:
                assert len({tuple(sorted(row)) for row in rows}) == 1 and len(set(map(tuple, rows))) == 3


def test_hico_is_a_matrix_of_actions_by_images(raw: Make) -> None:
    root = raw("hico")
    folder = root / "hico/hico_20150920"
    file = scipy.io.loadmat(folder / "anno.mat")
    assert file["list_action"].shape == (600, 1) and file["list_train"].shape == (100, 1)
    assert file["anno_train"].shape == (600, 100) and file["anno_train"].dtype == np.float64
    codes = file["anno_train"]
    assert np.isnan(codes).any() and set(np.unique(codes[~np.isnan(codes)])) == {-1.0, 0.0, 1.0}
    nouns = [action["nname"][0] for action in file["list_action"][:, 0]]
    verbs = [action["vname"][0] for action in file["list_action"][:, 0]]
    assert len(set(nouns)) == 80 and verbs.count("no_interaction") == 80
    known = truth(root, "human_hico")
    for column, name in enumerate(file["list_train"][:, 0]):
        record = known[name[0].removesuffix(".jpg")]
        positive = np.flatnonzero(codes[:, column] == 1)
        assert (folder / "images/train2015" / name[0]).exists()
        said = record["target"]
        acts = [place for place in positive if verbs[place] != "no_interaction"]
        called = {
            place: nouns[place].replace("_", " ").replace("drier", "dryer") for place in acts or positive
        }
        assert all(name in said.lower() for name in called.values())


def test_lad_separates_by_comma_and_blank_and_holds_359_attributes(raw: Make) -> None:
    root = raw("lad")
    folder = root / "lad"
    lists = folder / "LAD_annotations"
    labels = dict(line.split(", ")[:2] for line in (lists / "label_list.txt").read_text("utf-8").splitlines())
    attributes = (lists / "attribute_list.txt").read_text("utf-8").splitlines()
    phrases = [line.split(", ", 1)[1].rsplit(", ", 1)[0].split(": ", 1)[1] for line in attributes]
    assert len(labels) == 230 and len(phrases) == 359 and len(set(labels.values())) == 230
    assert any("＞" in phrase for phrase in phrases) and any(" " in name for name in labels.values())
    known = truth(root, "caption_lad_detailed")
    rows = (lists / "attributes.txt").read_text().splitlines()
    assert len(rows) == 100
    for row in rows:
        label, path, vector = row.split(", ")
        values = vector.removeprefix("[ ").removesuffix(" ]").split(" ")
        assert len(values) == 359 and (folder / "LAD_images" / path).exists()
        true = [phrases[place] for place, value in enumerate(values) if value == "1"]
        record = known[Path(path).stem]
        if true:
            said = record["target"].replace("more than", "＞")
            assert labels[label] in said and all(phrase in said for phrase in true)
        else:
            assert "dropped" in record
    assert any("dropped" in record for record in known.values())
    assert len((lists / "images.txt").read_text().splitlines()) == 200
    assert len((lists / "attributes_per_class.txt").read_text().splitlines()) == 230
    assert len((lists / "split_zsl.txt").read_text().splitlines()) == 5
