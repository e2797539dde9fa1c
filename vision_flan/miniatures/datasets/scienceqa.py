"""ScienceQA: school questions in one JSON object, half of them with an image in a separate folder.

`n` counts train problems with an image, and as many have none; val and test get an eighth each. `source_id`
is the problem's number.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from random import Random
from typing import Any

from vision_flan.miniatures import draw, quirks
from vision_flan.miniatures.json_stream import Put
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Drawing, Tree

_FOLDER = "data/scienceqa"
_STATES = ("Ohio", "Utah", "Maine", "Texas")
_TABLE = "State | Capital\n---|---\nOhio | Columbus\nUtah | Salt Lake City"
_MASSES = ("$2 kg$", "$4 kg$", "$6 kg$")


def generate(mini: Miniature) -> None:
    few = max(mini.n // 8, 1)
    with mini.json_object(f"{_FOLDER}/problems.json") as put, ExitStack() as stack:
        lists = stack.enter_context(mini.json_document(f"{_FOLDER}/pid_splits.json"))
        for turn, (split, count) in enumerate((("train", mini.n), ("val", few), ("test", few))):
            listed = lists.array(split)
            with mini.pack(f"{_FOLDER}/images/{split}.zip", into=f"{_FOLDER}/images") as tree:
                for index in range(2 * count):
                    pid = 3 * index + turn + 1
                    _problem(mini, tree, put, split, pid, pictured=index % 2 == 0)
                    listed(str(pid))


def _problem(mini: Miniature, tree: Tree, put: Put, split: str, pid: int, *, pictured: bool) -> None:
    rng = mini.rng(pid)
    problem, shown = rng.choice((_magnets, _magnets, _states, _states, _weights))(rng)
    explained = rng.random() < 0.8
    solution = problem.pop("solution") if explained else ""
    put(
        str(pid),
        {
            **problem,
            "image": "image.png" if pictured else None,
            "grade": f"grade{rng.randint(2, 8)}",
            "subject": "natural science",
            "topic": "physics",
            "category": "Properties",
            "skill": "Read a picture",
            "lecture": "Look at the picture before you answer." if rng.random() < 0.5 else "",
            "solution": solution,
            "split": split,
        },
    )
    if not pictured:
        return
    tree.image(f"{split}/{pid}/image.png", _image(shown, rng.randrange(3)))
    if pid % 7 == 1:
        tree.image(f"{split}/{pid}/choice_0.png", _image(shown[:1], 0))
    if split == "train":
        _truth(mini, pid, problem, solution)


def _magnets(rng: Random) -> tuple[dict[str, Any], list[str]]:
    alike = rng.random() < 0.5
    right = "repel" if alike else "attract"
    choices = rng.sample(["attract", "repel"], 2)
    problem = {
        "question": "Will these magnets attract or repel each other?",
        "choices": choices,
        "answer": choices.index(right),
        "hint": "Two magnets are placed as shown.\n\nHint: Magnets that attract pull together.",
        "task": "closed choice",
        "solution": f"The poles that are closest to each other are {'alike' if alike else 'different'}.\n"
        f"Poles like these {right}.\n",
    }
    return problem, ["S", "N", *("NS" if alike else "SN")]


def _states(rng: Random) -> tuple[dict[str, Any], list[str]]:
    choices = rng.sample(_STATES, rng.randint(2, 4))
    right = rng.choice(choices)
    problem = {
        "question": "Which of these states does the map show? ",
        "choices": choices,
        "answer": choices.index(right),
        "hint": rng.choice(("", _TABLE)),
        "task": "closed choice",
        "solution": f"The name on the map is {right}.",
    }
    return problem, [right]


def _weights(rng: Random) -> tuple[dict[str, Any], list[str]]:
    """Choices over two lines, a table in the solution, and formulas in both."""
    mass = rng.choice(_MASSES)
    choices = [f"The scale \nshows {one}." for one in _MASSES]
    problem = {
        "question": "Which sentence is true?",
        "choices": choices,
        "answer": _MASSES.index(mass),
        "hint": "",
        "task": "closed choice",
        "solution": f"The scale says this:\n\nThing | Mass\n---|---\nstone | {mass}\n",
    }
    return problem, [mass]


def _image(shown: list[str], mode: int) -> Callable[[], Drawing]:
    """Boxes side by side: the poles of two magnets, a map with a name, a scale."""

    def image() -> Drawing:
        wide = 160 // len(shown)
        boxes = [(word, (wide * place + place // 2 * 10, 10, wide, 50)) for place, word in enumerate(shown)]
        page = draw.objects_scene((170, 70), boxes)
        return (page, quirks.rgba(page), quirks.palette(page))[mode]

    return image


def _truth(mini: Miniature, pid: int, problem: dict[str, Any], solution: str) -> None:
    right = " ".join(problem["choices"][problem["answer"]].split())
    mini.truth("reasoning_scienceqa", pid, target=f"({'ABCDE'[problem['answer']]}) {right}")
    if solution:
        target = f"Answer: ({'ABCDE'[problem['answer']]}) {right}\n{solution.strip()}"
        mini.truth("rationale_scienceqa", pid, target=target)
