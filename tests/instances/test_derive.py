from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from vision_flan.errors import Location, SpecError
from vision_flan.instances.derive import NoValueError, plan_fields
from vision_flan.instances.rendering import Renderer
from vision_flan.records.ordering import Draws
from vision_flan.records.store import Candidates, RecordStore

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
