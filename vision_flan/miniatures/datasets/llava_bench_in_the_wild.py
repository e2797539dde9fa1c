"""LLaVA-Bench (in the wild): questions and reference answers as JSON lines, side by side.

`n` counts questions; every third shares its image with the one before. `source_id` is the question id.
"""

from __future__ import annotations

from functools import partial
from random import Random

from vision_flan.miniatures import draw, text
from vision_flan.miniatures.miniature import Miniature

_CATEGORIES = ("conv", "detail", "complex")


def generate(mini: Miniature) -> None:
    with mini.json_lines("questions.jsonl") as ask, mini.json_lines("answers_gpt4.jsonl") as answer:
        for index in range(mini.n):
            number = index - index % 3 // 2 + 1
            left, right = _things(mini.rng(number))
            name, shown = f"{number:03}.jpg", f"on the left: {left}; on the right: {right}"
            mini.image(f"images/{name}", partial(draw.caption_card, shown, (160, 120), note=name))
            category = _CATEGORIES[index % 3]
            question, reply = _exchange(category, left, right)
            ask({"question_id": index, "image": name, "text": question, "category": category})
            answer(
                {
                    "question_id": index,
                    "prompt": question,
                    "answer_id": mini.hex_id(22, index),
                    "model_id": "gpt-4-0314",
                    "metadata": {},
                    "text": reply,
                }
            )
            mini.truth("eval_llava_bench_in_the_wild", index, target=reply)
    with mini.json_lines("context.jsonl") as add:
        add({"id": "001", "image": "001.jpg", "caption": "A long description for the judge."})


def _things(rng: Random) -> list[str]:
    """Two things of different colors: `["red kite", "blue bench"]`."""
    pairs = zip(rng.sample(text.COLORS, 2), rng.sample(text.THINGS, 2), strict=True)
    return [" ".join(pair) for pair in pairs]


def _exchange(category: str, left: str, right: str) -> tuple[str, str]:
    """A question of the category about an image of two things, and its answer."""
    color, thing = left.split()
    if category == "conv":
        return f"What color is the {thing}?", f"The {thing} on the left is {color}."
    if category == "detail":
        where = f"{text.article(left)} on the left and {text.article(right)} on the right"
        return "Describe this picture in detail.", f"The picture shows {where}. No people are to be seen."
    return (
        "Could the two things be told apart in a black-and-white print?",
        f"Yes. Their colors would be lost, but {text.article(thing)} and {text.article(right.split()[1])} "
        "differ in shape as well.",
    )
