"""HICO: people and objects, as a matrix of 600 actions by images in a MATLAB 5 file.

`n` counts train images; test gets a quarter. `source_id` is the file name without suffix,
`HICO_train2015_00000001`. The matrix is held in memory, 4.8 KB per image, as in upstream's readers.
"""

from __future__ import annotations

from random import Random

import numpy as np

from vision_flan.miniatures import coco, draw, formats, quirks, text
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Drawing

_TOP = "hico_20150920"
_VERBS = text.listed(
    "hold holding,carry carrying,inspect inspecting,wash washing,buy buying,repair repairing,touch touching,"
    "move moving,clean cleaning,watch watching",
    ",",
)
_NOTHING = "no_interaction"
#: What a target calls an object that upstream calls otherwise.
_SPELLING = {"tv": "TV", "remote": "remote control", "hair drier": "hair dryer"}


def _actions() -> list[tuple[str, str, str]]:
    """600 of (object, verb, verb with -ing): six or seven verbs per object, and no interaction."""
    actions: list[tuple[str, str, str]] = []
    for place, (name, _) in enumerate(coco.CATEGORY.values()):
        noun = name.replace(" ", "_")
        for offset in range(7 if place % 2 else 6):
            verb, ing = _VERBS[(place + offset) % len(_VERBS)].split()
            actions.append((noun, verb, ing))
        actions.append((noun, _NOTHING, _NOTHING))
    return actions


_ACTIONS = _actions()


def generate(mini: Miniature) -> None:
    structs = [
        {
            "nname": noun,
            "vname": verb,
            "vname_ing": ing,
            "syn": formats.cell([verb]),
            "def": formats.cell([f"to {verb} something"]),
            "synset": f"{verb}.v.01",
            "add_def": "",
        }
        for noun, verb, ing in _ACTIONS
    ]
    variables = {"list_action": formats.struct_array(structs, column=True)}
    with mini.pack("hico_20150920.tar.gz") as tree:
        for split, count in (("train", mini.n), ("test", max(mini.n // 4, 1))):
            codes = np.full((len(_ACTIONS), count), np.nan)
            names = []
            for index in range(count):
                name = f"HICO_{split}2015_{index + 1:08d}"
                names.append(f"{name}.jpg")
                positive = _mark(codes[:, index], mini.rng(split, index))
                tree.image(f"{_TOP}/images/{split}2015/{name}.jpg", _image(positive, index))
                _truth(mini, split, name, positive)
            variables[f"list_{split}"] = formats.cell(names, column=True)
            variables[f"anno_{split}"] = codes
        tree.write_bytes(f"{_TOP}/anno.mat", formats.mat5(variables))
        tree.write_text(f"{_TOP}/README", "HICO (miniature)\n")


def _mark(codes: np.ndarray[tuple[int, ...], np.dtype[np.float64]], rng: Random) -> list[int]:
    """Fill one column: 1 visible, -1 not visible, 0 unclear, otherwise not annotated."""
    noun = rng.choice(_ACTIONS)[0]
    same = [place for place, action in enumerate(_ACTIONS) if action[0] == noun]
    codes[same] = -1
    codes[rng.choice(same)] = 0
    positive = [same[-1]] if rng.random() < 0.15 else sorted(rng.sample(same[:-1], rng.choice((1, 1, 1, 2))))
    if rng.random() < 0.1:  # a second object
        other = rng.randrange(len(_ACTIONS))
        positive = sorted({*positive, other})
    codes[positive] = 1
    return positive


def _image(positive: list[int], index: int) -> Drawing:
    label = ", ".join(
        f"{_ACTIONS[place][2].replace('_', ' ')} {_shown(_ACTIONS[place][0])}" for place in positive
    )
    card = draw.caption_card(label, (128, 96), note=str(index))
    return quirks.exif_rotated(card) if index % 60 == 7 else card


def _truth(mini: Miniature, split: str, name: str, positive: list[int]) -> None:
    nouns = {_shown(_ACTIONS[place][0]) for place in positive}
    if split == "test":
        return
    claim = {"target": next(iter(nouns))} if len(nouns) == 1 else {"dropped": "several objects"}
    mini.truth("object_hico", name, **claim)
    acts = [
        (ing.replace("_", " "), _shown(noun))
        for noun, verb, ing in map(_ACTIONS.__getitem__, positive)
        if verb != _NOTHING
    ]
    doing = [f"{ing} the {noun}" for ing, noun in acts]
    target = f"A person is {_and(doing)}." if doing else _and(sorted(nouns))
    mini.truth("human_hico", name, target=target)


def _shown(noun: str) -> str:
    name = noun.replace("_", " ")
    return _SPELLING.get(name, name)


def _and(texts: list[str]) -> str:
    return f"{', '.join(texts[:-1])} and {texts[-1]}" if len(texts) > 1 else texts[0]
