"""wikiHow-image: articles of steps with pictures, in both packagings that are in use.

`n` counts articles; each is in A (`WikihowText_data.json`, lines of JSON, `wiki_images/`) and in B (a
folder an article, `data/<id>_<slug>/`). `source_id` is the id in A of step i, `10000798_0_2`; `b` in the
truth is its picture in B. Truth is the next headline, and for next/previous the neighbours and whether they
are `clear` (no headline among them is repeated in the method).
"""

from __future__ import annotations

from contextlib import ExitStack
from random import Random
from typing import Any

from vision_flan.miniatures import draw, text
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Tree

_VERBS = text.listed(
    "Gather Clean Cut Measure Fold Paint Glue Dry Wrap Check Heat Mix Place Remove Attach Hang"
)
Step = dict[str, Any]


def generate(mini: Miniature) -> None:
    split: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    with ExitStack() as stack:
        add = stack.enter_context(mini.json_lines("WikihowText_data.json"))
        flat = stack.enter_context(mini.pack("wiki_images.zip"))
        nested = stack.enter_context(mini.pack("wikihow.tar.gz"))
        for index in range(mini.n):
            article = _article(mini, index)
            add(article)
            folder = f"{article['file_id']}_{article['goal'][7:].lower().replace(' ', '-')}"
            split["train" if index % 8 < 6 else "val" if index % 8 == 6 else "test"].append(folder)
            pictures = _pictures(flat, nested, article, folder, first=index % 2)
            if index % 8 < 6:
                _truth(mini, article, pictures)
    mini.write_json("wikihow_split.json", split)


def _article(mini: Miniature, index: int) -> dict[str, Any]:
    rng = mini.rng(index)
    key = str(10_000_000 + mini.number(index, 0, max(999_999, mini.n)))
    goal = f"How to {rng.choice(_VERBS)} {text.article(text.subject(rng)).title()}"
    article: dict[str, Any] = {
        "file_id": key,
        "goal": goal,
        "goal_description": text.paragraph(rng, 2),
        "category_hierarchy": ["Home and Garden", "Housekeeping"],
    }
    if index % 20 == 13:  # articles without methods
        return {**article, "methods": []}
    names = [goal.removeprefix("How to ")] if rng.random() < 0.5 else ["The Quick Way", "The Thorough Way"]
    article["methods"] = [
        {"name": name, "steps": _steps(rng, f"{key}_{place}", repeated=index % 10 == 4)}
        for place, name in enumerate(names)
    ]
    return article


def _steps(rng: Random, prefix: str, *, repeated: bool) -> list[Step]:
    count = rng.randint(2, 8)
    headlines = [f"{verb} the {text.subject(rng)}." for verb in rng.sample(_VERBS, count)]
    if repeated and count > 3:
        headlines[2] = headlines[1]
    return [
        {
            "headline": headline,
            "description": text.sentence(rng),
            "img": f"https://www.wikihow.com/images/{prefix}_{place}.jpg" if rng.random() > 0.1 else "",
            "img_license": "Creative Commons",
            "step_id": f"{prefix}_{place}",
        }
        for place, headline in enumerate(headlines)
    ]


def _pictures(flat: Tree, nested: Tree, article: dict[str, Any], folder: str, first: int) -> dict[str, str]:
    """Pictures of A and B, and B's paths by step. B counts in file names from 0 or 1, as the article goes."""
    methods = []
    paths: dict[str, str] = {}
    for number, method in enumerate(article["methods"]):
        steps = []
        for place, step in enumerate(method["steps"]):
            name = ""
            if step["img"]:
                card = draw.caption_card(step["headline"], (128, 96), note=step["step_id"])
                name = f"method_{number + first}_step_{place + first}.jpg"
                flat.image(f"wiki_images/{step['step_id']}.png", card)
                paths[step["step_id"]] = f"data/{folder}/image/{name}"
                nested.image(paths[step["step_id"]], card)
            steps.append({"headline": step["headline"], "img": name})
        methods.append({"name": method["name"], "steps": steps})
    nested.write_json(f"data/{folder}/wikihow.json", {"methods": methods} if methods else {})
    return paths


def _truth(mini: Miniature, article: dict[str, Any], pictures: dict[str, str]) -> None:
    for method in article["methods"]:
        headlines = [step["headline"] for step in method["steps"]]
        for place, step in enumerate(method["steps"]):
            around = headlines[max(place - 1, 0) : place + 2]
            clear = all(headlines.count(headline) == 1 for headline in around)
            extra = {"clear": clear, "b": pictures.get(step["step_id"], "")}
            if step["img"] and place + 1 < len(headlines):
                _next_step(mini, step["step_id"], headlines, place, extra)
            if 0 < place < len(headlines) - 1:
                neighbours = {"previous": around[0], "headline": around[1], "next": around[2]}
                _order(mini, method["steps"][place - 1 : place + 2], {**neighbours, **extra})


def _next_step(mini: Miniature, key: str, headlines: list[str], place: int, extra: dict[str, Any]) -> None:
    mini.truth("script_wikihow_next_step", key, target=headlines[place + 1], **extra)
    if set(headlines) - {headlines[place], headlines[place + 1]}:
        mini.truth("reasoning_wikihow_immediate_next", key, answer=headlines[place + 1], **extra)
    else:
        mini.truth("reasoning_wikihow_immediate_next", key, dropped="no distractor")


def _order(mini: Miniature, three: list[Step], extra: dict[str, Any]) -> None:
    """Which neighbour is shown is the task's own draw; `one_of` says which can be."""
    before, here, after = (bool(step["img"]) for step in three)
    key = three[1]["step_id"]
    if here:
        mini.truth("reasoning_wikihow_image_text_order", key, one_of=["next", "previous"], **extra)
    shown = [word for word, there in (("next", after), ("previous", before)) if there]
    if shown:
        mini.truth("reasoning_wikihow_text_image_order", key, one_of=shown, **extra)
