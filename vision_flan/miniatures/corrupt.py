"""The 19 corruptions of ImageNet-C, in five severities: alike to the eye, not to the bit.

Names and groups are those of Hendrycks and Dietterich (2019) and of the released archives.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

Rng = np.random.Generator
#: Corruptions by the archive that holds them.
GROUPS: dict[str, tuple[str, ...]] = {
    "noise": ("gaussian_noise", "shot_noise", "impulse_noise"),
    "blur": ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    "weather": ("snow", "frost", "fog", "brightness"),
    "digital": ("contrast", "elastic_transform", "pixelate", "jpeg_compression"),
    "extra": ("speckle_noise", "gaussian_blur", "spatter", "saturate"),
}


def corrupt(name: str, severity: int, picture: Image.Image, rng: Rng) -> Image.Image:
    """The RGB picture with corruption `name` at severity 1 (hardly visible) to 5."""
    return _CORRUPTIONS[name](picture, severity, rng)


def _floats(picture: Image.Image) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.asarray(picture, dtype=np.float64)


def _picture(values: np.ndarray[Any, Any]) -> Image.Image:
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def _gaussian_noise(picture: Image.Image, severity: int, rng: Rng) -> Image.Image:
    values = _floats(picture)
    return _picture(values + rng.normal(0, 12 * severity, values.shape))


def _shot_noise(picture: Image.Image, severity: int, rng: Rng) -> Image.Image:
    photons = 75 / severity**2
    return _picture(rng.poisson(_floats(picture) / 255 * photons) / photons * 255)


def _impulse_noise(picture: Image.Image, severity: int, rng: Rng) -> Image.Image:
    values = _floats(picture)
    hit = rng.random(values.shape[:2])
    values[hit < 0.02 * severity] = 0
    values[hit > 1 - 0.02 * severity] = 255
    return _picture(values)


def _speckle_noise(picture: Image.Image, severity: int, rng: Rng) -> Image.Image:
    values = _floats(picture)
    return _picture(values * (1 + rng.normal(0, 0.12 * severity, values.shape)))


def _defocus_blur(picture: Image.Image, severity: int, rng: Rng) -> Image.Image:
    return picture.filter(ImageFilter.BoxBlur(severity))


def _gaussian_blur(picture: Image.Image, severity: int, rng: Rng) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(severity))


def _glass_blur(picture: Image.Image, severity: int, rng: Rng) -> Image.Image:
    values = np.asarray(picture)
    height, width = values.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width]
    rows = (rows + rng.integers(-severity, severity + 1, rows.shape)).clip(0, height - 1)
    columns = (columns + rng.integers(-severity, severity + 1, columns.shape)).clip(0, width - 1)
    return Image.fromarray(values[rows, columns])


def _motion_blur(picture: Image.Image, severity: int, rng: Rng) -> Image.Image:
    values = _floats(picture)
    return _picture(np.mean([np.roll(values, step, axis=1) for step in range(2 * severity + 1)], axis=0))


def _zoom_blur(picture: Image.Image, severity: int, rng: Rng) -> Image.Image:
    width, height = picture.size
    layers = []
    for step in range(severity + 2):
        margin = step * 0.01 * severity
        box = width * margin, height * margin, width * (1 - margin), height * (1 - margin)
        layers.append(_floats(picture.resize(picture.size, Image.Resampling.BILINEAR, box)))
    return _picture(np.mean(layers, axis=0))


def _snow(picture: Image.Image, severity: int, rng: Rng) -> Image.Image:
    out = ImageEnhance.Brightness(picture).enhance(1 + 0.08 * severity)
    pen = ImageDraw.Draw(out)
    for x, y in rng.random((60 * severity, 2)) * picture.size:
        pen.line((x, y, x + 3, y + 5), (255, 255, 255), 2)
    return out


def _frost(picture: Image.Image, severity: int, rng: Rng) -> Image.Image:
    out = Image.blend(picture, Image.new("RGB", picture.size, (200, 220, 240)), 0.08 * severity)
    pen = ImageDraw.Draw(out)
    for x, y, turn in rng.random((12 * severity, 3)) * (*picture.size, 3.14):
        for branch in range(3):
            angle = turn + branch * 1.05
            reach = np.cos(angle) * 12, np.sin(angle) * 12
            pen.line((x - reach[0], y - reach[1], x + reach[0], y + reach[1]), (235, 245, 255))
    return out


def _fog(picture: Image.Image, severity: int, rng: Rng) -> Image.Image:
    cloud = Image.fromarray(rng.integers(170, 250, (4, 4)).astype(np.uint8)).resize(
        picture.size, Image.Resampling.BICUBIC
    )
    return Image.blend(picture, cloud.convert("RGB"), 0.14 * severity)


def _brightness(picture: Image.Image, severity: int, rng: Rng) -> Image.Image:
    return _picture(_floats(picture) + 25 * severity)


def _contrast(picture: Image.Image, severity: int, rng: Rng) -> Image.Image:
    return ImageEnhance.Contrast(picture).enhance(0.6 - 0.1 * severity)


def _elastic_transform(picture: Image.Image, severity: int, rng: Rng) -> Image.Image:
    values = np.asarray(picture)
    height, width = values.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width].astype(float)
    bend = 1.5 * severity
    moved = (rows + bend * np.sin(columns / 9 + rng.random())).clip(0, height - 1).astype(int)
    shifted = (columns + bend * np.sin(rows / 7 + rng.random())).clip(0, width - 1).astype(int)
    return Image.fromarray(values[moved, shifted])


def _pixelate(picture: Image.Image, severity: int, rng: Rng) -> Image.Image:
    side = 1 + severity
    small = picture.resize(
        (max(picture.width // side, 1), max(picture.height // side, 1)), Image.Resampling.BOX
    )
    return small.resize(picture.size, Image.Resampling.NEAREST)


def _jpeg_compression(picture: Image.Image, severity: int, rng: Rng) -> Image.Image:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=(25, 18, 15, 10, 7)[severity - 1])
    return Image.open(out).convert("RGB")


def _spatter(picture: Image.Image, severity: int, rng: Rng) -> Image.Image:
    out = picture.copy()
    pen = ImageDraw.Draw(out)
    for x, y, radius in rng.random((8 * severity, 3)) * (*picture.size, 4 + 2 * severity):
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), (63, 42, 20))
    return out


def _saturate(picture: Image.Image, severity: int, rng: Rng) -> Image.Image:
    return ImageEnhance.Color(picture).enhance((0.3, 0.1, 2.0, 5.0, 20.0)[severity - 1])


_CORRUPTIONS: dict[str, Callable[[Image.Image, int, Rng], Image.Image]] = {
    "gaussian_noise": _gaussian_noise,
    "shot_noise": _shot_noise,
    "impulse_noise": _impulse_noise,
    "defocus_blur": _defocus_blur,
    "glass_blur": _glass_blur,
    "motion_blur": _motion_blur,
    "zoom_blur": _zoom_blur,
    "snow": _snow,
    "frost": _frost,
    "fog": _fog,
    "brightness": _brightness,
    "contrast": _contrast,
    "elastic_transform": _elastic_transform,
    "pixelate": _pixelate,
    "jpeg_compression": _jpeg_compression,
    "speckle_noise": _speckle_noise,
    "gaussian_blur": _gaussian_blur,
    "spatter": _spatter,
    "saturate": _saturate,
}
