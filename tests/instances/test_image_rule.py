"""What `check_image` passes, `datasets` and the trainer decode, and all of them show the same image."""

from __future__ import annotations

import io
import time
import zlib
from collections.abc import Callable
from typing import Any

import datasets
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from vision_flan.instances.compose import compose_grids, crop
from vision_flan.instances.images import BadImageError, check_image, decoded, on_white

ORIENTATION = 0x0112


def encoded(mode: str, image_format: str, **options: Any) -> bytes:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (6, 8, 3), dtype=np.uint8))
    image = noise.resize((48, 32))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    else:
        image = image.convert(mode)
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[ORIENTATION] = orientation
    block[0x010F] = "Maker"
    return block


def shown(data: bytes) -> Image.Image:
    """The image as `load_dataset` gives it."""
    image = datasets.Image().decode_example({"path": None, "bytes": data})
    assert isinstance(image, Image.Image)
    return image


def accepted(data: bytes) -> bool:
    try:
        check_image(data)
    except BadImageError:
        return False
    return True


def jpeg_header(data: bytes) -> int:
    """Bytes before the compressed data of the first scan."""
    scan = data.index(b"\xff\xda")
    return scan + 2 + int.from_bytes(data[scan + 2 : scan + 4])


def everything(data: bytes) -> int:
    return len(data)


KINDS: list[tuple[bytes, Callable[[bytes], int]]] = [
    (encoded("RGB", "JPEG"), jpeg_header),
    (encoded("RGB", "JPEG", progressive=True), jpeg_header),
    (encoded("L", "JPEG"), jpeg_header),
    (encoded("CMYK", "JPEG"), jpeg_header),
    (encoded("RGB", "JPEG", exif=exif(6)), jpeg_header),
    (encoded("RGB", "PNG"), everything),
    (encoded("P", "PNG", transparency=0), everything),
    (encoded("I;16", "PNG"), everything),
    (encoded("RGB", "PNG", exif=exif(6)), everything),
    (encoded("RGB", "WEBP"), everything),
    (encoded("RGB", "WEBP", lossless=True), everything),
    (encoded("RGB", "WEBP", exif=exif(6)), everything),
    (encoded("P", "GIF"), everything),
    (encoded("RGB", "TIFF"), everything),
    (encoded("P", "BMP"), everything),
]


@settings(max_examples=1500, deadline=None)
@given(
    st.sampled_from(KINDS),
    st.lists(st.tuples(st.integers(2, 5000), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_what_passes_with_a_damaged_header_is_decoded_by_datasets_and_the_trainer(
    kind: tuple[bytes, Callable[[bytes], int]], changes: list[tuple[int, int]]
) -> None:
    data = bytearray(kind[0])
    for place, value in changes:
        data[place % kind[1](kind[0])] = value
    if accepted(bytes(data)):
        shown(bytes(data))
        decoded(bytes(data))


ENTRY = st.tuples(
    st.sampled_from([0x0112, 0x011A, 0x8769, 0x8825, 0x010F]), st.integers(0, 14), st.integers(0, 9)
)


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=40), st.lists(st.tuples(ENTRY, st.binary(min_size=4, max_size=4)), max_size=5))
def test_what_passes_with_any_exif_is_decoded(noise: bytes, entries: list[tuple[Any, bytes]]) -> None:
    directory = len(entries).to_bytes(2) + b"".join(
        tag.to_bytes(2) + kind.to_bytes(2) + count.to_bytes(4) + value
        for (tag, kind, count), value in entries
    )
    for block in (noise, b"MM\0*\0\0\0\x08" + directory + noise):
        for data in (encoded("L", "JPEG", exif=b"Exif\0\0" + block), encoded("L", "PNG", exif=block)):
            if accepted(data):
                shown(data)
                decoded(data)


def test_exif_that_datasets_dies_of_is_a_broken_image() -> None:
    assert not accepted(encoded("L", "JPEG", exif=b"Exif\0\0MM"))


def with_frame(marker: int, precision: int = 8, layers: int = 3) -> bytes:
    data = bytearray(encoded("RGB", "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 1], data[at + 4], data[at + 9] = marker, precision, layers
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        with_frame(0xC0, precision=12),
        with_frame(0xC3),
        with_frame(0xC9),
        with_frame(0xC0, layers=2),
        encoded("RGB", "JPEG").partition(b"\xff\xc0")[0] + b"\xff\xd9",
        encoded("RGB", "JPEG").partition(b"\xff\xda")[0] + b"\xff\xd9",
        b"\xff\xd8" + b"\xff\xe0\0\x02" * 5_000_000 + encoded("RGB", "JPEG")[2:],
        b"\xff\xd8" + b"\xff\xd0" * 5_000_000 + encoded("RGB", "JPEG")[2:],
    ],
    ids=[
        "12-bit",
        "lossless",
        "arithmetic",
        "two components",
        "tables only",
        "no scan",
        "markers",
        "restarts",
    ],
)
def test_a_jpeg_that_nothing_opens_is_broken_and_known_as_such_at_once(data: bytes) -> None:
    started = time.perf_counter()
    assert not accepted(data)
    assert time.perf_counter() - started < 1


def test_a_png_of_a_million_chunks_is_broken_at_once() -> None:
    data = encoded("L", "PNG")
    empty = bytes.fromhex("0000000074494d45") + (0).to_bytes(4)
    started = time.perf_counter()
    assert not accepted(data[:33] + empty * 1_000_000 + data[33:])
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("image_format", ["PNG", "TIFF"])
def test_the_trainer_and_grids_turn_an_image_as_load_dataset_does(turn: int, image_format: str) -> None:
    data = encoded("RGB", image_format, exif=exif(turn))
    assert decoded(data).tobytes() == shown(data).convert("RGB").tobytes()
    grid = Image.open(io.BytesIO(compose_grids([([data], 1, [], 48)])))
    wide, high = shown(data).size
    assert grid.size == (wide + 16, high + 16)
    assert grid.crop((8, 8, 8 + wide, 8 + high)).tobytes() == shown(data).convert("RGB").tobytes()


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_box_fits_the_stored_pixels_and_the_cut_is_shown_upright(turn: int) -> None:
    data = encoded("RGB", "PNG", exif=exif(turn))
    stored = Image.open(io.BytesIO(data)).crop((5, 6, 25, 16))
    file = io.BytesIO()
    stored.save(file, "PNG", exif=exif(turn))
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(file.getvalue())))
    cut = Image.open(io.BytesIO(crop(data, (5, 6, 20, 10))))
    assert (cut.size, cut.tobytes()) == (expected.size, expected.tobytes())
    assert ORIENTATION not in cut.getexif()


def test_gray_of_16_bits_keeps_its_shades() -> None:
    gray = Image.fromarray(np.array([[0, 257 * 100, 65535]], dtype=np.uint16))
    assert np.asarray(on_white(gray))[0, :, 0].tolist() == [0, 100, 255]


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_integers_and_floats_are_scaled_by_their_range(kind: Any) -> None:
    values = Image.fromarray(np.array([[-1000, 0, 1000]], dtype=kind))
    assert np.asarray(on_white(values))[0, :, 1].tolist() == [0, 128, 255]
    assert on_white(Image.new("F", (2, 2), 7.0)).getpixel((0, 0)) == (128, 128, 128)
    odd = Image.fromarray(np.array([[np.nan, 0, 1, np.inf]], dtype=np.float32))
    assert np.asarray(on_white(odd))[0, :, 0].tolist() == [0, 0, 255, 255]


def chunk(kind: bytes, payload: bytes) -> bytes:
    body = kind + payload
    return len(payload).to_bytes(4) + body + zlib.crc32(body).to_bytes(4)


@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from([b"gAMA", b"cHRM", b"sRGB", b"pHYs", b"tIME", b"bKGD", b"PLTE", b"IHDR", b"tRNS"]),
    payload=st.binary(max_size=40),
    tail=st.one_of(st.none(), st.binary(min_size=5, max_size=5)),
)
def test_a_png_that_is_accepted_by_its_header_is_one_that_pillow_opens_at_that_size(
    kind: bytes, payload: bytes, tail: bytes | None
) -> None:
    plain = encoded("RGB", "PNG")
    header = plain[16:29] if tail is None else plain[16:24] + tail
    data = plain[:8] + chunk(b"IHDR", header) + chunk(kind, payload) + plain[33:]
    try:
        facts = check_image(data)
    except BadImageError:
        return
    with Image.open(io.BytesIO(data)) as image:
        assert (facts.format, facts.width, facts.height) == (image.format, *image.size)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("more", [{}, {"dpi": (72, 72)}, {"gamma": 0.5}])
def test_every_kind_of_png_has_its_size(mode: str, more: dict[str, Any]) -> None:
    facts = check_image(encoded(mode, "PNG", **more))
    assert (facts.format, facts.width, facts.height) == ("PNG", 48, 32)
