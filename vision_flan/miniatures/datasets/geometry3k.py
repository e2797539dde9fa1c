"""Geometry3K: textbook problems with a diagram, one folder each, numbered across the splits.

`n` counts train problems; val and test get an eighth each. `source_id` is the problem's number.
"""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image, ImageDraw

from vision_flan.miniatures import draw
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Drawing, Tree

_LETTERS = "ABCD"
_SIZE = (220, 170)
#: Positions of the corners and of their names.
_CORNERS = {"A": ((30, 30), (22, 8)), "B": ((30, 135), (12, 138)), "C": ((185, 135), (192, 125))}
#: Two legs and the hypotenuse, whole or as a root.
_TRIANGLES = ((3, 4, "5"), (6, 8, "10"), (5, 12, "13"), (2, 2, r"2 \sqrt { 2 }"), (5, 5, r"5 \sqrt { 2 }"))


def generate(mini: Miniature) -> None:
    few = max(mini.n // 8, 1)
    start = 0
    for split, count in (("train", mini.n), ("val", few), ("test", few)):
        with mini.pack(f"{split}.zip") as tree:
            for number in range(start, start + count):
                _problem(mini, tree, split, number)
        start += count


def _problem(mini: Miniature, tree: Tree, split: str, number: int) -> None:
    rng = mini.rng(number)
    one, two, solution = rng.choice(_TRIANGLES)
    others = [root for *_, root in _TRIANGLES if root != solution]
    place = rng.randrange(4)
    wrong = rng.sample(others, 3)
    choices = [*wrong[:place], solution, *wrong[place:]]
    asked = rng.choice(("Find x.", rf"In \triangle A B C, A B = {one} and B C = {two}. Find A C."))
    folder = f"{split}/{number}"
    tree.write_json(f"{folder}/data.json", _record(split, number, asked, choices, _LETTERS[place]), indent=2)
    tree.write_json(
        f"{folder}/logic_form.json", {"diagram_logic_form": [f"Equals(LengthOf(Line(A, B)), {one})"]}
    )
    clear = number % 4 == 2
    tree.image(f"{folder}/img_diagram.png", _diagram(one, two, points=False, clear=clear))
    tree.image(f"{folder}/img_diagram_point.png", _diagram(one, two, points=True, clear=clear))
    if split != "test":
        target = f"({_LETTERS[place]}) {_compact(solution)}"
        mini.truth("reasoning_geometry3k", number, target=target)


def _compact(latex: str) -> str:
    """LaTeX of a choice without spaces."""
    return latex.replace(" ", "")


def _record(split: str, number: int, asked: str, choices: list[str], answer: str) -> dict[str, object]:
    compact = asked.replace("A B C", "ABC").replace("A B", "AB").replace("B C =", "BC =").replace("A C", "AC")
    return {
        "problem_text": asked,
        "choices": choices,
        "answer": answer,
        "detailed_solution": " ",
        "problem_type_graph": ["Triangle"],
        "problem_type_goal": ["Length"],
        "source": "textbook1_chapter_8.pdf",
        "comment": "",
        "id": number,
        "annot_id": f"{number:04d}_2020-03-22_11_53_54",
        "is_standard": False,
        "compact_choices": [_compact(choice) for choice in choices],
        "precise_value": [1.0, 2.0, 3.0, 4.0],
        "rough_value": [1, 2, 3, 4],
        "compact_text": compact,
        "annotat_text": asked.replace("x", "$x$"),
        "unit": "",
        "img_width": _SIZE[0],
        "img_height": _SIZE[1],
        "data_type": split,
        "date": "Fri Sep 18 22:23:14 2020",
        "system": "linux",
    }


def _diagram(one: int, two: int, *, points: bool, clear: bool) -> Callable[[], Drawing]:
    """A right triangle, its legs labeled, its hypotenuse x, on white, or on a `clear` background."""

    def image() -> Drawing:
        sheet = Image.new("RGBA", _SIZE, (255, 255, 255, 0 if clear else 255))
        pen = ImageDraw.Draw(sheet)
        pen.fontmode = "1"  # half-clear edges of letters would turn black where a reader drops alpha
        ink = (0, 0, 0, 255)
        pen.polygon([corner for corner, _ in _CORNERS.values()], outline=ink, width=2)
        pen.rectangle((30, 123, 42, 135), outline=ink)  # a right angle at B
        pen.text((8, 74), str(one), ink, font=draw.font(16))
        pen.text((100, 140), str(two), ink, font=draw.font(16))
        pen.text((116, 62), "x", ink, font=draw.font(16))
        for name, ((x, y), place) in _CORNERS.items():
            if points:
                pen.ellipse((x - 3, y - 3, x + 3, y + 3), ink)
            pen.text(place, name, ink, font=draw.font(16))
        return sheet

    return image
