from __future__ import annotations

from functools import partial
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_flan.errors import Location, SpecError
from vision_flan.instances.derive import NoValueError, Pool, plan_fields
from vision_flan.instances.rendering import Renderer
from vision_flan.records.candidates import Candidates
from vision_flan.records.ordering import Draws
from vision_flan.records.store import RecordStore

HERE = Location("task.yaml", 5)


def derive(spec: dict[str, Any], row: dict[str, Any], candidates: Candidates | None = None) -> dict[str, Any]:
    key = row.get("_key", "k")
    for field in plan_fields(spec, Renderer(), lambda *_: HERE, candidates):
        row[field.name] = field.make(row, Draws(0, key, field.name))
    return row


def test_a_choice_is_one_of_the_values_and_all_come_up() -> None:
    seen = {derive({"f": {"choice": ["yes", "no"]}}, {"_key": str(i)})["f"] for i in range(40)}
    assert seen == {"yes", "no"}


def test_pick_takes_an_item_of_a_list() -> None:
    assert derive({"f": {"pick": "xs"}}, {"xs": ["a", "b"]})["f"] in ("a", "b")


def test_picking_from_an_empty_list_drops_the_record() -> None:
    with pytest.raises(NoValueError, match="empty_xs"):
        derive({"f": {"pick": "xs"}}, {"xs": []})


def test_shuffle_and_sample_keep_the_items() -> None:
    row = derive({"f": {"shuffle": "xs"}, "g": {"sample": "xs", "count": 2}}, {"xs": list("abcd")})
    assert sorted(row["f"]) == list("abcd")
    assert len(set(row["g"])) == 2 and set(row["g"]) <= set("abcd")


def test_a_field_can_use_the_ones_before_it() -> None:
    row = derive({"f": {"choice": ["x"]}, "g": {"text": "<{{ f }}>"}}, {})
    assert row["g"] == "<x>"


def test_a_field_that_is_no_list_is_a_spec_error() -> None:
    with pytest.raises(SpecError, match="'xs' is not a list"):
        derive({"f": {"shuffle": "xs"}}, {"xs": "abc"})


def test_null_is_an_empty_list() -> None:
    assert derive({"f": {"shuffle": "xs"}}, {"xs": None})["f"] == []


def test_words_are_put_in_reading_order() -> None:
    words = [{"text": "b", "box": [50, 0, 10, 10]}, {"text": "a", "box": [0, 0, 10, 10]}]
    assert derive({"f": {"reading_order": "words"}}, {"words": words})["f"] == ["a", "b"]


@pytest.fixture
def captions() -> Any:
    rows = [{"k": f"{i}", "image": i // 2, "caption": f"caption {i // 4}"} for i in range(40)]
    table = pa.Table.from_pylist(rows)
    with RecordStore() as store:
        store.load("t", table.schema, iter(table.to_batches()))
        yield store.prepare("SELECT * FROM t", "k", 0, HERE)


def test_negatives_come_from_other_images_and_say_something_else(captions: Candidates) -> None:
    spec = {"wrong": {"other": "caption", "differ_in": "image", "count": 4}}
    for row in captions.block(0, 100):
        wrong = derive(spec, row, captions)["wrong"]
        assert len(set(wrong)) == 4
        assert row["caption"] not in wrong


def test_one_negative_is_a_value_not_a_list(captions: Candidates) -> None:
    row = derive({"f": {"other": "caption", "differ_in": "image"}}, captions.block(0, 1)[0], captions)
    assert row["f"].startswith("caption ")


def test_a_record_with_no_other_to_take_from_is_dropped(captions: Candidates) -> None:
    with pytest.raises(NoValueError, match="no_other_record"):
        derive(
            {"f": {"other": "caption", "differ_in": "image", "count": 11}}, captions.block(0, 1)[0], captions
        )


TEXTS, GROUPS = st.sampled_from(["a", "A", "b", "c "]), st.sampled_from([1, 2, None])


@settings(max_examples=200, deadline=None)
@given(
    pool=st.lists(st.tuples(TEXTS, GROUPS), max_size=8),
    value=st.sampled_from(["a", "b", "x"]),
    group=st.sampled_from([1, 2, 3, None]),
    count=st.integers(1, 3),
)
def test_what_is_drawn_is_what_a_search_of_the_whole_pool_finds(
    pool: list[tuple[str, int | None]], value: str, group: int | None, count: int
) -> None:
    usable = {text.casefold().strip() for text, other in pool if other != group} - {value}
    table = pa.table({
        "value": pa.array([text for text, _ in pool], pa.string()),
        "other": pa.array([other for _, other in pool], pa.int64()),
    })  # fmt: skip
    draw = partial(Pool(table).draw, value, group, Draws(0, "key", "wrong"), count)
    if len(usable) < count:
        with pytest.raises(NoValueError, match="no_other_record"):
            draw()
    else:
        found = [text.casefold().strip() for text in draw()]
        assert len(set(found)) == count and set(found) <= usable


def test_that_nothing_qualifies_is_known_without_a_search() -> None:
    values = [f"text {i}" for i in range(100_000)]
    pool = Pool(pa.table({"value": values, "other": [1] * len(values)}))
    pool._texts = []  # a search would fail
    with pytest.raises(NoValueError, match="no_other_record"):
        pool.draw("another", 1, Draws(0, "key", "wrong"), 1)
