"""CLEVR: rendered scenes with ten questions each, and the scenes themselves.

`n` counts train questions; val gets a tenth, test a twentieth, without answers. `source_id` is
`CLEVR_train_<question_index>` for vqa_clevr, and the file name without suffix for the tasks over all
questions of an image.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

from vision_flan.miniatures import scenes
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Tree

_INFO = {
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


@dataclass(frozen=True)
class Release:
    """CLEVR itself, or a release with its layout.

    Attributes:
        top: top folder in the archive `<top>.zip`.
        splits: split -> share of n.
        colors: split -> shape -> the colors it comes in; all colors by default.
        train: the split that the tasks use.
        task: suffix of the tasks' names.
    """

    top: str
    splits: Mapping[str, float]
    train: str
    task: str
    colors: Mapping[str, Mapping[str, tuple[str, ...]]]


def generate(mini: Miniature) -> None:
    splits = {"train": 1.0, "val": 0.1, "test": 0.05}
    write_release(mini, Release("CLEVR_v1.0", splits, "train", "clevr", {}))


def write_release(mini: Miniature, release: Release) -> None:
    """Write all splits of a release into its archive."""
    with mini.pack(f"{release.top}.zip") as tree:
        for split, part in release.splits.items():
            _split(mini, tree, release, split, max(int(mini.n * part), 1))
        for name in ("README", "LICENSE", "COPYRIGHT"):
            tree.write_text(f"{release.top}/{name}.txt", "CLEVR (miniature)\n")


def _split(mini: Miniature, tree: Tree, release: Release, split: str, count: int) -> None:
    info, top = {"split": split, **_INFO}, release.top
    secret = split.startswith("test")  # upstream does not release answers and scenes of test
    with ExitStack() as stack:
        file = f"{top}/questions/CLEVR_{split}_questions.json"
        add = stack.enter_context(tree.json_array(file, "questions", {"info": info}))
        add_scene = None
        if not secret:
            file = f"{top}/scenes/CLEVR_{split}_scenes.json"
            add_scene = stack.enter_context(tree.json_array(file, "scenes", {"info": info}))
        image = done = 0
        while done < count:
            rng = mini.rng(split, image)
            name = f"CLEVR_{split}_{image:06d}"
            things = solids(rng, release.colors.get(split, {}))
            tree.image(f"{top}/images/{split}/{name}.png", partial(scenes.clevr_scene, things))
            if add_scene:
                add_scene(_scene(things, image, name, split))
            asked = _questions(rng, things, min(9 if image % 12 == 11 else 10, count - done))
            for place, one in enumerate(asked):
                add(_record(one, image, name, split, done + place))
            if split == release.train:
                _truth(mini, release.task, name, asked, done)
            image, done = image + 1, done + len(asked)


def solids(rng: Random, colors: Mapping[str, tuple[str, ...]]) -> list[Thing]:
    """Three to ten solids, at most one per cell of the ground, so that none hides another."""
    shapes = [rng.choice(_VALUES["shape"]) for _ in range(10)]
    cells = rng.sample([(x, y) for x in range(5) for y in range(3)], rng.randint(3, 10))
    return [
        {
            "color": rng.choice(colors.get(shape, _VALUES["color"])),
            "size": rng.choice(_VALUES["size"]),
            "rotation": round(rng.uniform(0, 360), 2),
            "shape": shape,
            "3d_coords": [round(rng.uniform(-3, 3), 4), round(rng.uniform(-3, 3), 4), 0.7],
            "material": rng.choice(_VALUES["material"]),
            "pixel_coords": [60 + 88 * x + rng.randint(-8, 8), 90 + 80 * y + rng.randint(-4, 4), 10.5],
        }
        for shape, (x, y) in zip(shapes, cells, strict=False)
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
            found[" ".join(one[0].split())] = one
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
    """Ask for one property of an object that its other properties identify."""
    thing, asked = rng.choice(things), rng.choice(list(_VALUES))
    wanted = {name: thing[name] for name in _VALUES if name != asked}
    if len(_like(things, wanted)) != 1:
        return None
    # some of upstream's templates leave a double space where a word is omitted
    gap = "  " if asked in ("size", "color") else " "
    question = f"What is the {asked} of the{gap}{_noun(wanted)}?"
    return question, thing[asked], _program(wanted, f"query_{asked}"), 60


def _record(one: Asked, image: int, name: str, split: str, number: int) -> dict[str, Any]:
    question, answer, program, family = one
    solved = {} if split.startswith("test") else {"program": program, "answer": answer}
    return {
        "image_index": image,
        **solved,
        "image_filename": f"{name}.png",
        "question_family_index": family,
        "split": split,
        "question": question,
        "question_index": number,
    }


def _truth(mini: Miniature, task: str, name: str, asked: list[Asked], first: int) -> None:
    split = name.rpartition("_")[0]
    squeezed = [(" ".join(question.split()), answer) for question, answer, _, _ in asked]
    for place, (question, answer) in enumerate(squeezed):
        mini.truth(f"vqa_{task}", f"{split}_{first + place}", target=answer, contains=question)
    pairs = [[question, answer] for question, answer, _, _ in asked][:9]
    if len(pairs) < 9:
        for several in (f"vqa_{task}_multi", f"vqa_{task}_matching", f"dialogue_{task}"):
            mini.truth(several, name, dropped="fewer than nine questions")
        return
    lines = [f"A{number}: {answer}" for number, (_, answer) in enumerate(pairs, start=1)]
    shown = [f"Q{number}: {question}" for number, (question, _) in enumerate(squeezed[:9], start=1)]
    mini.truth(f"vqa_{task}_multi", name, target="\n".join(lines), contains="\n".join(shown))
    mini.truth(f"vqa_{task}_matching", name, pairs=pairs)
    told = [*(" ".join(pair) for pair in squeezed[:8]), squeezed[8][0]]
    mini.truth(f"dialogue_{task}", name, target=pairs[8][1], contains="\n".join(told))
