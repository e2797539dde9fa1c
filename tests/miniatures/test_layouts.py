"""Layout, nesting and quirks of each dataset's miniature, against its fact sheet."""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import scipy.io
from PIL import Image

from vision_flan.miniatures import coco
from vision_flan.miniatures.corrupt import GROUPS

from .conftest import Make, load, truth


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))


def modes(folder: Path) -> set[str]:
    found = set()
    for path in pictures(folder):
        with Image.open(path) as picture:
            found.add(picture.mode)
    return found


def json_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_mnist_m_lists_every_picture_and_repeats_names_between_splits(raw: Make) -> None:
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
    with Image.open(folder / "mnist_m_train/00000000.png") as picture:
        assert (picture.size, picture.mode) == ((32, 32), "RGB")


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
    # writing stands at the top left: rows are dark there, columns are not, once the planes are turned
    picture = planes[0].transpose(2, 1, 0)
    assert (picture[:20].min(axis=2) < 60).sum() > (picture[:, :3].min(axis=2) < 60).sum()
    folds = [line.split() for line in (folder / "fold_indices.txt").read_text().splitlines()]
    assert len(folds) == 10 and all(0 <= int(index) < 100 for fold in folds for index in fold)


def test_cinic_10_has_both_sources_in_class_folders(raw: Make) -> None:
    folder = raw("cinic_10") / "cinic_10"
    paths = [str(path.relative_to(folder)) for path in pictures(folder)]
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


def test_imagenet_c_has_19_corruptions_of_the_same_pictures(raw: Make) -> None:
    folder = raw("imagenet_c") / "imagenet_c"
    paths = [path.relative_to(folder).parts for path in pictures(folder)]
    assert {path[0] for path in paths} == {name for group in GROUPS.values() for name in group}
    assert {path[1] for path in paths} == set("12345")
    assert all(
        re.fullmatch(r"ILSVRC2012_val_\d{8}\.JPEG", path[3]) and path[2].startswith("n") for path in paths
    )
    assert max(Counter(path[3] for path in paths).values()) == 95
    with Image.open(pictures(folder)[0]) as picture:
        assert (picture.size, picture.format) == ((224, 224), "JPEG")


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


def test_clevr_answers_follow_from_its_scenes(raw: Make) -> None:
    root = raw("clevr")
    folder = root / "clevr/CLEVR_v1.0"
    questions = load(folder / "questions/CLEVR_train_questions.json")
    scenes = {one["image_filename"]: one for one in load(folder / "scenes/CLEVR_train_scenes.json")["scenes"]}
    assert list(questions) == ["info", "questions"] and len(questions["questions"]) == 100
    known = truth(root, "vqa_clevr")
    for one in questions["questions"]:
        things = scenes[one["image_filename"]]["objects"]
        for step in one["program"][1:-1]:
            name = step["function"].removeprefix("filter_")
            things = [thing for thing in things if thing[name] == step["value_inputs"][0]]
        last = one["program"][-1]["function"]
        if last == "count":
            answer = str(len(things))
        elif last == "exist":
            answer = "yes" if things else "no"
        else:
            answer = things[0][last.removeprefix("query_")]
        assert one["answer"] == answer == known[f"CLEVR_train_{one['question_index']}"]["target"]
    assert any("  " in one["question"] for one in questions["questions"])
    test = load(folder / "questions/CLEVR_test_questions.json")["questions"]
    assert not any("answer" in one or "program" in one for one in test)
    assert names(folder / "scenes") == {"CLEVR_train_scenes.json", "CLEVR_val_scenes.json"}
    assert modes(folder / "images") == {"RGBA"}
    per_image = Counter(one["image_filename"] for one in questions["questions"])
    assert set(per_image.values()) == {10}
    pairs = truth(root, "vqa_clevr_matching")["CLEVR_train_000000"]["pairs"]
    assert pairs == [[one["question"], one["answer"]] for one in questions["questions"][:9]]


def test_coco_nests_as_upstreams_files_do(raw: Make) -> None:
    root = raw("mscoco")
    folder = root / "mscoco"
    files = {
        f"{kind}_{split}.json" for kind in ("captions", "instances", "person_keypoints") for split in _SPLITS
    }
    assert names(folder) == {"annotations", *_SPLITS} and names(folder / "annotations") == files
    captions = load(folder / "annotations/captions_train2014.json")
    assert list(captions) == ["info", "licenses", "images", "annotations"]
    per_image = Counter(one["image_id"] for one in captions["annotations"])
    assert set(per_image.values()) == {5, 6, 7} and len(per_image) == 100
    ends = {one["caption"][-1] for one in captions["annotations"]}
    assert {".", " ", "\n"} < ends
    known = truth(root, "caption_coco")
    for one in captions["annotations"]:
        assert known[str(one["id"])]["target"].rstrip(".") == one["caption"].strip().rstrip(".")
    assert {one["license"] for one in captions["images"]} == set(range(1, 9)) and modes(folder) == {
        "RGB",
        "L",
    }


_SPLITS = ("train2014", "val2014", "train2017", "val2017")


def test_coco_objects_are_the_classes_of_one_group(raw: Make) -> None:
    root = raw("mscoco")
    folder = root / "mscoco"
    instances = load(folder / "annotations/instances_train2017.json")
    assert instances["categories"] == coco.CATEGORIES
    found: dict[int, set[str]] = defaultdict(set)
    for one in instances["annotations"]:
        assert isinstance(one["segmentation"], dict if one["iscrowd"] else list)
        found[one["image_id"]].add(coco.CATEGORY[one["category_id"]][0])
    assert len(found) < len(instances["images"])  # some pictures have none
    for group in ("animal", "vehicle", "sports", "kitchen", "furniture", "appliance"):
        members = {name for name, its_group in coco.CATEGORY.values() if its_group == group}
        known = truth(root, f"object_coco_{group}")
        for image_id, labels in found.items():
            record = known.pop(f"{image_id:012d}", {})
            inside = labels & members
            assert record.get("answer") == (next(iter(inside)) if len(inside) == 1 else None)
            assert ("dropped" in record) == (len(inside) > 1)
        assert not known
    both = {path.stem[-12:] for split in ("train2014", "val2014") for path in (folder / split).iterdir()}
    assert both == {path.stem for split in ("train2017", "val2017") for path in (folder / split).iterdir()}


def test_vqav2_joins_on_question_id_and_borrows_its_pictures(raw: Make) -> None:
    root = raw("vqav2")
    folder = root / "vqav2"
    questions = load(folder / "v2_OpenEnded_mscoco_train2014_questions.json")
    answers = load(folder / "v2_mscoco_train2014_annotations.json")
    assert list(questions) == ["task_type", "info", "data_type", "data_subtype", "license", "questions"]
    assert list(answers) == ["info", "data_type", "data_subtype", "license", "annotations"]
    by_id = {one["question_id"]: one for one in answers["annotations"]}
    known = truth(root, "vqa_vqav2")
    assert len(questions["questions"]) == 100 == len(by_id) == len(known)
    for one in questions["questions"]:
        answer = by_id[one["question_id"]]
        assert one["question_id"] // 1000 == one["image_id"] == answer["image_id"]
        votes = Counter(vote["answer"] for vote in answer["answers"])
        assert votes.most_common(1)[0][0] == answer["multiple_choice_answer"]
        assert sum(votes.values()) == 10 and known[str(one["question_id"])]["target"] in votes
        path = root / "mscoco/train2014" / coco.file_name("train2014", one["image_id"])
        assert path.exists()


def test_visdial_points_into_its_tables(raw: Make) -> None:
    root = raw("visdial")
    folder = root / "visdial"
    file = load(folder / "visdial_1.0_train.json")
    assert list(file) == ["version", "split", "data"] and list(file["data"]) == [
        "questions",
        "answers",
        "dialogs",
    ]
    questions, answers = file["data"]["questions"], file["data"]["answers"]
    assert len(set(questions)) == len(questions) and len(set(answers)) == len(answers)
    assert not any(text.endswith(("?", ".")) for text in (*questions, *answers))
    known = truth(root, "dialogue_visdial_medium")
    splits = set()
    for dialogue in file["data"]["dialogs"]:
        assert len(dialogue["dialog"]) == 10
        for turn in dialogue["dialog"]:
            assert len(turn["answer_options"]) == 100
            assert turn["answer_options"][turn["gt_index"]] == turn["answer"] and questions[turn["question"]]
        assert known[str(dialogue["image_id"])]["target"] == answers[dialogue["dialog"][4]["answer"]]
        lent = [split for split in ("train2014", "val2014") if _lent(root, split, dialogue["image_id"])]
        assert len(lent) == 1
        splits |= set(lent)
    assert splits == {"train2014", "val2014"}
    val = load(folder / "visdial_1.0_val.json")["data"]["dialogs"][0]["image_id"]
    assert (folder / f"VisualDialog_val2018/VisualDialog_val2018_{val:012d}.jpg").exists()


def _lent(root: Path, split: str, image_id: int) -> bool:
    return (root / "mscoco" / split / coco.file_name(split, image_id)).exists()


def test_hico_is_a_matrix_of_actions_by_pictures(raw: Make) -> None:
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
        assert ("target" in record) == (len(positive) == 1)
        said = record.get("target", "; ".join(record.get("one_of", [])))
        acts = [place for place in positive if verbs[place] != "no_interaction"]
        assert all(nouns[place].replace("_", " ") in said for place in acts or positive)


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
            assert f"The object in the image is {labels[label]}. It {', '.join(true)}" in record["one_of"]
        else:
            assert "dropped" in record
    assert any("dropped" in record for record in known.values())
    assert len((lists / "images.txt").read_text().splitlines()) == 200
    assert len((lists / "attributes_per_class.txt").read_text().splitlines()) == 230
    assert len((lists / "split_zsl.txt").read_text().splitlines()) == 5


def test_wikihow_has_both_packagings_of_the_same_articles(raw: Make) -> None:
    root = raw("wikihow_image")
    folder = root / "wikihow_image"
    articles = json_lines(folder / "WikihowText_data.json")
    folders = {path.name.partition("_")[0]: path for path in (folder / "data").iterdir()}
    assert len(articles) == len(folders) == 100 and set(load(folder / "wikihow_split.json")) == {
        "train",
        "val",
        "test",
    }
    known = truth(root, "script_wikihow_next_step")
    starts, empty = set(), 0
    for article in articles:
        nested = load(folders[article["file_id"]] / "wikihow.json")
        empty += "methods" not in nested
        for one, two in zip(article["methods"], nested.get("methods", []), strict=True):
            for place, (a, b) in enumerate(zip(one["steps"], two["steps"], strict=True)):
                assert a["headline"] == b["headline"] and bool(a["img"]) == bool(b["img"])
                assert (folder / f"wiki_images/{a['step_id']}.png").exists() == bool(a["img"])
                if b["img"]:
                    assert (folders[article["file_id"]] / "image" / b["img"]).exists()
                    starts.add(int(b["img"][:-4].rpartition("_")[2]) - place)
                if a["step_id"] in known:
                    assert known[a["step_id"]]["target"] == one["steps"][place + 1]["headline"]
    assert empty and starts == {0, 1}
    assert any(not record["clear"] for record in known.values())
    assert any("dropped" in record for record in truth(root, "reasoning_wikihow_immediate_next").values())


def test_localized_narratives_are_lines_of_ten_train_shards(raw: Make) -> None:
    root = raw("localized_narratives")
    folder = root / "localized_narratives"
    shards = sorted(folder.glob("open_images_train_v6_localized_narratives-*-of-00010.jsonl"))
    lines = [line for shard in shards for line in json_lines(shard)]
    assert (
        len(shards) == 10 and len(list(folder.glob("coco_train_localized_narratives-*-of-00004.jsonl"))) == 4
    )
    assert list(lines[0]) == [
        "dataset_id",
        "image_id",
        "annotator_id",
        "caption",
        "timed_caption",
        "traces",
        "voice_recording",
    ]
    known = truth(root, "caption_localized_narratives_open_images")
    assert {line["image_id"] for line in lines} == set(known) and len(lines) > len(known) == 100
    for line in lines:
        record = known[line["image_id"]]
        assert (folder / "train" / f"{line['image_id']}.jpg").exists()
        assert line["caption"].strip() in record.get("one_of", [""])
    unpadded = json_lines(folder / "coco_train_localized_narratives-00000-of-00004.jsonl")[0]["image_id"]
    assert (folder / f"train2017/{int(unpadded):012d}.jpg").exists() and not unpadded.startswith("0")
    assert (
        json_lines(folder / "flickr30k_train_localized_narratives.jsonl")[0]["dataset_id"] == "Flick30k_train"
    )


def test_wit_rows_have_17_columns_without_quoting(raw: Make) -> None:
    root = raw("wit")
    folder = root / "wit"
    rows: list[dict[str, str]] = []
    for path in sorted(folder.glob("wit_v1.train.all-*-of-00010.tsv.gz")):
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            rows += csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
    assert len(rows) == 100 and all(len(row) == 17 and None not in row.values() for row in rows)
    assert any('"' in row["context_page_description"] for row in rows)
    assert {row["mime_type"] for row in rows} >= {"image/jpeg", "image/png", "image/svg+xml", "image/gif"}
    assert max(len(row["image_url"]) for row in rows) > 255 and any("%C3" in row["image_url"] for row in rows)
    known = truth(root, "knowledge_wit")
    english = [row for row in rows if row["language"] == "en"]
    assert {row["image_url"] for row in english} == set(known)
    assert max(Counter(row["image_url"] for row in english).values()) == 2
    for row in english:
        record = known[row["image_url"]]
        stored = (folder / "images" / row["image_url"].rpartition("/")[2][:200]).exists()
        if "one_of" in record:
            assert row["context_page_description"] in ("", *record["one_of"]) and stored
    reasons = {record["dropped"] for record in known.values() if "dropped" in record}
    assert reasons == {"not a photograph", "no description", "no picture"}
