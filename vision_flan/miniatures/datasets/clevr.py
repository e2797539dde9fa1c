"""CLEVR: rendered scenes with ten questions each, and the scenes themselves.

`n` counts train questions; val gets a tenth, test a twentieth, without answers. `source_id` is
`CLEVR_train_<question_index>` for vqa_clevr, and the file name without suffix for the tasks over all
questions of a picture, whose truth is the list of its question-answer pairs.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from random import Random
from typing import Any

from vision_flan.miniatures import scenes
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Tree

_TOP = "CLEVR_v1.0"
_INFO = {
    "split": "train",
    "license": "Creative Commons Attribution (CC-BY 4.0)",
    "version": "1.0",
    "date": "2/14/2017",
}
_VALUES: dict[str, tuple[str, ...]] = {
    "size": ("small", "large"),
    "color": scenes.CLEVR_COLORS,
    "material": ("rubber", "metal"),
    "shape": scenes.CLEVR_SHAPES,
}
Thing = dict[str, Any]
Asked = tuple[str, str, list[Thing], int]  # question, answer, program, family


def generate(mini: Miniature) -> None:
    with mini.pack("CLEVR_v1.0.zip") as tree:
        for split, count in (
            ("train", mini.n),
            ("val", max(mini.n // 10, 1)),
            ("test", max(mini.n // 20, 1)),
        ):
            _split(mini, tree, split, count)
        for name in ("README", "LICENSE", "COPYRIGHT"):
            tree.write_text(f"{_TOP}/{name}.txt", "CLEVR (miniature)\n")


def _split(mini: Miniature, tree: Tree, split: str, count: int) -> None:
    info = {**_INFO, "split": split}
    with ExitStack() as stack:
        file = f"{_TOP}/questions/CLEVR_{split}_questions.json"
        add = stack.enter_context(tree.json_array(file, "questions", {"info": info}))
        add_scene = None
        if split != "test":  # upstream keeps the scenes of test to itself
            file = f"{_TOP}/scenes/CLEVR_{split}_scenes.json"
            add_scene = stack.enter_context(tree.json_array(file, "scenes", {"info": info}))
        image = done = 0
        while done < count:
            rng = mini.rng(split, image)
            name = f"CLEVR_{split}_{image:06d}"
            things = _things(rng)
            tree.image(f"{_TOP}/images/{split}/{name}.png", partial(scenes.clevr_scene, things))
            if add_scene:
                add_scene(_scene(things, image, name, split))
            asked = _questions(rng, things, min(9 if image % 12 == 11 else 10, count - done))
            for place, one in enumerate(asked):
                add(_record(one, image, name, split, done + place))
            if split == "train":
                _truth(mini, name, asked, done)
            image, done = image + 1, done + len(asked)


def _things(rng: Random) -> list[Thing]:
    """Three to ten solids, one in each of some cells of the ground, so that none hides another."""
    cells = rng.sample([(x, y) for x in range(5) for y in range(3)], rng.randint(3, 10))
    return [
        {
            "color": rng.choice(_VALUES["color"]),
            "size": rng.choice(_VALUES["size"]),
            "rotation": round(rng.uniform(0, 360), 2),
            "shape": rng.choice(_VALUES["shape"]),
            "3d_coords": [round(rng.uniform(-3, 3), 4), round(rng.uniform(-3, 3), 4), 0.7],
            "material": rng.choice(_VALUES["material"]),
            "pixel_coords": [60 + 88 * x + rng.randint(-8, 8), 90 + 80 * y + rng.randint(-4, 4), 10.5],
        }
        for x, y in cells
    ]


def _scene(things: list[Thing], image: int, name: str, split: str) -> dict[str, Any]:
    places = [thing["pixel_coords"][0] for thing in things]
    return {
        "split": split,
        "image_index": image,
        "image_filename": f"{name}.png",
        "objects": things,
        "directions": {"left": [-0.66, -0.75, 0.0], "right": [0.66, 0.75, 0.0]},
        "relationships": {
            "left": [[other for other, x in enumerate(places) if x < here] for here in places],
            "right": [[other for other, x in enumerate(places) if x > here] for here in places],
        },
    }


def _questions(rng: Random, things: list[Thing], count: int) -> list[Asked]:
    found: dict[str, Asked] = {}
    while len(found) < count:
        one = rng.choice((_how_many, _exists, _attribute))(rng, things)
        if one:
            found[one[0]] = one
    return list(found.values())


def _noun(wanted: dict[str, str], *, many: bool = False) -> str:
    words = [wanted[name] for name in ("size", "color", "material") if name in wanted]
    return " ".join([*words, wanted.get("shape", "thing") + ("s" if many else "")])


def _wanted(rng: Random) -> dict[str, str]:
    names = rng.sample(list(_VALUES), rng.randint(1, 3))
    return {name: rng.choice(_VALUES[name]) for name in _VALUES if name in names}


def _like(things: list[Thing], wanted: dict[str, str]) -> list[Thing]:
    return [thing for thing in things if all(thing[name] == value for name, value in wanted.items())]


def _program(wanted: dict[str, str], last: str) -> list[Thing]:
    steps = [("scene", []), *((f"filter_{name}", [value]) for name, value in wanted.items()), (last, [])]
    return [
        {"inputs": [place - 1] if place else [], "function": name, "value_inputs": values}
        for place, (name, values) in enumerate(steps)
    ]


def _how_many(rng: Random, things: list[Thing]) -> Asked | None:
    wanted = _wanted(rng)
    question = f"How many {_noun(wanted, many=True)} are there?"
    return question, str(len(_like(things, wanted))), _program(wanted, "count"), 40


def _exists(rng: Random, things: list[Thing]) -> Asked | None:
    wanted = _wanted(rng)
    answer = "yes" if _like(things, wanted) else "no"
    return f"Are there any {_noun(wanted, many=True)}?", answer, _program(wanted, "exist"), 44


def _attribute(rng: Random, things: list[Thing]) -> Asked | None:
    """Asks one value of a thing that its other values single out."""
    thing, asked = rng.choice(things), rng.choice(list(_VALUES))
    wanted = {name: thing[name] for name in _VALUES if name != asked}
    if len(_like(things, wanted)) != 1:
        return None
    # some of upstream's templates leave a double blank
    gap = "  " if rng.random() < 0.2 else " "
    question = f"What is the {asked} of the{gap}{_noun(wanted)}?"
    return question, thing[asked], _program(wanted, f"query_{asked}"), 60


def _record(one: Asked, image: int, name: str, split: str, number: int) -> dict[str, Any]:
    question, answer, program, family = one
    solved = {} if split == "test" else {"program": program, "answer": answer}
    return {
        "image_index": image,
        **solved,
        "image_filename": f"{name}.png",
        "question_family_index": family,
        "split": split,
        "question": question,
        "question_index": number,
    }


def _truth(mini: Miniature, name: str, asked: list[Asked], first: int) -> None:
    for place, (_, answer, _, _) in enumerate(asked):
        mini.truth("vqa_clevr", f"CLEVR_train_{first + place}", target=answer)
    pairs = [[question, answer] for question, answer, _, _ in asked]
    for task in ("vqa_clevr_multi", "vqa_clevr_matching", "dialogue_clevr"):
        if len(pairs) >= 9:
            mini.truth(task, name, pairs=pairs)
        else:
            mini.truth(task, name, dropped="fewer than nine questions")
