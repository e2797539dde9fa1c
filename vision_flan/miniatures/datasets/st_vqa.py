"""ST-VQA: questions about words in photos of six collections, two of which may share a file name.

`n` counts train questions; test gets an eighth. `source_id` is the question id.
"""

from __future__ import annotations

from functools import partial
from random import Random

from PIL import Image

from vision_flan.miniatures import draw, text
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Drawing

_SOURCES = ("coco-text", "iiit", "icdar", "imageNet", "vizwiz", "vg")
#: Words of signs without numbers or symbols such as &.
_WORDS = tuple(word for word in text.SIGNS if word.isalpha())
_PLACES = text.listed("sign;bus;bottle;t-shirt;note book;storefront", ";")


def generate(mini: Miniature) -> None:
    # circulating copies have either folder name
    folder = mini.rng("folder").choice(("train_images", "train_imgs"))
    _split(mini, "train", folder, mini.n)
    _split(mini, "test", "test_task3_images", max(mini.n // 8, 1))


def _split(mini: Miniature, split: str, folder: str, count: int) -> None:
    head = {
        "dataset_name": "ST-VQA",
        "dataset_version": 1.0,
        "task_name": "Task 3",
        "task_number": 3,
        "set_name": split,
    }
    with mini.json_array(f"{split}_task_3.json", "data", head) as add:
        for index in range(count):
            rng = mini.rng(split, index)
            source = _SOURCES[index % len(_SOURCES)]
            # iiit and icdar share file names
            number = index if source != "icdar" else index - 1
            name = f"COCO_train2014_{number:012d}.jpg" if source == "coco-text" else f"img_{number}.jpg"
            words = [rng.choice(_WORDS) for _ in range(3)]
            mini.image(f"{folder}/{source}/{name}", partial(_photo, words, index))
            question_id = mini.number(index, 1, 99_999, split)
            place = rng.randrange(3)
            record = _record(rng, question_id, source, name, place)
            if split == "train":
                record["answers"] = [words[place], words[place].upper()][: rng.randint(1, 2)]
                mini.truth("ocr_stvqa", question_id, target=words[place])
            add(record | {"set_name": split})


def _photo(words: list[str], index: int) -> Drawing:
    if index % 20 == 17:
        return Image.new("RGB", (1, 60))
    return draw.page(words, (128, 96), 18)


def _record(rng: Random, question_id: int, source: str, name: str, place: int) -> dict[str, object]:
    rank = ("first", "second", "third")[place]
    question = f"what is the {rank} word on the {rng.choice(_PLACES)}"
    return {
        "file_path": f"{source}/{name}",
        "question": f"{question.capitalize()}?" if rng.random() < 0.2 else question,
        "dataset": source,
        "question_id": question_id,
        "file_name": name,
    }
