from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_flan.errors import Location, SpecError
from vision_flan.instances.derive import NoValueError
from vision_flan.instances.options import OptionsPlan
from vision_flan.records.ordering import Draws

HERE = Location("task.yaml", 5)
LABELS = {"animals": {"c": "cat", "d": "dog", "h": "horse", "k": "cat"}}


def build(spec: dict[str, Any], answer: str, key: str = "k", **row: Any) -> list[str]:
    return OptionsPlan(spec, LABELS, HERE).build(row, answer, Draws(0, key, " options"))


def test_the_pool_of_a_label_table_has_each_name_once() -> None:
    assert sorted(build({"labels": "animals"}, "cat")) == ["cat", "dog", "horse"]


def test_the_order_given_is_kept_when_asked_for() -> None:
    spec = {"values": ["0-2", "3-9", "10-19"], "order": "given"}
    assert build(spec, "10-19") == ["0-2", "3-9", "10-19"]


def test_a_count_draws_distractors_and_keeps_the_answer() -> None:
    spec = {"values": [str(i) for i in range(50)], "count": 4}
    for key in map(str, range(30)):
        options = build(spec, "7", key)
        assert len(set(options)) == 4 and "7" in options


def test_what_is_also_right_is_no_distractor() -> None:
    spec = {"values": ["cup", "fork", "spoon", "bowl"], "except": "present", "count": 3}
    for key in map(str, range(20)):
        assert "fork" not in build(spec, "cup", key, present=["cup", "fork"])


def test_included_fields_are_always_among_the_options() -> None:
    assert sorted(build({"include": ["wrong"]}, "right", wrong=["a", "b"])) == ["a", "b", "right"]


def test_a_field_can_be_the_pool() -> None:
    assert sorted(build({"field": "choices"}, "x", choices=["x", "y", None])) == ["x", "y"]


def test_an_answer_that_the_pool_does_not_know_drops_the_record() -> None:
    with pytest.raises(NoValueError, match="target_not_in_options"):
        build({"values": ["yes", "no"]}, "maybe")


def test_a_single_option_is_no_choice() -> None:
    with pytest.raises(NoValueError, match="too_few_options"):
        build({"field": "choices"}, "x", choices=["x"])


def test_letters_stand_before_options_and_target() -> None:
    plan = OptionsPlan({"values": ["yes", "no"]}, {}, HERE)
    assert plan.shown(["no", "yes"]) == "(A) no\n(B) yes"
    assert plan.target("yes", ["no", "yes"]) == "(B) yes"


def test_lines_have_no_letters() -> None:
    plan = OptionsPlan({"values": ["yes", "no"], "style": "lines"}, {}, HERE)
    assert plan.shown(["no", "yes"]) == "- no\n- yes"
    assert plan.target("yes", ["no", "yes"]) == "yes"


def test_a_target_that_names_several_options_is_left_as_it_is() -> None:
    plan = OptionsPlan({"values": ["bird", "cat", "dog"], "answer": "many"}, {}, HERE)
    assert plan.target("bird; cat", ["cat", "dog", "bird"]) == "bird; cat"


def test_more_than_26_lettered_options_are_a_spec_error() -> None:
    with pytest.raises(SpecError, match="27 options are more than there are letters"):
        OptionsPlan({"values": [str(i) for i in range(27)]}, {}, HERE)


def test_a_label_table_that_is_not_there_is_a_spec_error() -> None:
    with pytest.raises(SpecError, match="no label table 'plants'"):
        OptionsPlan({"labels": "plants"}, LABELS, HERE)


def test_the_answer_stands_in_every_place_equally_often() -> None:
    spec = {"values": ["a", "b", "c", "d"]}
    places = [build(spec, "a", str(key)).index("a") for key in range(2000)]
    assert all(abs(places.count(place) - 500) < 100 for place in range(4))


@given(
    st.lists(st.text(min_size=1).map(str.strip).filter(bool), min_size=2, max_size=20, unique=True), st.data()
)
def test_the_answer_is_always_there_exactly_once(pool: list[str], data: st.DataObject) -> None:
    answer = data.draw(st.sampled_from(pool))
    count = data.draw(st.integers(2, 20))
    options = build({"values": pool, "count": count, "style": "lines"}, answer, data.draw(st.text()))
    assert options.count(answer) == 1
    assert len(options) == len(set(options)) == min(count, len(pool))
