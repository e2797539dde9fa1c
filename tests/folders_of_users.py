"""Folders as newcomers have them: exports of Kaggle, Roboflow, YOLO, the Hub, well-known benchmarks.

Each function fills a folder, in the form that its site or authors give; images are drawn.
"""

from __future__ import annotations

import io
import json
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

from tests.folders_of_files import photo

DISEASES = ("Cassava Bacterial Blight", "Healthy", "Cassava Mosaic Disease")
SYNSETS = {
    "n01443537": "goldfish, Carassius auratus",
    "n01629819": "European fire salamander, Salamandra salamandra",
    "n01641577": "bullfrog, Rana catesbeiana",
}


def put(path: Path, data: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


def kaggle_competition(folder: Path) -> None:
    """train.csv with numbers, test.csv without a label, names of the numbers in a JSON file."""
    rows = [f"{1000 + i}.jpg,{i % 3}" for i in range(40)]
    put(folder / "train.csv", "\n".join(["image_id,label", *rows]) + "\n")
    for i in range(40):
        put(folder / f"train_images/{1000 + i}.jpg", photo(i))
    tests = [f"{2000 + i}.jpg" for i in range(6)]
    for name in tests:
        put(folder / f"test_images/{name}", photo(name))
    put(folder / "test.csv", "\n".join(["image_id", *tests]) + "\n")
    put(
        folder / "sample_submission.csv", "\n".join(["image_id,label", *(f"{one},0" for one in tests)]) + "\n"
    )
    put(folder / "label_num_to_disease_map.json", json.dumps(dict(enumerate(DISEASES))))


def kaggle_cats_and_dogs(folder: Path) -> None:
    """All images in one folder, the class in front of their number."""
    for i in range(30):
        put(folder / f"train/{('cat', 'dog')[i % 2]}.{i}.jpg", photo(i))


def roboflow_coco(folder: Path) -> None:
    """A COCO file in the folder of each split; boxes of whole numbers, and later ones with a fraction."""
    rng = random.Random(2)
    for split, count in (("train", 24), ("valid", 6), ("test", 5)):
        images, objects = [], []
        for i in range(count):
            name = f"hard_hat_{i}_png.rf.{rng.getrandbits(64):016x}.jpg"
            put(folder / split / name, photo(f"{split}{i}"))
            images.append({"id": i, "license": 1, "file_name": name, "height": 36, "width": 48})
            for _ in range(i % 3 + 1):
                kind = i % 3 + 1 if i % 2 else rng.randrange(1, 4)
                box = [1, 2, 3.5 if split == "valid" else 3, 4]
                objects.append({"id": len(objects), "image_id": i, "category_id": kind, "bbox": box,
                                "area": 12, "segmentation": [], "iscrowd": 0})  # fmt: skip
        names = ("Workers", "head", "helmet", "person")
        kinds = [{"id": at, "name": name, "supercategory": "none"} for at, name in enumerate(names)]
        document = {"info": {"year": "2022"}, "licenses": [{"id": 1, "url": "x", "name": "Public Domain"}],
                    "categories": kinds, "images": images, "annotations": objects}  # fmt: skip
        put(folder / split / "_annotations.coco.json", json.dumps(document))
    put(folder / "README.roboflow.txt", "Hard Hat - v2\nThis dataset was exported, and so on.\n")


def yolo(folder: Path) -> None:
    """A text file of boxes for each image, one of them empty, one lacking; names in data.yaml."""
    for split, count in (("train", 20), ("val", 6)):
        for i in range(count):
            put(folder / f"images/{split}/{split}_{i:04}.jpg", photo(f"{split}{i}"))
            lines = [f"{(i + k * (i % 2)) % 3} 0.5 0.5 0.25 0.{k + 1}\n" for k in range(i % 3 + 1)]
            if i != 3:
                put(folder / f"labels/{split}/{split}_{i:04}.txt", "" if i == 4 else "".join(lines))
    put(
        folder / "data.yaml",
        "train: ../images/train\nval: ../images/val\nnc: 3\nnames: ['bus', 'car', 'van']\n",
    )


def boxes_in_csv(folder: Path) -> None:
    """A row an object, as TensorFlow's converters write."""
    rows = ["filename,width,height,class,xmin,ymin,xmax,ymax"]
    for i in range(20):
        put(folder / f"images/{i}.jpg", photo(i))
        rows += [
            f"{i}.jpg,48,36,{('Stop Sign', 'Yield Sign')[i % 2]},1,2,{k + 9},9" for k in range(i % 3 + 1)
        ]
    put(folder / "labels.csv", "\n".join(rows) + "\n")


def hub_image_folder(folder: Path) -> None:
    """metadata.csv beside the images of each split, and the card."""
    for split, count in (("train", 20), ("test", 6)):
        rows = [f"{i:04}.png,{('cat', 'dog')[i % 2]},note {i}" for i in range(count)]
        put(
            folder / f"data/{split}/metadata.csv",
            "\n".join(["file_name,label,additional feature", *rows]) + "\n",
        )
        for i in range(count):
            put(folder / f"data/{split}/{i:04}.png", photo(f"{split}{i}", form="PNG"))
    put(folder / "README.md", "---\nlicense: mit\n---\n# Pets\n")


def a_zip_of_a_mac(folder: Path) -> None:
    """Spaces and capitals in names, three spellings of a suffix, and what a Mac leaves behind."""
    for i in range(36):
        kind = ("Rose Garden", "Wild Tulip", "Ox-eye Daisy")[i % 3]
        put(folder / f"Flower Photos/{kind}/IMG {i:03}.{('JPG', 'jpeg', 'jpg')[i // 3 % 3]}", photo(i))
    put(folder / ".DS_Store", b"\0\0\0\1Bud1")
    put(folder / "Flower Photos/.DS_Store", b"\0\0\0\1Bud1")
    put(folder / "__MACOSX/Flower Photos/Rose Garden/._IMG 000.JPG", b"\0\5\x16\7")
    put(folder / "README.md", "# Flowers\n")
    put(folder / "LICENSE.txt", "CC BY 4.0\n")


def class_folders_of_splits(folder: Path) -> None:
    for i in range(48):
        split = "train" if i < 30 else "val" if i < 39 else "test"
        kind = ("Cloudy", "Rain", "Shine")[i % 3]
        put(folder / f"{split}/{kind}/{kind.lower()}{i}.jpg", photo(i))


def tiny_imagenet(folder: Path) -> None:
    """Folders named by WordNet ids; their names in words.txt; a split without folders."""
    top, ids = folder / "tiny-imagenet-200", list(SYNSETS)
    for i in range(30):
        put(top / f"train/{ids[i % 3]}/images/{ids[i % 3]}_{i}.JPEG", photo(i))
    for i in range(9):
        put(top / f"val/images/val_{i}.JPEG", photo(f"v{i}"))
    put(
        top / "val/val_annotations.txt",
        "".join(f"val_{i}.JPEG\t{ids[i % 3]}\t0\t0\t9\t9\n" for i in range(9)),
    )
    put(top / "wnids.txt", "\n".join(ids) + "\n")
    words = {**SYNSETS, "n00001740": "entity", "n02084071": "dog, domestic dog"}
    put(top / "words.txt", "".join(f"{key}\t{name}\n" for key, name in words.items()))


def celeba(folder: Path) -> None:
    """Columns between spaces: the number of records, the names of the columns, 1 and -1."""
    lines = ["30", "5_o_Clock_Shadow Eyeglasses Smiling"]
    for i in range(30):
        put(folder / f"img_align_celeba/{i + 1:06}.jpg", photo(i))
        flags = (1 if i % 2 else -1, 1 if i % 3 == 0 else -1, 1 if i % 5 == 0 else -1)
        lines.append(f"{i + 1:06}.jpg " + " ".join(f"{flag:2d}" for flag in flags))
    put(folder / "list_attr_celeba.txt", "\n".join(lines) + "\n")


def one_hot(folder: Path) -> None:
    """A column of 0.0 and 1.0 for each class, as in ISIC."""
    rows = ["image,MEL,NV,BCC"]
    for i in range(30):
        put(folder / f"ISIC_Training_Input/ISIC_{i:07}.jpg", photo(i))
        rows.append(f"ISIC_{i:07}," + ",".join("1.0" if i % 3 == at else "0.0" for at in range(3)))
    put(folder / "ISIC_Training_GroundTruth.csv", "\n".join(rows) + "\n")


def vqa_v2(folder: Path) -> None:
    """Questions and answers in two files; images named by the number with zeros in front."""
    questions, answers = [], []
    for i in range(12):
        put(folder / f"val2014/COCO_val2014_{i + 40:012}.jpg", photo(i))
    for i in range(30):
        number, said = i * 10 + 1, ("yes", "two", "red ball")[i % 3]
        questions.append({"image_id": i % 12 + 40, "question": f"What is thing {i}?", "question_id": number})
        answers.append({"question_type": "what is", "multiple_choice_answer": said,
                        "answers": [{"answer": said, "answer_confidence": "yes", "answer_id": 1}],
                        "image_id": i % 12 + 40, "answer_type": "other", "question_id": number})  # fmt: skip
    put(folder / "v2_OpenEnded_mscoco_val2014_questions.json",
        json.dumps({"info": {}, "data_subtype": "val2014", "questions": questions}))  # fmt: skip
    put(folder / "v2_mscoco_val2014_annotations.json", json.dumps({"info": {}, "annotations": answers}))


def flickr8k(folder: Path) -> None:
    """captions.txt, which is a CSV: five captions an image."""
    rows = [f'{i}_ab.jpg,"A dog , number {k} , runs ."' for i in range(12) for k in range(5)]
    put(folder / "captions.txt", "\n".join(["image,caption", *rows]) + "\n")
    for i in range(12):
        put(folder / f"Images/{i}_ab.jpg", photo(i))


def llava(folder: Path) -> None:
    """Conversations about one image."""
    records = []
    for i in range(12):
        put(folder / f"images/coco/train2017/{i:012}.jpg", photo(i))
        turns = [{"from": "human", "value": "<image>\nWhat is it?"},
                 {"from": "gpt", "value": f"This is thing {i}, and it stands on a table."}]  # fmt: skip
        records.append({"id": f"{i:012}", "image": f"coco/train2017/{i:012}.jpg", "conversations": turns})
    put(folder / "llava_instruct.json", json.dumps(records))


def texts_beside_images(folder: Path) -> None:
    """A caption for each image in a text file of its name, in a tar, as WebDataset has them."""
    folder.mkdir(parents=True)
    with tarfile.open(folder / "00000.tar", "w") as tar:
        for i in range(12):
            text = f"A photo of thing {i}\non a table.\n".encode()
            for name, data in ((f"{i:09}.jpg", photo(i)), (f"{i:09}.txt", text)):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))


#: Folder -> reader of its table, form, instances, targets that occur (without letters of options), and a note
#: or reason that is printed.
FOLDERS: list[tuple[Callable[[Path], None], str, str, int, set[str], str]] = [
    (kaggle_competition, "delimited", "options", 40, {"healthy", "cassava mosaic disease"},
     "the names of the labels are those of label_num_to_disease_map.json"),
    (kaggle_cats_and_dogs, "files", "options", 30, {"cat", "dog"}, "{class}.{number:d}.jpg"),
    (roboflow_coco, "json", "number", 31, {"1", "2", "3"}, "README.roboflow.txt (text for people)"),
    (yolo, "lines", "list", 18, {"bus", "car; van", "bus; car; van"}, "are those of data.yaml"),
    (boxes_in_csv, "delimited", "number", 20, {"1", "2", "3"}, "label: label"),
    (hub_image_folder, "delimited", "options", 20, {"cat", "dog"}, "README.md (text for people)"),
    (a_zip_of_a_mac, "files", "options", 36, {"rose garden", "wild tulip", "ox eye daisy"},
     "README.md, LICENSE.txt (text for people)"),
    (class_folders_of_splits, "files", "options", 30, {"cloudy", "rain", "shine"}, "split: split = train"),
    (tiny_imagenet, "files", "label", 30, {"goldfish", "bullfrog", "european fire salamander"},
     "words.txt (its names are in `labels`)"),
    (celeba, "lines", "list", 22, {"smiling", "5 o clock shadow; eyeglasses"}, "list_attr_celeba.txt"),
    (one_hot, "delimited", "options", 30, {"MEL", "NV", "BCC"}, "label: label"),
    (vqa_v2, "json", "phrase", 30, {"yes", "two", "red ball"}, "COCO_val2014_{{ image_id | pad(12) }}.jpg"),
    (flickr8k, "delimited", "sentence", 60, {"A dog , number 4 , runs ."}, "caption: caption"),
    (texts_beside_images, "text", "sentence", 12, {"A photo of thing 7 on a table."}, "caption: _value"),
    (llava, "json", "free_text", 12, {"This is thing 7, and it stands on a table."}, "turns: conversations"),
]  # fmt: skip
