"""KVQA: questions about people in photos, one JSON object keyed by image number.

`n` counts images; seven in ten are train in the first partition. `source_id` is the image number, with
the position of the question from 0 for knowledge_kvqa, `39346_2`.
"""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

from PIL import ImageDraw

from vision_flan.miniatures import draw, quirks, scenes
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Drawing

#: Wikidata id, country and year of birth.
_NAMES = {
    "Tryggve Gran": ("Q439655", "Norway", 1888),
    "Miloš Forman": ("Q51525", "Czechoslovakia", 1932),
    "Ana María Matute": ("Q235077", "Spain", 1925),
    "Björn Borg": ("Q51530", "Sweden", 1956),
}
#: The last year in which all of them were alive.
_LAST_YEAR = 1979
#: What a target says for an answer.
_YES_NO = {"Yes": "yes", "No": "no"}


def generate(mini: Miniature) -> None:
    with mini.pack("KVQAimgs.tar.gz") as tree, mini.json_object("dataset.json") as put:
        for index in range(mini.n):
            rng = mini.rng(index)
            key = str(mini.number(index, 1, max(40_000, 2 * mini.n)))
            people = rng.sample(list(_NAMES), rng.randint(1, 2))
            pairs = _pairs(rng, people)
            where = f"{_NAMES[people[0]][1]} ({_year(rng, people)})"
            record = _record(rng, index, key, people, pairs, where)
            put(key, record)
            tree.image(f"KVQAimgs/{key}.jpg", partial(_photo, people, where, index))
            if record["split"][0] == 1:
                _truth(mini, key, record)


def _year(rng: Random, people: list[str]) -> int:
    """A year in which all of them were adults."""
    return rng.randint(max(_NAMES[name][2] for name in people) + 20, _LAST_YEAR)


def _photo(people: list[str], where: str, index: int) -> Drawing:
    """A face and a name for each person; the first named stands on their own left."""
    width = 110 + index % 5
    photo = draw.blank((width * len(people), 130))
    pen = ImageDraw.Draw(photo)
    for place, name in enumerate(reversed(people)):
        face = scenes.face(("happy", "neutral")[(index + place) % 2], (96, 96), tone=index % 5)
        photo.paste(face, (place * width + 7, 16))
        draw.write(pen, (place * width + 7, 114), name, (0, 0, 0), 12)
    draw.write(pen, (4, 1), where, (0, 0, 0), 12)
    return (quirks.cmyk(photo), photo, quirks.grayscale(photo), photo, photo)[index % 5]


def _pairs(rng: Random, people: list[str]) -> list[tuple[str, str | int]]:
    first, (_, country, born) = people[0], _NAMES[people[0]]
    pairs: list[tuple[str, str | int]] = [
        ("Who is in the image?", " and ".join(people)),
        (f"Was {first} born in {country}?", "Yes"),
        ("How many people in this image were born in Chile?", 0),
    ]
    for other in people[1:]:
        gap = _NAMES[other][2] - born
        elder = "left" if gap > 0 else "right"
        pairs += [
            ("Which country is the person in the left from?", country),
            ("Who among the people in the image is older?", f"Person in the {elder}"),
            ("By how many years do the people in the image differ in age?", abs(gap)),
        ]
    return pairs[: rng.randint(2, len(pairs))]


def _record(
    rng: Random, index: int, key: str, people: list[str], pairs: list[tuple[str, str | int]], where: str
) -> dict[str, Any]:
    questions = [question for question, _ in pairs]
    caption = f" {' and '.join(people)} in {where}\n"
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
            mini.truth(
                "knowledge_kvqa", f"{key}_{place}", target=_YES_NO.get(answer, answer), contains=question
            )
        else:
            mini.truth("knowledge_kvqa", f"{key}_{place}", dropped="no answer")
    if record["wikiCap"]:
        mini.truth("knowledge_kvqa_entity", key, target=record["wikiCap"].strip())
    else:
        mini.truth("knowledge_kvqa_entity", key, dropped="no caption")
