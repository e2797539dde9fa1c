from __future__ import annotations

import io
import random
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vision_flan.instances import image_headers, images
from vision_flan.instances.compose import compose_grids, crop, encode_png
from vision_flan.instances.images import BadImageError, check_image, on_white


def encoded(
    mode: str = "RGB", size: tuple[int, int] = (64, 48), image_format: str = "JPEG", **options: object
) -> bytes:
    image = Image.effect_noise(size, 80).convert(mode)
    sink = io.BytesIO()
    image.save(sink, image_format, **options)
    return sink.getvalue()


def reason(data: bytes, *, full: bool = False) -> str:
    with pytest.raises(BadImageError) as caught:
        check_image(data, full=full)
    return str(caught.value)


@pytest.mark.parametrize(
    ("mode", "image_format"),
    [
        ("RGB", "JPEG"), ("L", "JPEG"), ("CMYK", "JPEG"), ("RGB", "PNG"), ("RGBA", "PNG"), ("P", "PNG"),
        ("I;16", "PNG"), ("1", "PNG"), ("RGB", "WEBP"), ("P", "GIF"), ("RGB", "BMP"), ("RGB", "TIFF"),
        ("RGB", "PPM"),
    ],
)  # fmt: skip
def test_a_whole_image_of_any_mode_passes_with_its_format_and_size(mode: str, image_format: str) -> None:
    facts = check_image(encoded(mode, image_format=image_format))
    assert (facts.format, facts.width, facts.height) == (image_format, 64, 48)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0"}])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_the_size_of_a_jpeg_is_the_one_that_pillow_reads(mode: str, options: dict[str, object]) -> None:
    for size in ((1, 1), (17, 900), (640, 480)):
        data = encoded(mode, size, **options)
        plain = image_headers.plain_jpeg(data)
        assert plain and plain[:2] == Image.open(io.BytesIO(data)).size == size


@given(st.binary(max_size=60))
def test_the_frame_header_of_any_bytes_is_found_or_left_to_pillow(noise: bytes) -> None:
    for data in (noise, b"\xff\xd8" + noise, encoded(size=(8, 8))[:20] + noise + b"\xff\xd9"):
        plain = image_headers.plain_jpeg(data)
        assert plain is None or (0 <= plain.width < 65536 and 0 <= plain.height < 65536)


def test_the_content_decides_not_the_name() -> None:
    assert check_image(encoded(image_format="PNG")).format == "PNG"


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "GIF", "WEBP", "BMP"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_truncated_image_is_broken(image_format: str, share: float) -> None:
    data = encoded(image_format=image_format)
    assert reason(data[: int(len(data) * share)]) == "broken_image"


def test_no_bytes_are_an_empty_image() -> None:
    assert reason(b"") == "empty_image"


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "GIF"])
def test_a_placeholder_of_one_pixel_is_an_empty_image(image_format: str) -> None:
    file = io.BytesIO()
    Image.new("RGB", (1, 1)).save(file, image_format)
    assert reason(file.getvalue()) == "empty_image"


@pytest.mark.parametrize("data", [b"<html><body>Not found</body></html>", b"\0" * 100, b"%PDF-1.7 ..."])
def test_what_is_no_image_is_called_so(data: bytes) -> None:
    assert reason(data) == "not_an_image"


def test_an_animation_is_not_one_image() -> None:
    frames = [Image.new("RGB", (8, 8), (80 * i, 0, 0)) for i in range(3)]
    sink = io.BytesIO()
    frames[0].save(sink, "GIF", save_all=True, append_images=frames[1:])
    assert reason(sink.getvalue()) == "animated_image"


def test_a_hundred_megapixels_are_too_large_and_never_decoded() -> None:
    sink = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(sink, "PNG")
    assert len(sink.getvalue()) < 100_000
    assert reason(sink.getvalue()) == "image_too_large"


def test_a_file_over_the_limit_of_bytes_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_BYTES", 1000)
    assert reason(encoded(size=(640, 480))) == "image_too_large"


def test_a_jpeg_with_bytes_behind_its_end_is_decoded_and_passes() -> None:
    assert check_image(encoded() + b"trailing bytes of a camera").format == "JPEG"


def test_a_png_with_a_wrong_checksum_is_broken() -> None:
    data = bytearray(encoded(image_format="PNG"))
    data[len(data) // 2] ^= 0xFF
    assert reason(bytes(data)) == "broken_image"


def test_the_full_check_decodes_what_the_header_check_trusts() -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
    broken = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"no deflate stream") + chunk(b"IEND", b"")
    assert check_image(broken).format == "PNG"
    assert reason(broken, full=True) == "broken_image"


def test_random_bytes_behind_a_real_header_never_raise_anything_else() -> None:
    rng = random.Random(0)
    for image_format in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"):
        head = encoded(image_format=image_format)[: rng.randrange(4, 60)]
        for _ in range(30):
            try:
                check_image(head + rng.randbytes(rng.randrange(0, 300)), full=True)
            except BadImageError as error:
                assert str(error) in {
                    "broken_image",
                    "not_an_image",
                    "image_too_large",
                    "empty_image",
                    "animated_image",
                }


def test_a_grid_shows_its_images_in_order_with_captions_below() -> None:
    colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)]
    cells = []
    for color in colors:
        sink = io.BytesIO()
        Image.new("RGB", (40, 40), color).save(sink, "PNG")
        cells.append(sink.getvalue())
    sheet = Image.open(io.BytesIO(compose_grids([(cells, 2, ["1", "2", "3", "4"], 40)])))
    width, height = sheet.size
    centers = [(28, 28), (76, 28), (28, 98), (76, 98)]
    assert [sheet.getpixel(center) for center in centers] == colors
    assert (width, height) == (2 * 48 + 8, 2 * 70 + 8)


def test_composing_twice_gives_the_same_bytes() -> None:
    cells = [encoded(), encoded()]
    assert compose_grids([(cells, 2, [], 100)]) == compose_grids([(cells, 2, [], 100)])


def test_a_crop_is_cut_to_the_image() -> None:
    cut = Image.open(io.BytesIO(crop(encoded(size=(64, 48)), (50, 40, 30, 30))))
    assert cut.size == (14, 8)


def test_a_crop_outside_the_image_is_no_image() -> None:
    with pytest.raises(BadImageError, match="empty_crop"):
        crop(encoded(size=(64, 48)), (100, 100, 5, 5))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_becomes_white_and_ink_stays(mode: str) -> None:
    clear, ink = {"RGBA": ((0, 0, 0, 0), (0, 0, 0, 255)), "LA": ((0, 0), (0, 255)), "P": (0, 1)}[mode]
    drawing = Image.new(mode, (4, 4), clear)
    drawing.putpixel((1, 1), ink)
    if mode == "P":
        drawing.putpalette([0, 0, 0] * 2)
        drawing.info["transparency"] = 0
    file = io.BytesIO()
    drawing.save(file, "PNG")
    shown = on_white(Image.open(file))
    assert [shown.getpixel(at) for at in ((0, 0), (1, 1))] == [(255, 255, 255), (0, 0, 0)]


def test_an_opaque_image_keeps_its_pixels() -> None:
    noise = Image.frombytes("RGB", (8, 8), random.Random(1).randbytes(192))
    assert on_white(noise).tobytes() == noise.tobytes()


def test_a_grid_shows_drawings_on_transparent_black() -> None:
    drawing = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    drawing.paste((0, 0, 0, 255), (8, 8, 12, 12))
    file = io.BytesIO()
    drawing.save(file, "PNG")
    grid = Image.open(io.BytesIO(compose_grids([([file.getvalue()], 1, [], 20)]))).convert("L")
    assert grid.getextrema() == (0, 255) and sum(grid.histogram()[:64]) < 40


@pytest.mark.parametrize("color", [(90, 90, 90), (90, 90, 91)])
def test_a_composed_image_has_the_same_pixels_gray_or_not(color: tuple[int, int, int]) -> None:
    image = Image.effect_noise((40, 30), 60).convert("RGB")
    image.putpixel((3, 4), color)
    with Image.open(io.BytesIO(encode_png(image))) as read:
        assert read.mode == ("L" if len(set(color)) == 1 else "RGB")
        assert read.convert("RGB").tobytes() == image.tobytes()
