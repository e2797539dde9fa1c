from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from vision_flan.instances.reading_order import reading_order

LINES = [
    [("Fresh", 10, 10, 50, 20), ("Bread", 70, 12, 55, 19), ("Daily", 135, 9, 40, 21)],
    [("OPEN", 20, 50, 80, 40), ("8-18", 110, 58, 40, 22)],
    [("No", 12, 110, 20, 15), ("dogs", 40, 111, 35, 16), (".", 80, 121, 4, 4)],
]


def test_three_lines_are_read_from_top_to_bottom_and_left_to_right() -> None:
    words = [word for line in LINES for word in line]
    for seed in range(10):
        mixed = random.Random(seed).sample(words, len(words))
        found = reading_order([word[0] for word in mixed], [word[1:] for word in mixed])
        assert found == ["Fresh", "Bread", "Daily", "OPEN", "8-18", "No", "dogs", "."]


def test_a_line_that_climbs_stays_one_line() -> None:
    boxes = [[i * 60, 100 - i * 8, 50, 20] for i in range(8)]
    words = [f"w{i}" for i in range(8)]
    assert reading_order(words, boxes) == words


def test_repeated_words_stay() -> None:
    assert reading_order(["no", "no", "no"], [[0, 0, 9, 9], [20, 0, 9, 9], [40, 0, 9, 9]]) == ["no"] * 3


def test_no_words_are_no_words() -> None:
    assert reading_order([], []) == []


box = st.lists(st.floats(-10, 1000, allow_nan=False), min_size=4, max_size=4)


@given(st.lists(st.tuples(st.text(max_size=5), box)), st.randoms())
def test_every_word_comes_out_once_and_the_order_given_does_not_matter(
    words: list[tuple[str, list[float]]], rng: random.Random
) -> None:
    order = reading_order([text for text, _ in words], [box for _, box in words])
    assert sorted(order) == sorted(text for text, _ in words)
    mixed = rng.sample(words, len(words))
    assert reading_order([text for text, _ in mixed], [box for _, box in mixed]) == order
