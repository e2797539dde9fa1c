"""FUNSD: scanned forms, one JSON document per page, with unordered entities.

`n` counts training pages; testing_data gets a third. `source_id` is the file name without suffix.
"""

from __future__ import annotations

from itertools import chain
from random import Random

from vision_flan.miniatures import draw, quirks, text
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Tree

_LABELS = ("question", "answer", "header", "other")
_TEXTS = text.listed(
    'DATE:;TO:;FROM:;R&D Center;Sample "A" No. 7;Fax (212) 555-0100;5/21/94;Philip Morris;COMMENTS:;Yes;No;'
    "Total cost: $ 1,250;REPORT OF TEST;Page 2 of 3;l0 rng tar;Signature;;Müller & Co.",
    ";",
)


def generate(mini: Miniature) -> None:
    with mini.pack("dataset.zip") as tree:
        tree.write_bytes("__MACOSX/dataset/training_data/annotations/._0.json", b"\x00\x05\x16\x07")
        tree.write_bytes("dataset/.DS_Store", b"\x00\x00\x00\x01Bud1")
        for index in range(mini.n):
            _page(mini, tree, "training_data", index)
        for index in range(max(mini.n // 3, 1)):
            _page(mini, tree, "testing_data", index)


def _page(mini: Miniature, tree: Tree, split: str, index: int) -> None:
    rng = mini.rng(split, index)
    name = f"{mini.number(index, 10_000_000, 99_999_999, split):010d}"
    lines = [rng.choices(_TEXTS, k=rng.randint(1, 3)) for _ in range(rng.randint(2, 6))]
    size, boxes = draw.lines_of_words([[text or "." for text in line] for line in lines], rng)
    entities = list(zip(chain(*lines), chain(*boxes), strict=True))
    scene = draw.word_scene(size, [entity for entity in entities if entity[0]], rng)
    tree.image(f"dataset/{split}/images/{name}.png", quirks.grayscale(scene, ".png"))
    form = [_entity(rng, key, *entity) for key, entity in enumerate(rng.sample(entities, len(entities)))]
    tree.write_json(f"dataset/{split}/annotations/{name}.json", {"form": form})
    if split == "training_data":
        _truth(mini, name, [text for text, _ in entities if text])


def _entity(rng: Random, key: int, shown: str, box: draw.Box) -> dict[str, object]:
    corners = [box[0], box[1], box[0] + box[2], box[1] + box[3]]
    words = [{"text": word, "box": corners} for word in shown.split()]
    links = [[key - 1, key]] if key % 2 else []
    return {
        "id": key,
        "text": shown,
        "box": corners,
        "linking": links,
        "label": rng.choice(_LABELS),
        "words": words,
    }


def _truth(mini: Miniature, name: str, texts: list[str]) -> None:
    if texts:
        target = "; ".join('"' + shown.replace('"', "'") + '"' for shown in texts)
        mini.truth("ocr_funsd", name, target=target)
    else:
        mini.truth("ocr_funsd", name, dropped="no text")
