"""ViQuAE: trivia questions about entities in images, JSON lines in KILT's style.

`n` counts questions of train; validation and test get as many each, without truth. `source_id` is the id.
"""

from __future__ import annotations

import json
from random import Random
from typing import Any

from PIL import Image

from vision_flan.miniatures import draw, quirks
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Drawing

#: Name, how the question refers to it, the file on Wikimedia, and questions with answers.
_ENTITIES = (
    (
        "Jackie Wilson",
        "singer",
        "512px-Jackie_Wilson.png",
        (("was born in which American city?", "Detroit"), ("came from which country?", "United States")),
    ),
    (
        "Málaga",
        "city",
        "512px-Málaga_(España),_2010.jpg",
        (
            ("is the birthplace of which painter?", "Pablo Picasso"),
            ("lies on which sea?", "Mediterranean Sea"),
        ),
    ),
    (
        "100% Hotel",
        "hotel",
        "512px-100%25_Hotel.jpg",
        (("has which number in its name?", "100"), ("has which sign in its name?", "Percent sign")),
    ),
    (
        "Kenya",
        "country",
        "512px-Flag_of_Kenya.svg.png",
        (("has which capital?", "Nairobi"), ("became independent in which year?", "1963")),
    ),
    (
        "Buzz Aldrin",
        "astronaut",
        "512px-Aldrin.gif",
        (
            ("followed which man onto the moon?", "Neil Armstrong"),
            ("flew on which Apollo mission?", "Apollo 11"),
        ),
    ),
)


def generate(mini: Miniature) -> None:
    with mini.pack("images.tar.gz") as tree:
        for place, (name, _, file, _) in enumerate(_ENTITIES):
            card = draw.caption_card(name, (512, 128))
            tree.image(f"images/{file}", _stored(card, place))
    for split in ("train", "validation", "test"):
        with mini.json_lines(f"{split}.jsonl", ensure_ascii=False) as add:
            for index in range(mini.n):
                record = _record(mini.rng(split, index), mini.hex_id(32, split, index), index)
                add(record)
                if split != "test":
                    shown = record["input"][0].upper() + record["input"][1:]
                    answer = record["output"]["original_answer"]
                    mini.truth("knowledge_viquae", record["id"], target=answer, contains=f"\n{shown}")


def _stored(card: Image.Image, place: int) -> Drawing:
    return quirks.palette(card) if place == 0 else quirks.rgba(card) if place == 3 else card


def _record(rng: Random, key: str, index: int) -> dict[str, Any]:
    name, kind, file, quiz = _ENTITIES[index % len(_ENTITIES)]
    question, answer = rng.choice(quiz)
    return {
        "id": key,
        "kilt_id": f"qw_{index}",
        "image": file,
        "url": f"http://upload.wikimedia.org/wikipedia/commons/thumb/{file}",
        "input": f"this {kind} {question}",
        "original_question": f"{name} {question}",
        "output": {
            "original_answer": answer,
            "answer": [f"Nam {answer}", answer.upper(), answer.lower(), answer],
            "provenance": [{"title": [answer]}],
        },
        "wikidata_id": f"Q{1000 + index % len(_ENTITIES)}",
        "meta": {"note": json.dumps(name)},
    }
