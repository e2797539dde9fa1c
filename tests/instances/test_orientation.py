"""Upstream boxes count stored pixels; reading order is that of the image as it is shown."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageOps

from tests.toy import LICENSE, Toy
from vision_flan.errors import SpecError
from vision_flan.instances.orientation import Orientation, orientation_of

WIDTH, HEIGHT = 60, 40
#: What stores an upright image under each orientation: the inverse of what EXIF asks viewers to do.
STORE = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
#: Two lines of two words in the upright image.
WORDS = {"Fresh": (4, 4, 20, 8), "Bread": (30, 5, 22, 8), "every": (5, 22, 20, 8), "day": (32, 23, 15, 8)}


def stored(image: Image.Image, orientation: int) -> Image.Image:
    turn = STORE[orientation]
    return image if turn is None else image.transpose(turn)


def stored_box(box: tuple[int, int, int, int], orientation: int) -> list[int]:
    """Where an upright box lies in the stored pixels: it is painted, stored, and looked for."""
    x, y, width, height = box
    paper = Image.new("L", (WIDTH, HEIGHT))
    paper.paste(255, (x, y, x + width, y + height))
    left, top, right, bottom = stored(paper, orientation).getbbox() or (0, 0, 0, 0)
    return [left, top, right - left, bottom - top]


def encoded(orientation: int, image_format: str) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    sink = io.BytesIO()
    stored(Image.new("RGB", (WIDTH, HEIGHT)), orientation).save(sink, image_format, exif=exif)
    return sink.getvalue()


@given(
    st.sampled_from(sorted(STORE)),
    st.tuples(st.integers(0, 39), st.integers(0, 29), st.integers(1, 20), st.integers(1, 10)),
)
def test_a_stored_box_becomes_the_box_that_is_seen(orientation: int, box: tuple[int, int, int, int]) -> None:
    size = stored(Image.new("L", (WIDTH, HEIGHT)), orientation).size
    assert Orientation(orientation, *size).box(stored_box(box, orientation)) == box


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", sorted(STORE))
def test_the_orientation_of_a_file_is_that_of_its_exif(orientation: int, image_format: str) -> None:
    data = encoded(orientation, image_format)
    found = orientation_of(data)
    with Image.open(io.BytesIO(data)) as image:
        assert found == (orientation, *image.size)
        assert found.image(image).size == ImageOps.exif_transpose(image).size == (WIDTH, HEIGHT)


@pytest.mark.parametrize("value", [0, 9, 255])
def test_an_orientation_that_exif_does_not_have_leaves_the_image_alone(value: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = value
    sink = io.BytesIO()
    Image.new("RGB", (3, 2)).save(sink, "JPEG", exif=exif)
    assert orientation_of(sink.getvalue()) == (1, 3, 2)


DATASET_OF_WORDS = (
    """\
dataset: toy
title: Toy
homepage: https://example.org/toy
"""
    + LICENSE
    + """\
citation: "@misc{toy2026, title = {Toy}}"
access: direct
files:
  - {path: toy.json, url: "https://example.org/toy.json"}
  - {path: images.zip, url: "https://example.org/images.zip", provides: [images/]}
tables:
  photos:
    reader: json
    file: toy.json
    columns: {name: VARCHAR, words: "STRUCT(text VARCHAR, box DOUBLE[])[]"}
"""
)
TASK_OF_WORDS = """\
id: toy_color
title: Words of a photo
category: OCR
dataset: toy
alias: Toy+color
table: photos
key: name
image: images/{{ name }}
derive:
  ordered: {reading_order: words}
target: "{{ ordered | join(' ') }}"
form: list
"""


def words_of(orientation: int) -> list[dict[str, Any]]:
    return [{"text": text, "box": stored_box(box, orientation)} for text, box in WORDS.items()]


@pytest.fixture
def photos(tmp_path: Path) -> Toy:
    """One photo for each orientation, all the same to look at, with words in no order."""
    toy = Toy(tmp_path, count=0)
    toy.write_specs(DATASET_OF_WORDS, TASK_OF_WORDS, "Read the words.\n")
    records = []
    for orientation in STORE:
        for suffix, image_format in (("jpg", "JPEG"), ("png", "PNG")):
            name = f"{orientation}.{suffix}"
            (toy.raw / f"toy/images/{name}").write_bytes(encoded(orientation, image_format))
            records.append({"name": name, "words": words_of(orientation)[::-1]})
    toy.write_records(records)
    return toy


def targets(toy: Toy) -> dict[str, str]:
    return {row["source_id"]: row["target"] for row in toy.rows()}


class TestReadingOrder:
    def test_words_are_read_as_the_image_is_shown(self, photos: Toy) -> None:
        photos.compile()
        assert set(targets(photos).values()) == {"Fresh Bread every day"}
        assert len(targets(photos)) == 16

    def test_a_row_is_dropped_for_its_text_before_its_image(self, photos: Toy) -> None:
        """As without `reading_order`, although the image is read first."""
        records = [
            {"name": "1.jpg", "words": words_of(1)},
            {"name": "none.jpg", "words": []},
            {"name": "gone.jpg", "words": words_of(1)},
        ]
        photos.write_records(records)
        assert photos.compile().manifest.counts["dropped"] == {"empty_target": 1, "missing_image": 1}

    @pytest.mark.parametrize("box", [None, [], [1, 2, 3], [1, 2, None, 4]])
    def test_a_box_without_four_numbers_drops_the_row(self, photos: Toy, box: Any) -> None:
        photos.write_records(
            [{"name": "1.jpg", "words": words_of(1)}, {"name": "2.jpg", "words": [{"text": "a", "box": box}]}]
        )
        assert photos.compile().manifest.counts["dropped"] == {"invalid_box": 1}

    def test_a_word_without_text_is_left_out(self, photos: Toy) -> None:
        no_text = {"text": None, "box": [0, 0, 1, 1]}
        photos.write_records([{"name": "6.jpg", "words": [*words_of(6), no_text]}])
        photos.compile()
        assert targets(photos) == {"6.jpg": "Fresh Bread every day"}

    @pytest.mark.parametrize(
        ("old", "new", "says"),
        [
            (
                "derive:\n",
                "derive:\n  folder: {choice: [images]}\n",
                "`image` uses 'folder', which is derived",
            ),
            (
                "image: images/{{ name }}",
                "compose: {crop: {image: 'images/{{ name }}', border: [1, 1, 1, 1]}}",
                "composes its image",
            ),
        ],
    )
    def test_an_image_that_is_not_known_before_the_order_is_refused(
        self, photos: Toy, old: str, new: str, says: str
    ) -> None:
        if "folder" in new:
            photos.replace("images/{{ name }}", "'{{ folder }}/{{ name }}'")
        photos.replace(old, new)
        with pytest.raises(SpecError, match=says) as caught:
            photos.compile()
        assert "toy_color.yaml" in str(caught.value.where)
