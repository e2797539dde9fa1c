"""wikiHow-image: articles of steps with images, in both packagings in use.

`n` counts articles; each is in A (`WikihowText_data.json`, lines of JSON, `wiki_images/`) and in B (a
folder an article, `data/<id>_<slug>/`). `source_id` is the id in A of step i, `10000798_0_2`, for the two
order tasks with `_next` or `_previous`. Steps whose headline, or whose neighbor's, is repeated in the
method drop out.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
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
            _images(flat, nested, article, folder, first=index % 2)
            if index % 8 < 6:
                _truth(mini, article)
    mini.write_json("wikihow_split.json", split)


def _article(mini: Miniature, index: int) -> dict[str, Any]:
    rng = mini.rng(index)
    key = str(10_000_000 + mini.number(index, 0, max(999_999, mini.n)))
    goal = f"How to {rng.choice(_VERBS)} {text.article(text.subject(rng).title())}"
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
    # the order of random steps can be told by their days alone, as in a method that takes a week
    headlines = [
        f"Day {day}: {verb} the {text.subject(rng)}."
        for day, verb in enumerate(rng.sample(_VERBS, count), start=1)
    ]
    if repeated and count > 3:
        headlines[2] = headlines[1]
    return [
        {
            "headline": headline,
            "description": text.sentence(rng),
            "img": _url(rng, f"{prefix}_{place}"),
            "img_license": "Creative Commons",
            "step_id": f"{prefix}_{place}",
        }
        for place, headline in enumerate(headlines)
    ]


def _url(rng: Random, step_id: str) -> str | None:
    """Path of a step's image; one step in ten has none, which is written in two ways."""
    kind = rng.random()
    if kind < 0.1:
        return "" if kind < 0.05 else None
    return f"https://www.wikihow.com/images/{step_id}.jpg"


def _images(flat: Tree, nested: Tree, article: dict[str, Any], folder: str, first: int) -> None:
    """Images of A and B, and B's record. B's file names count from 0 or 1, depending on the article."""
    methods = []
    for number, method in enumerate(article["methods"]):
        steps = []
        for place, step in enumerate(method["steps"]):
            name = ""
            if step["img"]:
                card = partial(draw.caption_card, step["headline"], (128, 96), note=step["step_id"])
                name = f"method_{number + first}_step_{place + first}.jpg"
                flat.image(f"wiki_images/{step['step_id']}.png", card)
                nested.image(f"data/{folder}/image/{name}", card)
            steps.append({"headline": step["headline"], "img": name})
        methods.append({"name": method["name"], "steps": steps})
    nested.write_json(f"data/{folder}/wikihow.json", {"methods": methods} if methods else {})


def _truth(mini: Miniature, article: dict[str, Any]) -> None:
    for method in article["methods"]:
        steps = method["steps"]
        once = [sum(step["headline"] == other["headline"] for other in steps) == 1 for step in steps]
        for place, step in enumerate(steps[:-1]):
            if step["img"]:
                _next_step(mini, [one["headline"] for one in steps], place, step, clear=all(once[place:][:2]))
            if place:
                _order(mini, steps[place - 1 : place + 2], clear=all(once[place - 1 : place + 2]))


def _next_step(mini: Miniature, headlines: list[str], place: int, step: Step, *, clear: bool) -> None:
    following = headlines[place + 1]
    others = set(headlines) - {step["headline"], following}
    tasks = {"script_wikihow_next_step": "target", "reasoning_wikihow_immediate_next": "answer"}
    for task, claim in tasks.items():
        if not clear:
            mini.truth(task, step["step_id"], dropped="a repeated headline")
        elif claim == "answer" and not others:
            mini.truth(task, step["step_id"], dropped="no distractor")
        else:
            mini.truth(task, step["step_id"], **{claim: following})


def _order(mini: Miniature, three: list[Step], *, clear: bool) -> None:
    """The step in the middle, with each of its neighbors: its image and their text, then the reverse."""
    before, here, after = three
    for word, other in (("next", after), ("previous", before)):
        key = f"{here['step_id']}_{word}"
        for task, pictured, told in (("image_text", here, other), ("text_image", other, here)):
            claim = {"answer": word, "contains": told["headline"]} if clear else {"dropped": "repeated"}
            if pictured["img"]:
                mini.truth(f"reasoning_wikihow_{task}_order", key, **claim)
