"""TextOCR: photographs with words, as dictionaries keyed by id.

`n` counts images of the train split; val and test get an eighth each. Three lines of text per image, about
28 words (700,000 in 25,000 images); every 500th image is dense. Truth of ocr_textocr: `source_id` is the
image id, the target the legible words in reading order.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from PIL import Image

from vision_flan.miniatures import draw, open_images, quirks, text
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Drawing, Tree

ILLEGIBLE = "."
_INFO = {"version": "0.1", "description": "TextOCR", "year": 2021}
Words = list[tuple[str, draw.Box]]


def generate(mini: Miniature) -> None:
    few = max(mini.n // 8, 1)
    # every 40th image is in no list of Open Images, so that nobody knows its author
    listed = [mini.hex_id(16, "train", index) for index in range(mini.n) if index % 40 != 37]
    open_images.authors(mini, mini, "open_images/train-images-boxable-with-rotation.csv", "train", listed)
    with mini.pack("train_val_images.zip") as tree:
        _split(mini, tree, "train", mini.n)
        _split(mini, tree, "val", few)
        # images of TextVQA that TextOCR left out for privacy: files without annotation
        for index in range(max(mini.n // 100, 1)):
            name = mini.hex_id(16, "left out", index)
            tree.image(f"train_images/{name}.jpg", draw.caption_card("not annotated", note=name))
    with mini.pack("test_images.zip") as tree, mini.json_document("TextOCR_0.1_test.json") as document:
        document.field("info", _INFO)
        put = document.object("imgs")
        for index in range(few):
            image_id = mini.hex_id(16, "test", index)
            image = draw.caption_card(f"test {index}", draw.some_size(mini.rng("test", index)))
            tree.image(f"test_images/{image_id}.jpg", image)
            put(image_id, _image(image_id, image.size, "test", "test"))


def _split(mini: Miniature, tree: Tree, split: str, count: int) -> None:
    with mini.json_document(f"TextOCR_0.1_{split}.json") as document:
        document.field("info", _INFO)
        put_image, put_word = document.object("imgs"), document.object("anns")
        put_link = document.object("imgToAnns")
        for index in range(count):
            image_id = mini.hex_id(16, split, index)
            rng = mini.rng(split, index)
            lines = _lines(rng, index)
            size, boxes = draw.lines_of_words(lines, rng)
            words = [pair for line in zip(lines, boxes, strict=True) for pair in zip(*line, strict=True)]
            image = draw.word_scene(size, words, rng)
            sideways = index % 50 == 3
            tree.image(f"train_images/{image_id}.jpg", _as_stored(image, index, sideways))
            # val images, too, say "train/"; neither folder is that of the archive
            stored = (size[1], size[0]) if sideways else size
            put_image(image_id, _image(image_id, stored, split, "train"))
            annotations = dict(_annotations(image_id, words, rng))
            if sideways:
                annotations = {key: _turned(record, size[0]) for key, record in annotations.items()}
            for key, record in annotations.items():
                put_word(key, record)
            put_link(image_id, list(annotations))
            if split == "train":
                _truth(mini, image_id, words)


def _lines(rng: Random, index: int) -> list[list[str]]:
    """Words line by line; sometimes none, only illegible ones, or hundreds."""
    if index % 40 == 7:
        return []
    if index % 40 == 13:
        return [[ILLEGIBLE] * rng.randint(1, 4)]
    count = 25 if index % 500 == 499 else 3
    lines = [[_word(rng) for _ in range(rng.randint(6, 14))] for _ in range(count)]
    lines[-1][-1] = lines[0][0]  # upstream repeats words, too
    return lines


def _word(rng: Random) -> str:
    return ILLEGIBLE if rng.random() < 0.08 else text.sign_word(rng)


def _as_stored(image: Image.Image, index: int, sideways: bool) -> Drawing:
    if sideways:  # a camera held upright: the stored pixels lie on their side, and EXIF says so
        return quirks.exif_rotated(image.transpose(Image.Transpose.ROTATE_90), orientation=6)
    return quirks.grayscale(image) if index % 50 == 11 else image


def _image(image_id: str, size: draw.Size, split: str, folder: str) -> dict[str, object]:
    name = f"{folder}/{image_id}.jpg"
    return {"id": image_id, "width": size[0], "height": size[1], "set": split, "file_name": name}


def _annotations(image_id: str, words: Words, rng: Random) -> Iterator[tuple[str, dict[str, Any]]]:
    """Records in an order that is not the reading order; numbers in ids count from 1 in that order."""
    for number, (word, (left, top, wide, high)) in enumerate(rng.sample(words, len(words)), start=1):
        key = f"{image_id}_{number}"
        # slightly larger than the glyphs, so that a box at the edge extends beyond the image
        x, y, width, height = left - 0.37, top - 0.25, wide + 0.74, high + 0.5
        right, bottom, middle = x + width, y + height, x + width / 2
        points = [x, y, right, y, right, bottom, x, bottom]
        if number % 9 == 0:  # text on a curve has more corners
            points = [x, y, middle, y, right, y, right, bottom, middle, bottom, x, bottom]
        yield (
            key,
            {
                "id": key,
                "image_id": image_id,
                "bbox": [round(x, 2), round(y, 2), round(width, 2), round(height, 2)],
                "utf8_string": word,
                "points": [round(edge, 2) for edge in points],
                "area": round(width * height, 2),
            },
        )


def _turned(record: dict[str, Any], width: int) -> dict[str, Any]:
    """An annotation of an upright image of this width, in the pixels stored on their side."""
    x, y, wide, high = record["bbox"]
    points = record["points"]
    corners = [edge for px, py in zip(points[::2], points[1::2], strict=True) for edge in (py, width - px)]
    return record | {
        "bbox": [y, round(width - x - wide, 2), high, wide],
        "points": [round(edge, 2) for edge in corners],
    }


def _truth(mini: Miniature, image_id: str, words: Words) -> None:
    legible = [word for word, _ in words if word != ILLEGIBLE]
    if legible:
        mini.truth("ocr_textocr", image_id, target="; ".join(legible))
    else:
        mini.truth("ocr_textocr", image_id, dropped="no legible word")
