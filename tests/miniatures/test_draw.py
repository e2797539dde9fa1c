from __future__ import annotations

import io
from itertools import pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont, UnidentifiedImageError

from vision_flan.miniatures import charts, coco, draw, quirks, scenes, text
from vision_flan.miniatures.corrupt import GROUPS, corrupt


def array(image: Image.Image) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.asarray(image.convert("RGB")).astype(np.int64)


def test_digits_differ_from_each_other() -> None:
    assert len({draw.digit(n).tobytes() for n in range(10)}) == 10
    assert array(draw.digit(3, 32)).shape == (32, 32, 3)


@pytest.mark.parametrize("word", [*text.SIGNS, "naïve", "-", ".", "日"])
def test_every_word_leaves_ink_at_the_height_asked_for(word: str) -> None:
    tile = draw.word_tile(word, 14)
    assert tile.height == 14 and np.asarray(tile).max() > 128


def test_a_mark_above_a_letter_is_drawn() -> None:
    assert draw.word_tile("Café", 14).tobytes() != draw.word_tile("Cafe", 14).tobytes()


@settings(deadline=None)
@given(
    st.lists(st.lists(st.sampled_from([*text.SIGNS, "."]), min_size=1, max_size=8), min_size=1, max_size=5),
    st.randoms(),
)
def test_lines_of_words_never_touch_and_fit_the_image(lines: list[list[str]], rng: Random) -> None:
    (width, height), boxes = draw.lines_of_words(lines, rng)
    assert [len(row) for row in boxes] == [len(line) for line in lines]
    for row in boxes:
        for left, right in pairwise(row):
            assert left[0] + left[2] < right[0]
            assert abs(left[1] + left[3] / 2 - right[1] - right[3] / 2) < min(left[3], right[3]) * 0.6
        assert all(x >= 0 and y >= 0 and x + w <= width and y + h <= height for x, y, w, h in row)
    for upper, lower in pairwise(boxes):
        assert max(y + h for _, y, _, h in upper) + 4 < min(y for _, y, _, _ in lower)


def test_a_text_drawn_again_is_drawn_as_the_first_time() -> None:
    def drawn() -> list[bytes]:
        papers = [Image.new(mode, (90, 40)) for mode in ("RGB", "L")]
        for paper, ink in zip(papers, [(10, 200, 30), 77], strict=True):
            for at in ((0, 0), (10.5, 11.25)):
                draw.write(ImageDraw.Draw(paper), at, "Café 7", ink, 12)
        return [paper.tobytes() for paper in papers]

    draw.font.cache_clear()
    first = drawn()
    assert drawn() == first
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draw, "font", ImageFont.load_default)
        assert drawn() == first


def test_a_card_belongs_to_its_text_and_note() -> None:
    assert draw.caption_card("cat").tobytes() == draw.caption_card("cat").tobytes()
    assert draw.caption_card("cat").tobytes() != draw.caption_card("dog").tobytes()
    assert draw.caption_card("cat", note="1").tobytes() != draw.caption_card("cat", note="2").tobytes()
    assert array(draw.caption_card("cat"))[3:20, 3:40].min() < 40  # black writing


@pytest.mark.parametrize(
    "name", ["circle", "star", "triangle", "square", "diamond", "pentagon", "hexagon", "octagon"]
)
def test_a_shape_has_its_colour_in_the_middle_and_ground_in_the_corner(name: str) -> None:
    image = draw.shape(name, "red", (64, 64))
    assert image.getpixel((32, 32)) == draw.NAMED["red"] and image.getpixel((0, 63)) == (255, 255, 255)


def test_objects_are_in_their_boxes() -> None:
    pixels = array(draw.objects_scene((100, 80), [("dog", (10, 20, 40, 30))]))
    assert tuple(pixels[45, 40]) == draw.color_of("dog", light=True)
    assert tuple(pixels[5, 5]) == tuple(pixels[79, 99]) == (205, 222, 232)


@pytest.mark.parametrize("image", ["page", "label"])
def test_accents_are_written_on_pages_and_labels(image: str) -> None:
    def ink(word: str) -> int:
        label = [(word, (0, 0, 120, 40))]
        drawn = draw.page([word]) if image == "page" else draw.objects_scene((120, 40), label)
        return int((np.asarray(drawn).max(axis=2) < 60).sum())

    assert ink("Nestlé") > ink("Nestle")


def test_a_page_is_as_wide_as_its_lines() -> None:
    assert draw.page(["a long line of text"]).width > draw.page(["a"]).width
    assert draw.page(["a", "b"], (50, 60)).size == (50, 60)


def test_textures_follow_their_draw() -> None:
    assert (
        draw.texture(Random(1)).tobytes()
        == draw.texture(Random(1)).tobytes()
        != draw.texture(Random(2)).tobytes()
    )
    assert (
        abs(array(draw.texture(Random(1), base=(200, 30, 30))).mean(axis=(0, 1)) - (200, 30, 30)).max() < 15
    )


@pytest.mark.parametrize("shape", scenes.CLEVR_SHAPES)
@pytest.mark.parametrize("color", scenes.CLEVR_COLORS)
def test_solids_have_their_colour_where_the_scene_says(shape: str, color: str) -> None:
    one = {
        "shape": shape,
        "color": color,
        "size": "large",
        "material": "rubber",
        "pixel_coords": [200, 150, 9.1],
    }
    image = scenes.clevr_scene([one])
    assert image.size == (480, 320) and image.mode == "RGBA"
    assert image.getpixel((200, 150))[:3] == draw.NAMED[color]  # type: ignore[index]
    shiny = scenes.clevr_scene([{**one, "material": "metal"}])
    small = scenes.clevr_scene([{**one, "size": "small"}])
    assert len({image.tobytes(), shiny.tobytes(), small.tobytes()}) == 3


def test_panels_show_type_size_and_colour() -> None:
    slot = (0.5, 0.5, 1.0, 1.0)
    seen = {scenes.panel([(slot, kind, size, 4)]).tobytes() for kind in range(1, 6) for size in range(6)}
    assert len(seen) == 30
    panel = scenes.panel([(slot, 5, 3, 9)])
    assert panel.shape == (160, 160) and panel.dtype == np.uint8 and panel[80, 80] == 0 and panel[0, 0] == 255


def test_expressions_poses_and_tiles_can_be_told_apart() -> None:
    names = ("neutral", "happy", "sad", "angry", "surprise", "fear", "disgust", "contempt")
    assert len({scenes.face(name).tobytes() for name in names}) == len(names)
    assert scenes.figure("jumping").tobytes() != scenes.figure("sitting").tobytes()
    forest, lake = (
        array(scenes.map_tile("forest")).mean(axis=(0, 1)),
        array(scenes.map_tile("lake")).mean(axis=(0, 1)),
    )
    assert forest.argmax() == 1 and lake.argmax() == 2


@pytest.mark.parametrize("kind", ["bar", "hbar", "line", "pie"])
def test_charts_change_with_their_values(kind: str) -> None:
    low, high = [("a", 1.0), ("b", 2.0)], [("a", 2.0), ("b", 2.0)]
    assert charts.chart(kind, low, title="T").tobytes() != charts.chart(kind, high, title="T").tobytes()


def test_a_bar_is_as_high_as_its_value() -> None:
    pixels = array(charts.chart("bar", [("a", 10.0), ("b", 5.0)]))
    heights = [(pixels == draw.NAMED[name]).all(axis=2).any(axis=1).sum() for name in charts.PALETTE[:2]]
    assert abs(heights[0] - 2 * heights[1]) <= 3


@pytest.mark.parametrize("name", [name for names in GROUPS.values() for name in names])
def test_corruptions_change_the_image_more_the_more_severe(name: str) -> None:
    clean = draw.caption_card("tench", (64, 64))
    changes = [
        np.abs(array(corrupt(name, severity, clean, np.random.default_rng(1))) - array(clean)).mean()
        for severity in (1, 3, 5)
    ]
    assert 0 < changes[0] < changes[2]


def test_there_are_19_corruptions() -> None:
    assert sorted(map(len, GROUPS.values())) == [3, 4, 4, 4, 4]


def test_quirks_are_what_they_are_called() -> None:
    card = draw.caption_card("a card", (64, 48))

    def opened(data: bytes) -> Image.Image:
        return Image.open(io.BytesIO(data))

    assert opened(quirks.grayscale(card)).mode == "L"
    assert opened(quirks.cmyk(card)).mode == "CMYK"
    assert opened(quirks.rgba(card)).mode == "RGBA"
    assert opened(quirks.palette(card)).mode == "P"
    assert opened(quirks.sixteen_bit(card)).mode == "I;16"
    assert opened(quirks.animated([card, draw.caption_card("b", (64, 48))])).n_frames == 2  # type: ignore[attr-defined]
    assert opened(quirks.exif_rotated(card)).getexif()[0x0112] == 6
    assert opened(quirks.exif_rotated(card)).size == (64, 48)
    with pytest.raises(OSError, match="truncated"):
        opened(quirks.truncated(card)).load()
    with pytest.raises(UnidentifiedImageError):
        opened(quirks.not_an_image())
    assert quirks.zero_byte() == b""


def test_coco_has_80_categories_with_gaps_and_its_own_file_names() -> None:
    assert len(coco.CATEGORY) == 80 and max(coco.CATEGORY) == 90
    assert not {12, 26, 29, 30, 45, 66, 68, 69, 71, 83} & set(coco.CATEGORY)
    assert coco.CATEGORY[46] == ("wine glass", "kitchen")
    assert coco.file_name("train2014", 9) == "COCO_train2014_000000000009.jpg"
    assert coco.file_name("val2017", 9) == "000000000009.jpg"


@settings(deadline=None)
@given(st.randoms())
def test_sentences_are_sentences(rng: Random) -> None:
    sentence = text.paragraph(rng, 2)
    assert sentence[0].isupper() and sentence.endswith(".") and "  " not in sentence
    question, answer = text.question_answer(rng)
    assert question.endswith("?") and answer and " a orange" not in question
    assert text.article("apple") == "an apple" and text.article("car") == "a car"
