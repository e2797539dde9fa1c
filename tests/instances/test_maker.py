"""A group of rows is made as each of its rows would be made alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.toy import DATASET, Toy, square
from vision_flan.errors import MissingRawError, SpecError, VflanError
from vision_flan.instances import maker
from vision_flan.instances.maker import Dropped, Instance, InstanceMaker

LABELS = {"colors": {"r": "red", "g": "green", "b": "blue"}}
TABLE = pa.schema(
    [
        ("_key", pa.string()), ("name", pa.string()), ("n", pa.int64()), ("color", pa.string()),
        ("caption", pa.string()), ("words", pa.list_(pa.string())),
        ("box", pa.list_(pa.struct([("text", pa.string()), ("box", pa.list_(pa.float64()))]))),
        ("talk", pa.list_(pa.struct([("user", pa.string()), ("assistant", pa.string())]))),
    ]
)  # fmt: skip

ALL = """\
id: toy_color
title: Color of a square
category: General Object
dataset: toy
table: records
key: name
form: free_text
"""
PLAIN = ALL + "image: images/{{ name }}\ntarget: caption\n"
TASKS = {
    "texts alone": PLAIN,
    "whole numbers": ALL + "image: 'images/{{ n }}'\ntarget: n\ninput: '{{ caption }} ({{ n }})'\n",
    "an input after the instruction": PLAIN + "input: '{{ caption }}: {{ color }}'\n",
    "an input first": PLAIN + "input: caption\nfirst: input\n",
    "labels": PLAIN + "input: \"{{ color | label('colors') }}\"\n",
    "a template that fails": PLAIN.replace("target: caption", "target: '{{ 6 // n }}'"),
    "two images": PLAIN.replace("images/{{ name }}", "['{{ color }}', 'images/{{ name }}']"),
    "options": PLAIN.replace("target: caption", "target: \"{{ color | label('colors') }}\"").replace(
        "free_text", "options"
    )
    + "options: {labels: colors, except: words, count: 3}\n",
    "derived fields": PLAIN.replace("target: caption", "target: '{{ one }}'")
    + "derive:\n  one: {pick: words}\n  mixed: {shuffle: words}\n"
    + "  said: {text: \"{{ mixed | join(', ') }}\"}\ninput: said\n",
    "reading order": PLAIN.replace("target: caption", "target: \"{{ read | join(' ') }}\"")
    + "derive: {read: {reading_order: box}}\n",
    "a conversation": PLAIN.replace("target: caption", "turns: talk") + "instruction: null\n",
    "a crop": PLAIN.replace(
        "image: images/{{ name }}", "compose: {crop: {image: 'images/{{ name }}', border: [1, 1, 1, 1]}}"
    ),
}

TEXT = st.sampled_from(["", "a", "two words", " é ", "nul \0", "line\nline"]) | st.none()
NAMES = st.sampled_from(["r.png", "g.png", "gone.png", "bad.png", "empty.png", "1", "2"]) | st.none()
WORDS = st.lists(st.sampled_from(["red", "green", "x", None]), max_size=3) | st.none()
BOXES = st.lists(
    st.fixed_dictionaries({"text": TEXT, "box": st.sampled_from([[0, 0, 4, 4], [5, 0, 4, 4], None, [1]])}),
    max_size=2,
)
TALKS = st.lists(st.fixed_dictionaries({"user": TEXT, "assistant": TEXT}), max_size=3) | st.none()
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "name": NAMES, "n": st.integers(0, 3) | st.none(), "caption": TEXT,
            "color": st.sampled_from(["r", "g", "unknown"]), "words": WORDS, "box": BOXES, "talk": TALKS,
        }
    ),
    max_size=12,
)  # fmt: skip


def read(ref: str) -> bytes:
    images = {"r": square("r"), "g": square("g"), "1": square("b"), "bad": b"no image", "empty": b""}
    name = ref.removeprefix("images/").partition(".")[0]
    if name not in images:
        raise MissingRawError(f"{ref} is missing")
    return images[name]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, InstanceMaker]:
    found = {}
    for name, task in TASKS.items():
        toy = Toy(tmp_path_factory.mktemp("toy"), 1)
        toy.write_specs(DATASET, task)
        found[name] = InstanceMaker(toy.catalog.task("toy_color"), LABELS, Path("none.j2"), 7, text="Say it.")
    return found


def one_by_one(maker: InstanceMaker, table: pa.Table) -> Iterator[Instance | tuple[str, Dropped] | str]:
    for row in table.to_pylist():
        try:
            instance = maker.make(row, read, full_check=False)
        except VflanError as error:
            yield str(error)
            return
        yield (row["_key"], instance) if isinstance(instance, Dropped) else instance


def together(
    maker: InstanceMaker, table: pa.Table
) -> tuple[list[Instance], list[tuple[str, Dropped]], list[str]]:
    instances: list[Instance] = []
    dropped: list[tuple[str, Dropped]] = []
    try:
        for some in maker.make_all(table, read, full_check=False):
            instances += [some.one(at) for at in range(some.rows)]
            dropped += some.dropped
    except VflanError as error:
        return instances, dropped, [str(error)]
    return instances, dropped, []


@pytest.mark.parametrize("name", TASKS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(rows=ROWS, limit=st.sampled_from([1, 150, 1 << 20]))
def test_a_group_of_rows_is_made_as_each_row_alone(
    made: dict[str, InstanceMaker], name: str, rows: list[dict[str, object]], limit: int
) -> None:
    table = pa.Table.from_pylist([{"_key": f"key {i}", **row} for i, row in enumerate(rows)], schema=TABLE)
    alone = list(one_by_one(made[name], table))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(maker, "GROUP_BYTES", limit)
        instances, dropped, errors = together(made[name], table)
    assert instances == [one for one in alone if isinstance(one, Instance)]
    assert errors == [one for one in alone if isinstance(one, str)]
    if not errors:
        assert dropped == [one for one in alone if type(one) is tuple]


def test_each_task_of_this_test_makes_instances(made: dict[str, InstanceMaker]) -> None:
    row = {
        "_key": "k", "name": "r.png", "n": 1, "color": "r", "caption": "A square.", "words": ["x"],
        "box": [{"text": "a", "box": [0, 0, 1, 1]}], "talk": [{"user": "a", "assistant": "b"}],
    }  # fmt: skip
    table = pa.Table.from_pylist([row] * 3, schema=TABLE)
    for one in made.values():
        instances, dropped, errors = together(one, table)
        assert (len(instances), dropped, errors) == (3, [], []), one.task


def test_the_error_is_that_of_the_first_row_after_what_comes_before_it(
    made: dict[str, InstanceMaker],
) -> None:
    rows = [{"_key": str(i), "name": f"{'rg'[i % 2]}.png", "n": 1 - i // 3} for i in range(5)]
    asked: list[str] = []

    def counted(ref: str) -> bytes:
        asked.append(ref)
        return read(ref)

    coming = made["a template that fails"].make_all(
        pa.Table.from_pylist(rows, schema=TABLE), counted, full_check=False
    )
    assert [next(coming).one(0).image_path for _ in range(3)] == [
        "images/r.png",
        "images/g.png",
        "images/r.png",
    ]
    with pytest.raises(SpecError, match="by zero"):
        next(coming)
    assert asked == ["images/r.png", "images/g.png", "images/r.png"]


def test_a_single_row_is_made_however_large_its_image_is(
    made: dict[str, InstanceMaker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maker, "GROUP_BYTES", 1)
    row = {"_key": "k", "name": "r.png", "caption": "A square."}
    instance = made["texts alone"].make(row, read, full_check=False)
    assert isinstance(instance, Instance) and instance.image == square("r")
