"""IconQA: problems of three kinds about icons, one folder each, and one file with all of them.

`n` counts train problems of each kind; val and test get an eighth each. `source_id` is the problem's number.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from PIL import Image

from vision_flan.miniatures import draw, quirks, text
from vision_flan.miniatures.json_stream import Add, Put
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Drawing, Tree

_SHAPES = text.listed("circle triangle square star")
_KINDS = ("choose_txt", "fill_in_blank", "choose_img")
_TASKS = {"choose_txt": "reasoning_iconqa", "fill_in_blank": "reasoning_iconqa_fill_blank"}
Icons = list[str]


def generate(mini: Miniature) -> None:
    few = max(mini.n // 8, 1)
    with (
        mini.pack("iconqa_data.zip") as tree,
        tree.json_object("iconqa_data/problems.json") as put,
        tree.json_document("iconqa_data/pid_splits.json") as splits,
    ):
        for turn, (split, count) in enumerate((("train", mini.n), ("val", few), ("test", few))):
            for place, kind in enumerate(_KINDS):
                listed = splits.array(f"{kind}_{split}")
                for index in range(count):
                    pid = str(9 * index + 3 * turn + place)
                    _problem(mini, tree, put, listed, (split, kind, pid))


def _problem(mini: Miniature, tree: Tree, put: Put, listed: Add, where: tuple[str, str, str]) -> None:
    split, kind, pid = where
    rng = mini.rng(pid)
    icons = rng.choices(_SHAPES, k=rng.randint(2, 6))
    record, answer = _record(rng, kind, icons)
    folder = f"iconqa_data/iconqa/{split}/{kind}/{pid}"
    tree.write_json(f"{folder}/data.json", record)
    tree.image(f"{folder}/image.png", _image(icons, rng.randrange(3)))
    if kind == "choose_img":
        for number, shape in enumerate(_SHAPES[:2]):
            tree.image(f"{folder}/choice_{number}.png", _image([shape], 0))
    put(pid, {**record, "split": split})
    listed(pid)
    if split == "train" and kind == "choose_txt":
        mini.truth(_TASKS[kind], pid, answer=answer)
    elif split == "train" and kind in _TASKS:
        mini.truth(_TASKS[kind], pid, target=answer)


def _record(rng: Random, kind: str, icons: Icons) -> tuple[dict[str, object], str]:
    """The problem, and its answer in words."""
    place = rng.randrange(min(len(icons), 3))
    rank = ("first", "second", "third")[place]
    common = {"ques_type": kind, "grade": rng.choice(("prek", "kindergarten", "grade1")), "label": "S2"}
    if kind == "fill_in_blank":
        shape = rng.choice(icons)
        question = rng.choice(
            (f"How many {shape}s are there?", f"Count the {shape}s: the picture has (_)  in all.")
        )
        count = str(icons.count(shape))
        return {"question": question, "answer": count, **common}, count
    if kind == "choose_img":
        choices = ["choice_0.png", "choice_1.png"]
        return {"question": "Which picture is a circle?", "choices": choices, "answer": 0, **common}, "0"
    if rng.random() < 0.4:
        likely = "certain" if set(icons) == {"star"} else "impossible" if "star" not in icons else "possible"
        choices = rng.sample(["certain", "possible", "impossible"], 3)
        question = "If you pick a shape, how likely is it that you will pick a star?"
        return {"question": question, "choices": choices, "answer": choices.index(likely), **common}, likely
    others = rng.sample([shape for shape in _SHAPES if shape != icons[place]], rng.randint(1, 3))
    choices = rng.sample([icons[place], *others], len(others) + 1)
    question = f"What shape is the {rank} from the left?"
    return {"question": question, "choices": choices, "answer": choices.index(icons[place]), **common}, icons[
        place
    ]


def _image(icons: Icons, mode: int) -> Callable[[], Drawing]:
    def image() -> Drawing:
        row = Image.new("RGB", (36 * len(icons), 40), (255, 255, 255))
        for place, shape in enumerate(icons):
            row.paste(draw.shape(shape, "blue", (32, 32)), (36 * place + 2, 4))
        return (row, quirks.rgba(row), quirks.palette(row))[mode]

    return image
