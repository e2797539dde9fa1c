"""model-vs-human: stimuli of 17 experiments, most in session folders, three in folders of categories.

`n` counts stimuli over all experiments. `source_id` is the path.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

from PIL import Image

from vision_flan.miniatures import draw
from vision_flan.miniatures.miniature import Miniature

#: Experiment: short name, conditions (the first leaves the picture as it was), shown name of the change.
_SESSIONS = {
    "colour": ("cl", ("cr", "bw"), "grayscale"),
    "contrast": ("cop", ("c100", "c30"), "low contrast"),
    "high-pass": ("hp", ("inf", "0.55"), "high-pass filter"),
    "low-pass": ("lp", ("0", "10"), "low-pass filter"),
    "phase-scrambling": ("ps", ("0", "90"), "phase scrambling"),
    "power-equalisation": ("pow", ("0", "pow"), "power equalisation"),
    "false-colour": ("fc", ("True", "False"), "false colours"),
    "rotation": ("rot", ("0", "180"), "rotation"),
    "uniform-noise": ("nse", ("0.00", "0.90"), "uniform noise"),
    "eidolonI": ("eid", ("1-10-10", "16-10-10"), "eidolon"),
    "eidolonII": ("eid", ("1-3-10", "16-3-10"), "eidolon"),
    "eidolonIII": ("eid", ("1-0-10", "16-0-10"), "eidolon"),
}
#: The same for experiments of which every picture is changed.
_CHANGED = {
    "sketch": ("ske", "0", "sketch"),
    "stylized": ("sty", "0", "stylized"),
}
_FOLDERS = {"cue-conflict": "cue conflict", "edge": "edges", "silhouette": "silhouette"}
_CATEGORIES = ("airplane", "bear", "cat", "keyboard", "knife")


def generate(mini: Miniature) -> None:
    with ExitStack() as stack:
        names = (*_SESSIONS, *_CHANGED, *_FOLDERS)
        trees = {name: stack.enter_context(mini.pack(f"{name}.tar.gz")) for name in names}
        for path, category, style in _stimuli(mini.n):
            trees[path.partition("/")[0]].image(path, _picture(category, style))
            if style:
                mini.truth("style_model_vs_human", path, target=style)
            else:
                mini.truth("style_model_vs_human", path, dropped="as it was")


def _stimuli(count: int) -> Iterator[tuple[str, str, str]]:
    """Path, category, and how the picture was changed: not at all in half of the session stimuli."""
    cells = [(name, short, conditions[1], style) for name, (short, conditions, style) in _SESSIONS.items()]
    cells += [(name, short, condition, style) for name, (short, condition, style) in _CHANGED.items()]
    cells += [(name, "", "", style) for name, style in _FOLDERS.items()]
    for index in range(count):
        name, short, condition, style = cells[index % len(cells)]
        number = index // len(cells) + 1
        category = _CATEGORIES[index % len(_CATEGORIES)]
        if not short:
            file = f"{category}{number}-airplane1" if name == "cue-conflict" else f"{category}{number}"
            yield f"{name}/{category}/{file}.png", category, style
            continue
        if name in _SESSIONS and number % 2 == 0:
            condition, style = _SESSIONS[name][1][0], ""
        source = f"{category}-{number:04d}-sketch-23" if short == "ske" else f"n03085013_{20138 + number}"
        file = f"{number:04d}_{short}_dnn_{condition}_{category}_10_{source}"
        yield f"{name}/dnn/session-1/{file}.png", category, style


def _picture(category: str, style: str) -> Image.Image:
    card = draw.caption_card(category, (112, 112), note=style or "as it was")
    return card.rotate(180) if style == "rotation" else card.convert("L") if style == "grayscale" else card
