"""Patterns in linear time match what regular expressions match, field for field."""

from __future__ import annotations

import time
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_flan.errors import SpecError
from vision_flan.raw.patterns import LinePattern, Pattern

_PIECES = ["a", "b", "/", "-", " ", "_", "1", ".", "aa", "é", "{{"]
_FIELDS = ["{x}", "{y}", "{z:d}", "{w:d}", "{v*}", "*"]


def patterns(*more: str) -> st.SearchStrategy[str]:
    """Patterns in which each field occurs once."""
    pieces = st.lists(st.sampled_from([*_PIECES, *_FIELDS, *more]), min_size=1, max_size=8)
    return pieces.map("".join).filter(lambda text: all(text.count(field) < 2 for field in _FIELDS[:-1]))


def linear(made: Pattern | LinePattern, text: str) -> dict[str, str] | None:
    """What it matches where `re` would be slow."""
    with patch("vision_flan.raw.patterns.is_quick", return_value=False):
        matcher = made._match.__self__  # type: ignore[attr-defined]
        with patch.object(matcher, "_short", -1):
            found = made.match(text)
    assert found is None or isinstance(found, dict)
    return found


TEXTS = st.text("aAb/-_ 12.\té{x", max_size=14)


@given(patterns(".jpg", ".A1"), TEXTS)
def test_paths_match_as_by_a_regular_expression(pattern: str, text: str) -> None:
    try:
        made = Pattern(pattern)
    except SpecError:
        return
    expected = made.match(text)
    assert linear(made, text) == expected


@given(patterns("\t", ","), TEXTS)
def test_lines_match_as_by_a_regular_expression(pattern: str, text: str) -> None:
    made = LinePattern(pattern)
    expected = made.match(text)
    assert linear(made, text) == expected


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("{a},{b},{c},{d},{e},{f},{g};", "1," * 400),
        ("{a} {b} {c} {d} {e}!", "x " * 5000),
        ("{a}{b}{c}{d}{e}{f}!", "x" * 3000),
        ("{a:d}{b:d}{c:d}{d:d}{e:d}x", "1" * 3000),
        ("{a*}-{b*}-{c*}-{d*}!", "-" * 3000),
    ],
)
def test_a_line_that_could_match_in_many_ways_takes_no_time(pattern: str, text: str) -> None:
    began = time.process_time()
    assert LinePattern(pattern).match(text) is None
    assert LinePattern(pattern.rstrip("!;x")).match(text + "1") is not None
    assert time.process_time() - began < 3


@pytest.mark.parametrize(
    "text", ["*a" * 12 + "b", "{a*}" + "*a" * 9 + "/b", "{a}_{b}_{c}_{d}_{e}_{f}_{g}.jpg"]
)
def test_a_path_that_could_match_in_many_ways_takes_no_time(text: str) -> None:
    began = time.process_time()
    for name in ("a" * 250, "_" * 250, "a_" * 120 + ".png"):
        assert Pattern(text).match(name) is None
    assert time.process_time() - began < 3


def test_a_repeated_field_is_refused_where_it_could_match_in_many_ways() -> None:
    assert Pattern("{c}/{c}_{n:d}.jpg").match("cat/cat_7.jpg") == {"c": "cat", "n": "7"}
    with pytest.raises(SpecError, match="too many ways"):
        Pattern("{a}{b}{c}{d}{e}{a}{b}{c}!").match("a" * 250)
