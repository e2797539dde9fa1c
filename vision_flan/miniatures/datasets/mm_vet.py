"""MM-Vet: one JSON object keyed v1_<n>, answers with <AND> and <OR>, pictures of two suffixes.

`n` counts questions; every tenth shares its picture with the one before. `source_id` is the key.
"""

from __future__ import annotations

from functools import partial

from vision_flan.miniatures import draw, text
from vision_flan.miniatures.miniature import Miniature

_ABILITIES = (["rec"], ["ocr", "math"], ["rec", "know", "gen"], ["ocr", "spat"])


def generate(mini: Miniature) -> None:
    with mini.pack("mm-vet.zip") as tree, tree.json_object("mm-vet/mm-vet.json") as add:
        name = ""
        for index in range(mini.n):
            key, rng = f"v1_{index}", mini.rng(index)
            question, answer = text.question_answer(rng)
            if index % 3 == 1:
                answer = f"{answer} <OR> a {answer}"
            elif index % 3 == 2:
                answer = f"{answer} <AND> {text.question_answer(rng)[1]}"
            if index % 10 != 9:
                name = f"{key}.{'png' if index % 2 else 'jpg'}"
                tree.image(f"mm-vet/images/{name}", partial(draw.caption_card, question, note=key))
            add(
                key,
                {
                    "imagename": name,
                    "question": question,
                    "answer": answer,
                    "imagesource": f"https://example.org/{key}",
                    "capability": _ABILITIES[index % 4],
                },
            )
            mini.truth("eval_mm_vet", key, target=answer)
