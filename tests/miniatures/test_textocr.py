from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .conftest import Make, load, truth


def _ink(path: Path) -> np.ndarray[Any, Any]:
    """Where the image differs from its background, the most frequent color."""
    with Image.open(path) as drawing:
        gray = np.asarray(drawing.convert("L")).astype(int)
    return np.abs(gray - np.bincount(gray.ravel()).argmax()) > 40


def _as_seen(path: Path, word: dict[str, Any]) -> dict[str, Any]:
    """A word with its box in the image as a viewer shows it."""
    with Image.open(path) as drawing:
        if drawing.getexif().get(0x0112, 1) != 6:
            return word
        x, y, width, height = word["bbox"]
        return word | {"bbox": [drawing.height - y - height, x, height, width]}


def _lines(words: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Words by rows of overlapping boxes, as a person reads them."""
    lines: list[list[dict[str, Any]]] = []
    for word in sorted(words, key=lambda one: one["bbox"][1]):
        if lines and word["bbox"][1] < max(one["bbox"][1] + one["bbox"][3] for one in lines[-1]):
            lines[-1].append(word)
        else:
            lines.append([word])
    return [sorted(line, key=lambda one: one["bbox"][0]) for line in lines]


def test_the_files_nest_as_upstreams_do(raw: Make) -> None:
    folder = raw("textocr") / "textocr"
    assert sorted(path.name for path in folder.iterdir()) == [
        "TextOCR_0.1_test.json",
        "TextOCR_0.1_train.json",
        "TextOCR_0.1_val.json",
        "open_images",  # the list of authors
        "test_images",
        "train_images",
    ]
    train, test = load(folder / "TextOCR_0.1_train.json"), load(folder / "TextOCR_0.1_test.json")
    assert list(train) == ["info", "imgs", "anns", "imgToAnns"] and list(test) == ["info", "imgs"]
    for key, image in train["imgs"].items():
        assert image["id"] == key and len(key) == 16 and image["set"] == "train"
        assert image["file_name"] == f"train/{key}.jpg"
        with Image.open(folder / "train_images" / f"{key}.jpg") as drawing:
            assert drawing.size == (image["width"], image["height"])
    for key, word in train["anns"].items():
        assert list(word) == ["id", "image_id", "bbox", "utf8_string", "points", "area"]
        assert word["id"] == key and key in train["imgToAnns"][word["image_id"]]
        assert len(word["points"]) >= 8 and len(word["points"]) % 2 == 0
        assert abs(word["area"] - word["bbox"][2] * word["bbox"][3]) < 0.01
    assert set(train["imgs"]) == set(train["imgToAnns"])


def test_words_stand_in_their_boxes_and_nowhere_else(raw: Make) -> None:
    folder = raw("textocr") / "textocr"
    train = load(folder / "TextOCR_0.1_train.json")
    for key, names in train["imgToAnns"].items():
        ink = _ink(folder / "train_images" / f"{key}.jpg")
        for word in (train["anns"][name] for name in names):
            x, y, width, height = (round(edge) for edge in word["bbox"])
            box = slice(max(y, 0), y + height), slice(max(x, 0), x + width)
            assert ink[box].mean() > 0.02, word
            ink[max(y - 2, 0) : y + height + 2, max(x - 2, 0) : x + width + 2] = False
        assert ink.sum() == 0, key


def test_the_truth_is_the_reading_order_of_three_lines(raw: Make) -> None:
    root = raw("textocr")
    train = load(root / "textocr/TextOCR_0.1_train.json")
    known = truth(root, "ocr_textocr")
    assert set(known) == set(train["imgs"])
    rows = []
    for key, record in known.items():
        path = root / f"textocr/train_images/{key}.jpg"
        words = [_as_seen(path, train["anns"][name]) for name in train["imgToAnns"][key]]
        lines = _lines(words)
        legible = [word["utf8_string"] for line in lines for word in line if word["utf8_string"] != "."]
        assert record.get("target", "") == "; ".join(legible)
        assert ("dropped" in record) == (not legible)
        rows.append(len(lines))
    assert rows.count(3) > 0.9 * len(rows)
    shuffled = [train["anns"][name]["bbox"][0] for name in next(iter(train["imgToAnns"].values()))]
    assert shuffled != sorted(shuffled)


def test_the_quirks_of_the_fact_sheet_occur(raw: Make) -> None:
    root = raw("textocr")
    folder = root / "textocr"
    train, val = load(folder / "TextOCR_0.1_train.json"), load(folder / "TextOCR_0.1_val.json")
    words = list(train["anns"].values())
    texts = [word["utf8_string"] for word in words]
    stored = {path.stem: path for path in (folder / "train_images").iterdir()}
    assert (
        set(val["imgs"]) <= set(stored)
        and val["imgs"]
        and set(stored) - set(val["imgs"]) - set(train["imgs"])
    )
    assert all(image["file_name"].startswith("train/") for image in val["imgs"].values())
    assert "." in texts and any(not text.isascii() for text in texts)
    assert [] in train["imgToAnns"].values()
    assert any(
        set(links) and all(train["anns"][one]["utf8_string"] == "." for one in links)
        for links in train["imgToAnns"].values()
    )
    assert any(word["bbox"][0] < 0 for word in words) and any(len(word["points"]) > 8 for word in words)
    assert any(len(set(words)) < len(words) for words in _targets(root))
    kinds = set()
    for path in stored.values():
        with Image.open(path) as drawing:
            kinds |= {drawing.mode, drawing.getexif().get(0x0112, 1)}
    assert {"RGB", "L", 1, 6} == kinds


def _targets(root: Path) -> list[list[str]]:
    return [record.get("target", "").split("; ") for record in truth(root, "ocr_textocr").values()]
