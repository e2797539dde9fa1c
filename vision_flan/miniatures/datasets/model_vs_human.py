"""model-vs-human: stimuli of 17 experiments, most in session folders, three in folders of categories.

`n` counts stimuli over all experiments. `source_id` is the path. A stimulus shows a plain shape, one for each
category, and is changed as its experiment says: alike to the eye, not to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from random import Random
from typing import Any

import numpy as np
from PIL import Image, ImageChops, ImageEnhance, ImageFilter, ImageOps

from vision_flan.miniatures import draw
from vision_flan.miniatures.miniature import Miniature

#: Experiment: short name, conditions (the first does not change the image), shown name of the change.
_SESSIONS = {
    "colour": ("cl", ("cr", "bw"), "grayscale"),
    "contrast": ("cop", ("c100", "c30"), "low contrast"),
    "high-pass": ("hp", ("inf", "0.55"), "high-pass filter"),
    "low-pass": ("lp", ("0", "10"), "low-pass filter"),
    "phase-scrambling": ("ps", ("0", "90"), "phase scrambling"),
    "power-equalisation": ("pow", ("0", "pow"), "power equalization"),
    "false-colour": ("fc", ("True", "False"), "false colors"),
    "rotation": ("rot", ("0", "180"), "rotation"),
    "uniform-noise": ("nse", ("0.00", "0.90"), "uniform noise"),
    "eidolonI": ("eid", ("1-10-10", "16-10-10"), "eidolon"),
    "eidolonII": ("eid", ("1-3-10", "16-3-10"), "eidolon"),
    "eidolonIII": ("eid", ("1-0-10", "16-0-10"), "eidolon"),
}
#: The same for experiments that change every image.
_CHANGED = {
    "sketch": ("ske", "0", "sketch"),
    "stylized": ("sty", "0", "stylized"),
}
_FOLDERS = {"cue-conflict": "cue conflict", "edge": "edges", "silhouette": "silhouette"}
#: Category: the shape that stands for it.
_CATEGORIES = {
    "airplane": "triangle",
    "bear": "circle",
    "cat": "star",
    "keyboard": "square",
    "knife": "diamond",
}
_SIZE = (112, 112)
#: Changed and unchanged images of these are in color; upstream's others are grayscale.
_COLORED = ("false-colour", "stylized", "cue-conflict")


def generate(mini: Miniature) -> None:
    with ExitStack() as stack:
        names = (*_SESSIONS, *_CHANGED, *_FOLDERS)
        trees = {name: stack.enter_context(mini.pack(f"{name}.tar.gz")) for name in names}
        for path, category, style in _stimuli(mini.n):
            experiment = path.partition("/")[0]
            rng = mini.rng(path.rpartition("_")[2])  # one photograph occurs in several experiments
            trees[experiment].image(path, partial(_image, rng, category, experiment, style))
            if style:
                mini.truth("style_model_vs_human", path, target=style)
            else:
                mini.truth("style_model_vs_human", path, dropped="as it was")


def _stimuli(count: int) -> Iterator[tuple[str, str, str]]:
    """Path, category, and the change: none in half of the session stimuli."""
    cells = [(name, short, conditions[1], style) for name, (short, conditions, style) in _SESSIONS.items()]
    cells += [(name, short, condition, style) for name, (short, condition, style) in _CHANGED.items()]
    cells += [(name, "", "", style) for name, style in _FOLDERS.items()]
    for index in range(count):
        name, short, condition, style = cells[index % len(cells)]
        number = index // len(cells) + 1
        category = list(_CATEGORIES)[index % len(_CATEGORIES)]
        if not short:
            conflict = name == "cue-conflict"
            file = f"{category}{number}-airplane1" if conflict else f"{category}{number}"
            if conflict and category == "airplane":
                style = ""  # an airplane with the texture of an airplane has no conflicting cue
            yield f"{name}/{category}/{file}.png", category, style
            continue
        if name in _SESSIONS and number % 2 == 0:
            condition, style = _SESSIONS[name][1][0], ""
        source = f"{category}-{number:04d}-sketch-23" if short == "ske" else f"n03085013_{20138 + number}"
        file = f"{number:04d}_{short}_dnn_{condition}_{category}_10_{source}"
        yield f"{name}/dnn/session-1/{file}.png", category, style


def _image(rng: Random, category: str, experiment: str, style: str) -> Image.Image:
    """The stimulus, unchanged if the style is empty; grayscale where upstream's are."""
    mask = ImageOps.grayscale(draw.shape(_CATEGORIES[category], "white", _SIZE, ground=(0, 0, 0)))
    photo = draw.texture(rng, _SIZE, base=(150, 170, 215), grain=16)  # sky, then ground, then the object
    photo.paste(
        draw.texture(rng, (_SIZE[0], _SIZE[1] // 3), base=(40, 80, 40), grain=4), (0, _SIZE[1] * 2 // 3)
    )
    photo.paste(draw.texture(rng, _SIZE, base=(230, 110, 80), grain=6), (0, 0), mask)
    if experiment not in _COLORED and not (experiment == "colour" and not style):
        photo = ImageOps.grayscale(photo)
    noise = np.random.default_rng(rng.getrandbits(64))
    return _CHANGES[style](photo, mask, noise) if style else photo


# --- changes: of a photo (gray or in colors), the mask of its object, and noise

_Noise = np.random.Generator
_Change = Callable[[Image.Image, Image.Image, _Noise], Image.Image]


def _gray(values: np.ndarray[Any, Any]) -> Image.Image:
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def _spread(values: np.ndarray[Any, Any]) -> Image.Image:
    """Values around their mean, scaled to an image of usual contrast."""
    return _gray(128 + (values - values.mean()) / (values.std() + 1e-9) * 40)


def _high_pass(photo: Image.Image, mask: Image.Image, noise: _Noise) -> Image.Image:
    blurred = np.asarray(photo.filter(ImageFilter.GaussianBlur(2)), float)
    return _gray(128 + (np.asarray(photo, float) - blurred))


def _scrambled(photo: Image.Image, mask: Image.Image, noise: _Noise) -> Image.Image:
    waves = np.fft.fft2(np.asarray(photo, float))
    turned = np.fft.fft2(noise.random(_SIZE))
    return _spread(np.fft.ifft2(np.abs(waves) * np.exp(1j * np.angle(turned))).real)


def _equalized(photo: Image.Image, mask: Image.Image, noise: _Noise) -> Image.Image:
    """Every frequency at the mean power of its wavelength."""
    phases = np.angle(np.fft.fft2(np.asarray(photo, float)))
    rows, columns = np.fft.fftfreq(_SIZE[1])[:, None], np.fft.fftfreq(_SIZE[0])[None, :]
    strength = 1 / np.maximum(np.hypot(rows, columns), 1 / _SIZE[0])
    return _spread(np.fft.ifft2(strength * np.exp(1j * phases)).real)


def _false_colors(photo: Image.Image, mask: Image.Image, noise: _Noise) -> Image.Image:
    """The same brightness in the opposite colors."""
    values = np.asarray(photo, float)
    return _gray(2 * values.mean(axis=2, keepdims=True) - values)


def _uniform_noise(photo: Image.Image, mask: Image.Image, noise: _Noise) -> Image.Image:
    values = np.asarray(photo, float)
    return _gray(values + noise.uniform(-110, 110, values.shape))


def _eidolon(photo: Image.Image, mask: Image.Image, noise: _Noise) -> Image.Image:
    return _shifted(photo, 8, noise)


def _shifted(photo: Image.Image, far: float, noise: _Noise) -> Image.Image:
    """Each pixel moved from about `far` pixels away, neighbors from neighboring positions."""
    values = np.asarray(photo)
    rows, columns = np.mgrid[: _SIZE[1], : _SIZE[0]]
    for axis in (rows, columns):
        field = Image.fromarray(noise.normal(0, far, (16, 16)).astype(np.float32)).resize(_SIZE)
        axis += np.asarray(field).astype(int)
    return Image.fromarray(values[rows.clip(0, _SIZE[1] - 1), columns.clip(0, _SIZE[0] - 1)])


def _outline(mask: Image.Image, width: int) -> Image.Image:
    """Black on white."""
    grown = mask.filter(ImageFilter.MaxFilter(width))
    return ImageOps.invert(ImageChops.difference(grown, mask.filter(ImageFilter.MinFilter(width))))


def _sketch(photo: Image.Image, mask: Image.Image, noise: _Noise) -> Image.Image:
    """Three thin strokes in place of one, and hatching."""
    strokes = _shifted(_outline(mask, 3), 2, noise)
    for _ in range(2):
        strokes = ImageChops.darker(strokes, _shifted(_outline(mask, 3), 2, noise))
    rows, columns = np.mgrid[: _SIZE[1], : _SIZE[0]]
    hatching = _gray(np.where((rows + columns) % 9 == 0, 120, 255))
    strokes.paste(ImageChops.darker(strokes, hatching), (0, 0), mask)
    return strokes


def _stylized(photo: Image.Image, mask: Image.Image, noise: _Noise) -> Image.Image:
    """Broad strokes in strong colors."""
    values = np.asarray(photo, float)
    paint = _gray(values + noise.normal(0, 50, values.shape)).filter(ImageFilter.ModeFilter(9))
    return ImageEnhance.Color(paint).enhance(2.5)


def _cue_conflict(photo: Image.Image, mask: Image.Image, noise: _Noise) -> Image.Image:
    """The object with the texture of another, here rivets and stripes."""
    rows, columns = np.mgrid[: _SIZE[1], : _SIZE[0]]
    stripes = np.where((columns // 5) % 2 == 0, 200, 120) - 90 * ((rows % 10 < 3) & (columns % 10 < 3))
    texture = Image.merge("RGB", [_gray(stripes), _gray(stripes + 10), _gray(stripes + 40)])
    photo.paste(texture, (0, 0), mask)
    return photo


_CHANGES: dict[str, _Change] = {
    "grayscale": lambda photo, mask, noise: photo,
    "low contrast": lambda photo, mask, noise: _gray(128 + (np.asarray(photo, float) - 128) * 0.3),
    "high-pass filter": _high_pass,
    "low-pass filter": lambda photo, mask, noise: photo.filter(ImageFilter.GaussianBlur(7)),
    "phase scrambling": _scrambled,
    "power equalization": _equalized,
    "false colors": _false_colors,
    "rotation": lambda photo, mask, noise: photo.rotate(180),
    "uniform noise": _uniform_noise,
    "eidolon": _eidolon,
    "sketch": _sketch,
    "stylized": _stylized,
    "cue conflict": _cue_conflict,
    "edges": lambda photo, mask, noise: _outline(mask, 3),
    "silhouette": lambda photo, mask, noise: ImageOps.invert(mask),
}
