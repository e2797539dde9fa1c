"""RecipeQA: questions of four kinds about recipes in one JSON file per split, images in images-qa.

`n` counts questions of train, a fourth of each kind; val and test get an eighth each. `source_id` is the
qid. Truth covers visual_coherence only.
"""

from __future__ import annotations

from functools import partial
from random import Random

from vision_flan.miniatures import draw, quirks, text
from vision_flan.miniatures.miniature import Miniature

_KINDS = ("visual_coherence", "textual_cloze", "visual_cloze", "visual_ordering")
_DISHES = text.listed("lasagna pancakes ramen goulash brownies paella falafel borscht")


def generate(mini: Miniature) -> None:
    few = max(mini.n // 8, 4)
    for split, count in (("train", mini.n), ("val", few), ("test", few)):
        with mini.json_array(f"{split}.json", "data", {"version": "1.0"}) as add:
            for index in range(count):
                add(_record(mini, split, index))


def _record(mini: Miniature, split: str, index: int) -> dict[str, object]:
    rng = mini.rng(split, index)
    kind = _KINDS[index % 4]
    dish, stranger = rng.sample(_DISHES, 2)
    qid = f"{split}-{index:05d}"
    answer = rng.randrange(4)
    if kind == "textual_cloze":
        choices = [text.clause(rng) for _ in range(4)]
    else:
        shown = [stranger if place == answer else dish for place in range(4)]
        choices = [_image(mini, rng, split, (index, place), name) for place, name in enumerate(shown)]
    if split == "train" and kind == "visual_coherence":
        lost = {3: "a picture is missing", 5: "a picture is cut off"}.get(index // 4 % 10)
        target = f"The least similar image is {'ABCD'[answer]}."
        mini.truth("reasoning_recipeqa", qid, **({"dropped": lost} if lost else {"target": target}))
    return {
        "task": kind,
        "qid": qid,
        "recipe_id": f"{dish}-{index}",
        "split": split,
        "context": [{"id": 0, "title": dish, "body": text.paragraph(rng, 2), "images": [], "videos": []}],
        "context_modality": ["text"],
        "question": ["@placeholder", text.clause(rng)],
        "question_text": "Choose the best answer",
        "question_modality": "text",
        "choice_list": choices,
        "answer": answer,
    }


def _image(mini: Miniature, rng: Random, split: str, at: tuple[int, int], dish: str) -> str:
    """Write one image; returns its name as the JSON has it."""
    index, place = at
    name = f"{dish}-*easy*-{index}_{place}.jpg" if index % 3 == 1 else f"{dish}_{index}_{place}.jpg"
    path = f"images-qa/{split}/images-qa/{name.replace('*easy*', '_easy_')}"
    card = partial(draw.caption_card, dish, draw.some_size(rng), note=f"{index} {place}")
    kind = index // 4 % 10 if place == 1 and index % 4 == 0 else 0
    if kind != 3:
        mini.image(path, (lambda: quirks.truncated(card())) if kind == 5 else card)
    return name
