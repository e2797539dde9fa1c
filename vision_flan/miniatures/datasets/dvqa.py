"""DVQA: synthetic bar charts, with questions on structure, data and reasoning.

`n` counts charts of the train split; val_easy and val_hard get an eighth each. `source_id` is the chart's
name without suffix.
"""

from __future__ import annotations

from functools import partial
from random import Random

from vision_flan.miniatures import charts, quirks, text
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Drawing, Tree

_WORDS = text.listed("fire deaf moon vest gown rod clay bulb herd mud")
_NUMBERS = text.listed("zero one two three four five six")
Bars = list[tuple[str, float]]
Asked = tuple[str, str, str]  # kind, question, answer


def generate(mini: Miniature) -> None:
    few = max(mini.n // 8, 1)
    with mini.pack("images.tar.gz") as images, mini.pack("qa.tar.gz") as questions:
        for split, count in (("train", mini.n), ("val_easy", few), ("val_hard", few)):
            _split(mini, images, questions, split, count)


def _split(mini: Miniature, images: Tree, questions: Tree, split: str, count: int) -> None:
    with questions.json_array(f"qa/{split}_qa.json") as add:
        question_id = 0
        for index in range(count):
            rng = mini.rng(split, index)
            name = f"bar_{split}_{index:08d}"
            bars: Bars = [(word, float(rng.randint(1, 9))) for word in rng.sample(_WORDS, rng.randint(2, 6))]
            lying = rng.random() < 0.3
            images.image(f"images/{name}.png", partial(_chart, bars, lying=lying, alpha=index % 5 == 2))
            asked = _questions(rng, bars, lying=lying)
            for one in asked:
                add(_record(question_id, f"{name}.png", one, documented=index % 10 == 6))
                question_id += 1
            if split == "train":
                _truth(mini, "ocr_dvqa", name, [one for one in asked if one[0] != "reasoning"])
                _truth(mini, "ocr_dvqa_reasoning", name, [one for one in asked if one[0] == "reasoning"])


def _chart(bars: Bars, *, lying: bool, alpha: bool) -> Drawing:
    image = charts.chart("hbar" if lying else "bar", bars, (200, 150), title="Sales statistics")
    return quirks.rgba(image) if alpha else image


def _questions(rng: Random, bars: Bars, *, lying: bool) -> list[Asked]:
    """Up to four questions, at most two of those a task samples from: the truth knows which was sampled."""
    values = [value for _, value in bars]
    most, least = max(values), min(values)
    (word, value), (other, worth) = rng.sample(bars, 2)
    questions = [
        ("structure", "Are the bars horizontal?", "yes" if lying else "no"),
        ("data", f"How many units of the item {word} were sold?", f"{value:g}"),
        (
            "reasoning",
            "What is the difference between the largest and the smallest value?",
            f"{most - least:g}",
        ),
    ]
    if rng.random() < 0.5:
        questions[0] = ("structure", "How many bars are there?", _NUMBERS[len(bars)])
    if rng.random() < 0.4:
        fewer = "yes" if value < worth else "no"
        questions[2] = ("reasoning", f"Did the item {word} sell fewer units than {other}?", fewer)
    if values.count(most) == 1:
        questions.append(("reasoning", "Which item sold the most units?", bars[values.index(most)][0]))
    return questions[1:] if rng.random() < 0.2 else questions


def _record(question_id: int, image: str, asked: Asked, *, documented: bool) -> dict[str, object]:
    """A record; `documented` uses the README's keys instead of the files' keys."""
    kind, question, answer = asked
    kind_key, box_key = ("question_type", "bbox_answer") if documented else ("template_id", "answer_bbox")
    return {
        "question": question,
        "question_id": question_id,
        kind_key: kind,
        "answer": answer,
        "image": image,
        box_key: [12.5, 40.0, 30.2, 9.0] if kind == "data" else [],
    }


def _truth(mini: Miniature, task: str, name: str, asked: list[Asked]) -> None:
    if len(asked) == 1:
        mini.truth(task, name, target=asked[0][2])
    else:
        (_, question, answer), (_, _, other) = asked
        mini.truth(task, name, if_input=[question, answer, other])
