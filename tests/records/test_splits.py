"""`split: [train, validation]`: several labeled splits, in the order preferred."""

from __future__ import annotations

import pytest

from tests.toy import DATASET, Toy
from vision_flan.errors import SpecError

PARTS = ("train", "validation", "test")


def several(toy: Toy, count: int = 12) -> Toy:
    """A third of the records of each split, listed in turn."""
    toy.write_specs(DATASET.replace("color: VARCHAR}", "color: VARCHAR, split: VARCHAR}"))
    toy.write_records([{**toy.record(i), "split": PARTS[i % 3]} for i in range(count)])
    toy.replace("dataset: toy\n", "dataset: toy\nsplit: [train, validation]\n")
    return toy


def parts(toy: Toy) -> list[str]:
    return [PARTS[int(row["source_id"].partition(".")[0]) % 3] for row in toy.rows()]


def test_records_of_the_first_split_come_first_and_those_of_test_never(toy: Toy) -> None:
    result = several(toy).compile()
    assert parts(toy) == ["train"] * 4 + ["validation"] * 4
    assert result.manifest.counts["candidates"] == 8


def test_a_quota_is_filled_from_the_second_split_only_where_the_first_is_too_small(toy: Toy) -> None:
    several(toy).compile(limit=3)
    assert parts(toy) == ["train"] * 3
    toy.compile(limit=6)
    assert parts(toy) == ["train"] * 4 + ["validation"] * 2


def test_the_config_has_the_name_of_the_first(toy: Toy) -> None:
    assert several(toy).compile().manifest.split == "train"


def test_the_order_within_a_split_is_the_usual_one(toy: Toy) -> None:
    several(toy).compile()
    ours = [row["source_id"] for row in toy.rows()]
    toy.replace("split: [train, validation]\n", "")
    toy.compile()
    usual = [row["source_id"] for row in toy.rows()]
    assert ours[:4] == [key for key in usual if key in ours[:4]]


@pytest.mark.parametrize("splits", ["[train, test]", "[train]", "[train, train]"])
def test_test_is_never_named_among_several(splits: str, toy: Toy) -> None:
    several(toy).replace("[train, validation]", splits)
    with pytest.raises(SpecError, match="split"):
        toy.compile()


def test_records_without_a_column_split_are_refused(toy: Toy) -> None:
    toy.replace("dataset: toy\n", "dataset: toy\nsplit: [train, validation]\n")
    with pytest.raises(SpecError, match="split"):
        toy.compile()
