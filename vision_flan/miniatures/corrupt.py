"""The 19 corruptions of ImageNet-C, at five severities: similar to the eye, not bit for bit.

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


def corrupt(name: str, severity: int, image: Image.Image, rng: Rng) -> Image.Image:
    """The RGB image with corruption `name` at severity 1 (hardly visible) to 5."""
    return _CORRUPTIONS[name](image, severity, rng)


def _floats(image: Image.Image) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.asarray(image, dtype=np.float64)


def _image(values: np.ndarray[Any, Any]) -> Image.Image:
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def _gaussian_noise(image: Image.Image, severity: int, rng: Rng) -> Image.Image:
    values = _floats(image)
    return _image(values + rng.normal(0, 12 * severity, values.shape))


def _shot_noise(image: Image.Image, severity: int, rng: Rng) -> Image.Image:
    photons = 75 / severity**2
    return _image(rng.poisson(_floats(image) / 255 * photons) / photons * 255)


def _impulse_noise(image: Image.Image, severity: int, rng: Rng) -> Image.Image:
    values = _floats(image)
    hit = rng.random(values.shape[:2])
    values[hit < 0.02 * severity] = 0
    values[hit > 1 - 0.02 * severity] = 255
    return _image(values)


def _speckle_noise(image: Image.Image, severity: int, rng: Rng) -> Image.Image:
    values = _floats(image)
    return _image(values * (1 + rng.normal(0, 0.12 * severity, values.shape)))


def _defocus_blur(image: Image.Image, severity: int, rng: Rng) -> Image.Image:
    return image.filter(ImageFilter.BoxBlur(severity))


def _gaussian_blur(image: Image.Image, severity: int, rng: Rng) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(severity))


def _glass_blur(image: Image.Image, severity: int, rng: Rng) -> Image.Image:
    values = np.asarray(image)
    height, width = values.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width]
    rows = (rows + rng.integers(-severity, severity + 1, rows.shape)).clip(0, height - 1)
    columns = (columns + rng.integers(-severity, severity + 1, columns.shape)).clip(0, width - 1)
    return Image.fromarray(values[rows, columns])


def _motion_blur(image: Image.Image, severity: int, rng: Rng) -> Image.Image:
    values = _floats(image)
    return _image(np.mean([np.roll(values, step, axis=1) for step in range(2 * severity + 1)], axis=0))


def _zoom_blur(image: Image.Image, severity: int, rng: Rng) -> Image.Image:
    width, height = image.size
    layers = []
    for step in range(severity + 2):
        margin = step * 0.01 * severity
        box = width * margin, height * margin, width * (1 - margin), height * (1 - margin)
        layers.append(_floats(image.resize(image.size, Image.Resampling.BILINEAR, box)))
    return _image(np.mean(layers, axis=0))


def _snow(image: Image.Image, severity: int, rng: Rng) -> Image.Image:
    out = ImageEnhance.Brightness(image).enhance(1 + 0.08 * severity)
    pen = ImageDraw.Draw(out)
    for x, y in rng.random((60 * severity, 2)) * image.size:
        pen.line((x, y, x + 3, y + 5), (255, 255, 255), 2)
    return out


def _frost(image: Image.Image, severity: int, rng: Rng) -> Image.Image:
    out = Image.blend(image, Image.new("RGB", image.size, (200, 220, 240)), 0.08 * severity)
    pen = ImageDraw.Draw(out)
    for x, y, turn in rng.random((12 * severity, 3)) * (*image.size, 3.14):
        for branch in range(3):
            angle = turn + branch * 1.05
            reach = np.cos(angle) * 12, np.sin(angle) * 12
            pen.line((x - reach[0], y - reach[1], x + reach[0], y + reach[1]), (235, 245, 255))
    return out


def _fog(image: Image.Image, severity: int, rng: Rng) -> Image.Image:
    cloud = Image.fromarray(rng.integers(170, 250, (4, 4)).astype(np.uint8)).resize(
        image.size, Image.Resampling.BICUBIC
    )
    return Image.blend(image, cloud.convert("RGB"), 0.14 * severity)


def _brightness(image: Image.Image, severity: int, rng: Rng) -> Image.Image:
    return _image(_floats(image) + 25 * severity)


def _contrast(image: Image.Image, severity: int, rng: Rng) -> Image.Image:
    return ImageEnhance.Contrast(image).enhance(0.6 - 0.1 * severity)


def _elastic_transform(image: Image.Image, severity: int, rng: Rng) -> Image.Image:
    values = np.asarray(image)
    height, width = values.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width].astype(float)
    bend = 1.5 * severity
    moved = (rows + bend * np.sin(columns / 9 + rng.random())).clip(0, height - 1).astype(int)
    shifted = (columns + bend * np.sin(rows / 7 + rng.random())).clip(0, width - 1).astype(int)
    return Image.fromarray(values[moved, shifted])


def _pixelate(image: Image.Image, severity: int, rng: Rng) -> Image.Image:
    side = 1 + severity
    small = image.resize((max(image.width // side, 1), max(image.height // side, 1)), Image.Resampling.BOX)
    return small.resize(image.size, Image.Resampling.NEAREST)


def _jpeg_compression(image: Image.Image, severity: int, rng: Rng) -> Image.Image:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=(25, 18, 15, 10, 7)[severity - 1])
    return Image.open(out).convert("RGB")


def _spatter(image: Image.Image, severity: int, rng: Rng) -> Image.Image:
    out = image.copy()
    pen = ImageDraw.Draw(out)
    for x, y, radius in rng.random((8 * severity, 3)) * (*image.size, 4 + 2 * severity):
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), (63, 42, 20))
    return out


def _saturate(image: Image.Image, severity: int, rng: Rng) -> Image.Image:
    return ImageEnhance.Color(image).enhance((0.3, 0.1, 2.0, 5.0, 20.0)[severity - 1])


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
