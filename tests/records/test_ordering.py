from __future__ import annotations

from collections import Counter

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_flan.records.ordering import Draws, order_sql


def test_the_same_seed_key_and_purpose_give_the_same_draws() -> None:
    first, second = Draws(7, "key", "options"), Draws(7, "key", "options")
    assert [first.below(1000) for _ in range(20)] == [second.below(1000) for _ in range(20)]


def test_draws_are_pinned_so_that_no_release_changes_compiled_data() -> None:
    draws = Draws(0, "a4ea732cd3d5948a", "options")
    assert [draws.below(100) for _ in range(8)] == [53, 93, 82, 91, 63, 54, 28, 58]


@pytest.mark.parametrize("other", [Draws(8, "key", "x"), Draws(7, "kez", "x"), Draws(7, "key", "y")])
def test_another_seed_key_or_purpose_gives_other_draws(other: Draws) -> None:
    draws = Draws(7, "key", "x")
    assert [draws.below(10**9) for _ in range(4)] != [other.below(10**9) for _ in range(4)]


@given(st.integers(0, 2**31), st.text(), st.lists(st.integers(), unique=True), st.integers(0, 50))
def test_a_sample_is_that_many_different_items(seed: int, key: str, items: list[int], count: int) -> None:
    sample = Draws(seed, key, "p").sample(items, count)
    assert len(sample) == min(count, len(items))
    assert len(set(sample)) == len(sample)
    assert set(sample) <= set(items)


@given(st.integers(0, 2**31), st.text(), st.lists(st.integers()))
def test_shuffling_keeps_every_item(seed: int, key: str, items: list[int]) -> None:
    assert Counter(Draws(seed, key, "p").shuffled(items)) == Counter(items)


def test_each_place_is_equally_likely_for_a_shuffled_item() -> None:
    places = Counter(Draws(0, str(key), "p").shuffled("abcd").index("a") for key in range(4000))
    assert all(abs(count - 1000) < 120 for count in places.values()), places


def test_drawing_below_zero_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="cannot draw below 0"):
        Draws(0, "k", "p").below(0)


def test_the_selection_order_is_md5_of_seed_and_key() -> None:
    import hashlib

    found = duckdb.sql(f"SELECT {order_sql(3, 'k')} FROM (SELECT 'abc' AS k)").fetchall()[0][0]
    assert found == hashlib.md5(b"3\x1fabc").hexdigest()
