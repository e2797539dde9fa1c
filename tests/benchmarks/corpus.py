"""Images for benchmarks, made once per folder: JPEGs of about 80 kB as from cameras, PNGs of 2 kB."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image


def jpegs(folder: Path, count: int, *, variants: int = 40) -> None:
    """Write `count` JPEGs of 640 x 480 (about 80 kB each), unless they are there.

    `variants` different images are encoded; each file gets its number in a comment segment, so that no two
    are the same bytes and encoding them does not take minutes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / f"{count - 1:06}.jpg").exists():
        return
    rng = np.random.default_rng(0)
    encoded = []
    for _ in range(variants):
        coarse = rng.integers(0, 255, (60, 80, 3), dtype=np.uint8)
        smooth = np.asarray(
            Image.fromarray(coarse).resize((640, 480), Image.Resampling.BICUBIC), dtype=np.int16
        )
        noisy = np.clip(smooth + rng.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)
        sink = io.BytesIO()
        Image.fromarray(noisy).save(sink, "JPEG", quality=86)
        encoded.append(sink.getvalue())
    for i in range(count):
        data = encoded[i % variants]
        comment = f"{i:012}".encode()
        segment = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
        (folder / f"{i:06}.jpg").write_bytes(data[:2] + segment + data[2:])


def pngs(folder: Path, count: int) -> None:
    """Write `count` PNGs of 24 x 28 pixels of noise (about 2 kB each), unless they are there."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / f"{count - 1:06}.png").exists():
        return
    rng = np.random.default_rng(0)
    for i in range(count):
        pixels = rng.integers(0, 256, (24, 28, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:06}.png", "PNG")
