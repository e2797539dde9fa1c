"""A line that is put together from its words has the pixels, and the length, of one that is drawn at once."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from vision_flan.miniatures.words import with_words_kept

SIZES = (8, 9, 12, 14, 20)


def face(size: int) -> ImageFont.FreeTypeFont:
    return cast(ImageFont.FreeTypeFont, ImageFont.load_default(size))


PLAIN = {size: face(size) for size in SIZES}
KEPT = {size: with_words_kept(face(size)) for size in SIZES}


def drawn(font: ImageFont.FreeTypeFont, text: str, at: tuple[float, float], mode: str, **how: Any) -> bytes:
    image = Image.new(mode, (200, 60))
    ImageDraw.Draw(image).text(at, text, "white", font=font, **how)
    return image.tobytes()


@settings(max_examples=150)
@given(
    text=st.text("AVTWLYPfjoy .,'\"-abcde019 \né€", max_size=30),
    size=st.sampled_from(SIZES),
    at=st.sampled_from([(3, 4), (3.5, 4.25)]),
    mode=st.sampled_from(["RGB", "L", "1"]),
)
@example(text="  a  b ", size=8, at=(3, 4), mode="RGB")
@example(text="", size=8, at=(3, 4), mode="RGB")
def test_pixels_and_length(text: str, size: int, at: tuple[float, float], mode: str) -> None:
    assert drawn(KEPT[size], text, at, mode) == drawn(PLAIN[size], text, at, mode)
    line = text.replace("\n", " ")
    assert KEPT[size].getlength(line) == PLAIN[size].getlength(line)


@pytest.mark.parametrize("how", [{"anchor": "mm"}, {"stroke_width": 1}, {"anchor": "ra", "spacing": 1}])
def test_what_is_not_a_plain_line_is_drawn_as_ever(how: dict[str, Any]) -> None:
    text = "To Wave a Yacht"
    assert drawn(KEPT[12], text, (90, 20), "RGB", **how) == drawn(PLAIN[12], text, (90, 20), "RGB", **how)
