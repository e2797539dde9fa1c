"""Layout and quirks of miniatures of questions, captions and dialogues, against their fact sheets."""

from __future__ import annotations

import csv
import gzip
from collections import Counter, defaultdict
from pathlib import Path

from vision_flan.miniatures import coco

from .conftest import Make, json_lines, load, modes, names, said, truth


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
        assert one["caption"].strip().rstrip(".") in said(known[str(one["id"])])
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
    assert len(found) < len(instances["images"])  # some images have none
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


def test_vqav2_joins_on_question_id_and_borrows_its_images(raw: Make) -> None:
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
                if "dropped" not in known.get(a["step_id"], {"dropped": ""}):
                    assert one["steps"][place + 1]["headline"].rstrip(".") in said(known[a["step_id"]])
    assert empty and starts == {0, 1}
    assert any("dropped" in record for record in known.values())
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
        assert line["caption"].strip().rstrip(".") in said(record)
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
        assert stored or "dropped" in record
    reasons = {record["dropped"] for record in known.values() if "dropped" in record}
    assert reasons == {"not a photograph", "no description", "no picture"}
