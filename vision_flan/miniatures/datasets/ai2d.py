"""AI2D: diagrams with labels, one JSON document of questions per image, and a list of test images.

`n` counts images; every fifth belongs to test. `source_id` is the question id, `<image>.png-<place>`.
"""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

from vision_flan.miniatures import draw, text
from vision_flan.miniatures.miniature import Miniature

_CHAIN = text.listed("grass grasshopper frog snake hawk")
_TOPICS = text.listed("foodChainsWebs lifeCycles partsOfA eclipses")
Boxes = list[tuple[str, draw.Box]]


def generate(mini: Miniature) -> None:
    with (
        mini.pack("ai2d-all.zip") as tree,
        tree.json_object("ai2d/categories.json") as put_topic,
        mini.lines("ai2d_test_ids.csv") as add_test,
    ):
        tree.write_bytes("__MACOSX/ai2d/questions/._0.png.json", b"\x00\x05\x16\x07")
        for index in range(mini.n):
            rng = mini.rng(index)
            names = rng.sample(_CHAIN, len(_CHAIN))
            boxes: Boxes = [(name, (4, 4 + 24 * place, 76, 20)) for place, name in enumerate(names)]
            image = f"{index}.png"
            tree.image(f"ai2d/images/{image}", partial(draw.objects_scene, (96, 128), boxes))
            asked = {} if index % 10 == 4 else _questions(rng, image, names)
            tree.write_json(f"ai2d/questions/{image}.json", {"imageName": image, "questions": asked})
            tree.write_json(f"ai2d/annotations/{image}.json", {"text": _texts(boxes), "arrows": {}})
            put_topic(image, rng.choice(_TOPICS))
            if index % 5 == 2:
                add_test(str(index))
            else:
                _truth(mini, asked)


def _questions(rng: Random, image: str, names: list[str]) -> dict[str, dict[str, Any]]:
    place = rng.randrange(1, len(names))
    choices = rng.sample(names, len(names))
    for no_choice in names[place - 1 : place + 1]:
        choices.remove(no_choice)
    wrong = [*choices[:2], "none of these"]
    last, letters = rng.randrange(3), ["A", "B", "C", "D"]
    shown = [*wrong[:last], names[place], *wrong[last:]]
    return {
        f"What is right below the {names[place - 1]} in the diagram?": _record(image, 0, shown, last),
        f"How many living things are shown, the {names[0]} included?": _record(
            image, 1, ["3", "4", "5", "6"], 2
        ),
        f"Which letter stands for the {names[place]}?": _record(image, 2, letters, 1, letters=True),
    }


def _record(
    image: str, place: int, choices: list[str], right: int, *, letters: bool = False
) -> dict[str, Any]:
    marked = letters or place == 0  # quirk: some records lack the question mark
    return {
        **({"abcLabel": letters} if marked else {}),
        "answerTexts": choices,
        "correctAnswer": right,
        "questionId": f"{image}-{place}",
    }


def _texts(boxes: Boxes) -> dict[str, dict[str, Any]]:
    return {
        f"T{place}": {
            "rectangle": [[x, y], [x + width, y + height]],
            "value": name,
            "replacementText": "ABCDE"[place],
        }
        for place, (name, (x, y, width, height)) in enumerate(boxes)
    }


def _truth(mini: Miniature, asked: dict[str, dict[str, Any]]) -> None:
    for record in asked.values():
        if record.get("abcLabel"):
            continue
        right = record["correctAnswer"]
        target = f"({'ABCD'[right]}) {record['answerTexts'][right]}"
        mini.truth("reasoning_ai2d", record["questionId"], target=target)
