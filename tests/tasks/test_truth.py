"""The comparison with a miniature's truth finds errors."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from vision_flan.miniatures import formats
from vision_flan.miniatures.truth import disagreements

PAIRS = [["How many cubes are there?", "2"], ["Is  there a sphere?", "no"]]
SHOWN = "Q1: How many cubes are there?\nQ2: Is there a sphere?\nA1: no\nA2: 2"


def found(target: str, claim: dict[str, Any], shown: str = "") -> list[str]:
    prompt = f"Do it.\n{shown}"
    turns = [{"user": prompt, "assistant": target}]
    row = {"source_id": "a", "target": target, "input": shown, "prompt": prompt, "turns": turns}
    return list(disagreements([row], {"a": {"source_id": "a", **claim}}))


def test_questions_matched_with_their_answers_are_right() -> None:
    assert not found("Q1A2\nQ2A1", {"pairs": PAIRS}, SHOWN)


@pytest.mark.parametrize("target", ["Q1A1\nQ2A1", "Q1A2", "Q2A1\nQ1A2", "Q1A2\nQ2A9", ""])
def test_a_wrong_missing_misplaced_or_unknown_match_is_found(target: str) -> None:
    assert found(target, {"pairs": PAIRS}, SHOWN)


def test_a_text_that_may_be_foreign_decides_what_is_right() -> None:
    claim = {"if_input": ["A cat.", "it matches", "it does not match"]}
    assert not found("(B) it matches", claim, "Caption: A cat.")
    assert not found("(A) it does not match", claim, "Caption: A dog.")
    assert found("(A) it matches", claim, "Caption: A dog.")


def test_a_record_that_must_drop_out_is_found_where_it_is_written() -> None:
    assert found("cat", {"dropped": "a quirk"})
    assert list(disagreements([], {"a": {"source_id": "a", "target": "cat"}}))


def test_another_image_than_the_truths_is_found() -> None:
    file, image = io.BytesIO(), Image.new("RGB", (2, 1), "red")
    image.save(file, "PNG")
    turns = [{"user": "Which color?", "assistant": "red"}]
    row = {"source_id": "1", "target": "red", "prompt": "Which color?", "turns": turns}
    row |= {"image": {"bytes": file.getvalue()}}
    shown = formats.pixels(image)
    assert not list(disagreements([row], {"1": {"target": "red", "pixels": shown}}))
    assert list(disagreements([row], {"1": {"target": "red", "pixels": shown.replace("2x1", "1x2")}}))
