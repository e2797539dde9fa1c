"""KVQA: questions about people in photos, one JSON object keyed by picture number.

`n` counts pictures; seven in ten are train in the first partition. `source_id` is the picture number, with
the position of the question from 0 for knowledge_kvqa, `39346_2`.
"""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

from vision_flan.miniatures import quirks, scenes
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Picture

_NAMES = {
    "Tryggve Gran": ("Q439655", "Norway"),
    "Miloš Forman": ("Q51525", "Czechoslovakia"),
    "Ana María Matute": ("Q235077", "Spain"),
    "Björn Borg": ("Q51530", "Sweden"),
}


def generate(mini: Miniature) -> None:
    with mini.pack("KVQAimgs.tar.gz") as tree, mini.json_object("dataset.json") as put:
        for index in range(mini.n):
            rng = mini.rng(index)
            key = str(mini.number(index, 1, max(40_000, 2 * mini.n)))
            people = rng.sample(list(_NAMES), rng.randint(1, 2))
            pairs = _pairs(rng, people)
            record = _record(rng, index, key, people, pairs)
            put(key, record)
            tree.image(f"KVQAimgs/{key}.jpg", partial(_photo, rng.choice(("happy", "neutral")), index))
            if record["split"][0] == 1:
                _truth(mini, key, record)


def _photo(expression: str, index: int) -> Picture:
    face = scenes.face(expression, (96 + index % 5, 96), tone=index % 5)
    return (quirks.cmyk(face), face, quirks.grayscale(face), face, face)[index % 5]


def _pairs(rng: Random, people: list[str]) -> list[tuple[str, str | int]]:
    first, country = people[0], _NAMES[people[0]][1]
    pairs: list[tuple[str, str | int]] = [
        ("Who is in the image?", " and ".join(people)),
        (f"Was {first} born in {country}?", "Yes"),
        ("Which country is the person in the left from?", country),
        ("Who is standing next to somebody else?", "Person in the left"),
        ("By how many years do they differ in age?", rng.randint(1, 40)),
        ("How many people in this image were born in Chile?", 0),
    ]
    return pairs[: rng.randint(2, len(pairs))]


def _record(
    rng: Random, index: int, key: str, people: list[str], pairs: list[tuple[str, str | int]]
) -> dict[str, Any]:
    questions = [question for question, _ in pairs]
    caption = f" {' and '.join(people)} in {_NAMES[people[0]][1]} ({rng.randint(1900, 2010)})\n"
    answers = [answer for _, answer in pairs]
    return {
        "NamedEntities": people,
        "Qids": [_NAMES[name][0] for name in people],
        "wikiCap": "" if index % 20 == 3 else caption,
        "imgPath": f"KVQAimgs/{key}.jpg",
        "Questions": questions,
        "ParaQuestions": [f"Tell me: {question}" for question in questions],
        "Answers": answers[:-1] if index % 12 == 5 else answers,
        "Type of Question": [["1-hop"]] * (len(pairs) - index % 2),
        "split": [1 if index % 10 < 7 else 2 if index % 10 == 7 else 3, *rng.choices((1, 2, 3), k=4)],
    }


def _truth(mini: Miniature, key: str, record: dict[str, Any]) -> None:
    for place, question in enumerate(record["Questions"]):
        if place < len(record["Answers"]):
            answer = str(record["Answers"][place])
            mini.truth("knowledge_kvqa", f"{key}_{place}", target=answer, contains=question)
        else:
            mini.truth("knowledge_kvqa", f"{key}_{place}", dropped="no answer")
    if record["wikiCap"]:
        mini.truth("knowledge_kvqa_entity", key, target=record["wikiCap"].strip())
    else:
        mini.truth("knowledge_kvqa_entity", key, dropped="no caption")
