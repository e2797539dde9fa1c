"""SemArt: paintings with comments, in tab-separated files named .csv, encoded as cp1252.

`n` counts train images; val and test get an eighth each. `source_id` is the file name,
`42258-0503vela.jpg`.
"""

from __future__ import annotations

from functools import partial
from random import Random

from vision_flan.miniatures import draw, quirks, text
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Tree

_HEADER = text.listed("IMAGE_FILE DESCRIPTION AUTHOR TITLE TECHNIQUE DATE TYPE SCHOOL TIMEFRAME")
_TYPES = text.listed(
    "religious portrait landscape mythological genre still-life historical interior study other"
)
_SCHOOLS = text.listed("Italian Dutch French Flemish German Spanish English Netherlandish Austrian Other")
_TECHNIQUES = ("Oil on canvas", "Tempera on panel", "Fresco", "Oil on oak panel", "Watercolour, paper")


def generate(mini: Miniature) -> None:
    few = max(mini.n // 8, 1)
    with mini.pack("SemArt.zip") as tree:
        tree.write_text("SemArt/ReadMe.txt", "SemArt (miniature)\n")
        for split, count in (("train", mini.n), ("val", few), ("test", few)):
            _split(mini, tree, split, count)


def _split(mini: Miniature, tree: Tree, split: str, count: int) -> None:
    with tree.csv(f"SemArt/semart_{split}.csv", _HEADER, delimiter="\t", encoding="cp1252") as add:
        for index in range(count):
            rng = mini.rng(split, index)
            name = f"{mini.number(index, 1, 999_999, split):05d}-{rng.randint(1, 20):02d}{split}.jpg"
            kind, school = _TYPES[index % len(_TYPES)], _SCHOOLS[index * 7 % len(_SCHOOLS)]
            start = 1301 + 50 * rng.randrange(12)
            span = f"{start}-{start + 49}"
            technique = f"{rng.choice(_TECHNIQUES)}, {rng.randint(20, 300)} x {rng.randint(20, 300)} cm"
            raw, comment = _comment(rng, index)
            year = f"c. {start + rng.randrange(50)}" if index % 3 else "-"
            add([name, raw, "HOLBEIN, Hans the Younger", "A View", technique, year, kind, school, span])
            card = partial(
                draw.caption_card, f"{kind}, {school}, {span}, {technique}. {_typed(comment)}", (160, 128)
            )
            tree.image(f"SemArt/Images/{name}", quirks.grayscale(card()) if index % 25 == 4 else card)
            if split == "train":
                _truth(mini, name, (kind, school, span, technique, comment))


def _comment(rng: Random, index: int) -> tuple[str, str]:
    """A comment as it is in the file, and as it should be shown."""
    first, second = text.sentence(rng), text.sentence(rng)
    return {
        0: (f"{first}{second}", f"{first} {second}"),  # a line break was lost
        1: (f"{first} Painted for Smith &#38; Sons.", f"{first} Painted for Smith & Sons."),
        2: (f'The "small" view. {first}', f'The "small" view. {first}'),
        3: (f"Vel&#225;zquez knew it. {first}", f"Velázquez knew it. {first}"),
        4: (f"A café at 2.30, by Müller – signed. {first}", f"A café at 2.30, by Müller – signed. {first}"),
        5: (f"The painter&#146;s house. {first}", f"The painter’s house. {first}"),  # cp1252's number
    }.get(index % 7, (f"{first} {second}", f"{first} {second}"))


def _typed(comment: str) -> str:
    """With dashes and quotes that the font has."""
    return comment.replace("–", "-").replace("’", "'")


def _truth(mini: Miniature, name: str, values: tuple[str, ...]) -> None:
    tasks = ("type", "school", "timeframe", "technique", "description")
    for task, value in zip(tasks, values, strict=True):
        if value.lower() == "other":
            mini.truth(f"art_semart_{task}", name, dropped="says nothing")
        else:
            target = "still life" if value == "still-life" else value
            mini.truth(f"art_semart_{task}", name, target=target)
