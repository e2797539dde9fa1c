"""Localized Narratives: long captions with timed words and mouse traces, JSON lines, on four image sources.

`n` counts images of Open Images train, in ten shards; each other train file gets a quarter, each of val and
test a twentieth. `source_id` is `image_id` as the line has it. An image with several narratives has several
acceptable targets. Images lie in this dataset's own folder, below the folders of their sources.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from functools import lru_cache, partial
from random import Random

from vision_flan.miniatures import coco, draw, open_images, text
from vision_flan.miniatures.miniature import Miniature

#: file stem -> dataset_id, task, folder of the images, share of n, shards
_FILES: dict[str, tuple[str, str, str, float, int]] = {
    "open_images_train_v6": ("open_images_train", "open_images", "train", 1.0, 10),
    "open_images_validation": ("open_images_validation", "", "validation", 0.05, 1),
    "open_images_test": ("open_images_test", "", "test", 0.05, 1),
    "coco_train": ("mscoco_train2017", "coco", "train2017", 0.25, 4),
    "coco_val": ("mscoco_val2017", "", "val2017", 0.05, 1),
    "flickr30k_train": ("Flick30k_train", "flickr30k", "flickr30k-images", 0.25, 1),
    "flickr30k_val": ("Flick30k_val", "", "flickr30k-images", 0.05, 1),
    "flickr30k_test": ("Flick30k_test", "", "flickr30k-images", 0.05, 1),
    "ade20k_train": ("ADE20k_train", "ade20k", "ADEChallengeData2016/images/training", 0.25, 1),
    "ade20k_validation": ("ADE20k_validation", "", "ADEChallengeData2016/images/validation", 0.05, 1),
}


def generate(mini: Miniature) -> None:
    listed = [_image(mini, "open_images_train_v6", index)[0] for index in range(mini.n)]
    open_images.authors(mini, mini, "open_images/train-images-boxable-with-rotation.csv", "train", listed)
    for stem, (dataset_id, task, folder, part, shards) in _FILES.items():
        count = max(int(mini.n * part), 2)
        with ExitStack() as stack:
            add = [
                stack.enter_context(mini.lines(f"{stem}_localized_narratives{_shard(place, shards)}.jsonl"))
                for place in range(shards)
            ]
            for index in range(count):
                image_id, file = _image(mini, stem, index)
                captions = _captions(mini, stem, index)
                path = f"{folder}/{file}"
                shown = "; ".join(captions)
                mini.image(path, partial(draw.caption_card, shown, (200, 150 * len(captions))))
                for turn, caption in enumerate(captions):
                    rng = mini.rng(stem, index, turn, "line")
                    add[index * shards // count](_line(rng, dataset_id, image_id, caption))
                _truth(mini, task, image_id, captions)


def _shard(place: int, shards: int) -> str:
    return f"-{place:05d}-of-{shards:05d}" if shards > 1 else ""


def _image(mini: Miniature, stem: str, index: int) -> tuple[str, str]:
    """The id in the line, and the image's file name; COCO pads only the latter."""
    if stem.startswith("coco"):
        number = mini.number(index, 1, coco.MAX_ID, stem)
        return str(number), f"{number:012d}.jpg"
    if stem.startswith("open_images"):
        key = mini.hex_id(16, stem, index)
    elif stem.startswith("flickr"):
        key = str(mini.number(index, 10_000_000, 9_999_999_999, stem))
    else:
        key = f"ADE_{'train' if 'train' in stem else 'val'}_{index + 1:08d}"
    return key, f"{key}.jpg"


def _captions(mini: Miniature, stem: str, index: int) -> list[str]:
    """Narratives of an image: sometimes two, sometimes an empty one."""
    if index % 25 == 9:
        return ["  " if index % 2 else ""]
    speakers = (mini.rng(stem, index, turn) for turn in range(2 if index % 25 == 4 else 1))
    return [f"In this image {text.clause(rng)}. {text.paragraph(rng, rng.randint(1, 3))}" for rng in speakers]


@lru_cache(maxsize=64)
def _traces(number: int) -> str:
    """Encoded traces: they are most of a line's bytes, so a few are made once and reused."""
    rng = Random(number)
    points = [
        {"x": round(rng.uniform(-0.05, 1.05), 4), "y": round(rng.random(), 4), "t": at / 50}
        for at in range(60)
    ]
    return json.dumps([points[:25], points[25:]])


def _line(rng: Random, dataset_id: str, image_id: str, caption: str) -> str:
    words = caption.split()
    annotator = rng.randrange(200)
    spoken = (" ".join(words[at : at + 4]) for at in range(0, len(words), 4))
    record = {
        "dataset_id": dataset_id,
        "image_id": image_id,
        "annotator_id": annotator,
        "caption": caption,
        "timed_caption": [
            {"utterance": part, "start_time": float(at), "end_time": at + 0.8}
            for at, part in enumerate(spoken)
        ],
    }
    voice = f"{dataset_id}/{dataset_id}_{image_id}_{annotator}.ogg"
    traces = _traces(annotator % 64)
    return f'{json.dumps(record)[:-1]}, "traces": {traces}, "voice_recording": "{voice}"}}'


def _truth(mini: Miniature, task: str, image_id: str, captions: list[str]) -> None:
    if not task:
        return
    spoken = [caption.strip() for caption in captions if caption.strip()]
    name = f"caption_localized_narratives_{task}"
    if not spoken:
        mini.truth(name, image_id, dropped="no caption")
    else:
        mini.truth(name, image_id, one_of=spoken)
