"""LLaVA-Bench (in the wild): questions and reference answers as JSON lines, side by side.

`n` counts questions; every third shares its picture with the one before. `source_id` is the question id.
"""

from __future__ import annotations

from functools import partial

from vision_flan.miniatures import draw, text
from vision_flan.miniatures.miniature import Miniature


def generate(mini: Miniature) -> None:
    with mini.json_lines("questions.jsonl") as ask, mini.json_lines("answers_gpt4.jsonl") as answer:
        for index in range(mini.n):
            rng = mini.rng(index)
            question, reply = text.question_answer(rng)
            reply = f"{text.sentence(rng)} So the answer is {reply}."
            name = f"{index - index % 3 // 2 + 1:03}.jpg"
            mini.image(f"images/{name}", partial(draw.caption_card, question, (160, 120), note=name))
            category = ("conv", "detail", "complex")[index % 3]
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
