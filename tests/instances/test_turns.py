"""Turns: a conversation is one instance with all its rounds; any other instance is a conversation of one."""

from __future__ import annotations

from typing import Any

import datasets
import pytest

from tests.toy import DATASET, Toy
from vision_flan.errors import SpecError

TALK = """\
id: toy_color
title: Talk about a square
category: Visual Dialogue
dataset: toy
sql: |
  SELECT name, list_transform(talk, lambda t: {user: t.q, assistant: t.a}) AS turns FROM records
key: name
image: images/{{ name }}
instruction: null
turns: turns
form: free_text
"""
COLUMNS = "{name: VARCHAR, color: VARCHAR}"
TALK_COLUMNS = '{name: VARCHAR, talk: "STRUCT(q VARCHAR, a VARCHAR)[]"}'


def talking(toy: Toy, talks: list[Any]) -> Toy:
    toy.write_specs(DATASET.replace(COLUMNS, TALK_COLUMNS), TALK)
    (toy.instructions / "toy_color.j2").unlink()
    records = [{"name": toy.record(i)["name"], "talk": talk} for i, talk in enumerate(talks)]
    toy.write_records(records)
    return toy


def said(*pairs: tuple[str | None, str | None]) -> list[dict[str, str | None]]:
    return [{"q": question, "a": answer} for question, answer in pairs]


def test_an_instance_without_a_conversation_is_one_turn(toy: Toy) -> None:
    toy.compile()
    for row in toy.rows():
        assert row["turns"] == [{"user": row["prompt"], "assistant": row["target"]}]


def test_a_conversation_keeps_every_turn_and_shows_the_first_as_prompt_and_target(toy: Toy) -> None:
    talking(toy, [said(("  Is it red? ", "Yes.\n\nIt is.\n"), ("And green?", "No."))])
    manifest = toy.compile().manifest
    (row,) = toy.rows()
    assert row["turns"] == [
        {"user": "Is it red?", "assistant": "Yes.\n\nIt is."},
        {"user": "And green?", "assistant": "No."},
    ]
    assert (row["prompt"], row["input"], row["target"]) == ("Is it red?", "Is it red?", "Yes.\n\nIt is.")
    assert row["instruction"] == manifest.instruction == "" and row["options"] == []


def test_datasets_loads_turns_as_a_list_of_user_and_assistant(toy: Toy) -> None:
    talking(toy, [said(("Red?", "Yes."), ("Green?", "No."))])
    toy.compile()
    loaded = datasets.load_dataset(str(toy.out), "toy_color", split="train")
    string = datasets.Value("string")
    assert loaded.features["turns"] == datasets.List({"user": string, "assistant": string})
    assert loaded[0]["turns"][1] == {"user": "Green?", "assistant": "No."}


@pytest.mark.parametrize(
    ("talk", "reason"),
    [
        (None, "empty_turns"),
        ([], "empty_turns"),
        (said(("Red?", "Yes."), ("Green?", "  ")), "empty_target"),
        (said(("Red?", "Yes."), ("", "No.")), "empty_input"),
        (said(("Red?", None)), "empty_target"),
        (said(("Red?", "Yes."), ("Green?", "No\0.")), "invalid_text"),
    ],
)
def test_a_conversation_that_lacks_something_is_dropped_and_counted(talk: Any, reason: str, toy: Toy) -> None:
    talking(toy, [talk, said(("Red?", "Yes."))])
    counts = toy.compile().manifest.counts
    assert counts["dropped"] == {reason: 1} and counts["written"] == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("turns: turns", "turns: talks", "there is no field 'talks'"),
        ("turns: turns", "turns: name", "'name' is not a list of"),
        ("user: t.q", "asker: t.q", "'turns' is not a list of"),
        ("turns: turns", "turns: turns\ntarget: name", "needs exactly one of: target or turns"),
        ("turns: turns", "turns: turns\ninput: name", "input does not go with another key"),
        ("instruction: null\n", "", "lacks instruction"),
        ("turns: turns", "target: name", "needs"),
    ],
)
def test_a_spec_of_turns_that_cannot_work_is_refused(old: str, new: str, message: str, toy: Toy) -> None:
    talking(toy, [said(("Red?", "Yes."))])
    toy.replace(old, new)
    with pytest.raises(SpecError, match=message):
        toy.compile()
