"""What a config holds: distinct images and tokens of answers, alone and together with others."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_flan.columns import TEXT_COLUMNS
from vision_flan.dataset.contents import (
    KEPT,
    Contents,
    contents_of,
    count_tokens,
    distinct_images,
    images_of,
    tokens_of,
)
from vision_flan.dataset.shards import ShardWriter, record_batch
from vision_flan.instances.maker import Instance, Instances


def instance(i: int, image: bytes, target: str = "a dog.") -> Instance:
    values = tuple(target if name == "target" else f"{name} {i}" for name in TEXT_COLUMNS)
    return Instance(image, "images/1.jpg", [], values)


def counted(images: list[bytes]) -> Contents:
    contents = Contents()
    if images:
        contents.add(record_batch(Instances.of([instance(i, image) for i, image in enumerate(images)])))
    return contents


def test_a_writer_counts_distinct_images_and_answer_tokens(tmp_path: Path) -> None:
    with ShardWriter(tmp_path, "a") as writer:
        for i in range(250):
            writer.add(Instances.of([instance(i, b"image %d" % (i // 2), "Two dogs, and a cat.")]))
    facts = writer.contents.facts()
    assert images_of(facts) == 125
    assert tokens_of(facts) == 250 * len(["Two", "dogs", ",", "and", "a", "cat", "."])
    assert contents_of(tmp_path / shard.path for shard in writer.facts).facts() == facts


def test_a_slice_of_a_batch_is_counted_as_its_own_rows() -> None:
    rows = [instance(i, b"%d" % i, "one two" if i < 5 else "three") for i in range(9)]
    batch = record_batch(Instances.of(rows))
    contents = Contents()
    contents.add(batch.slice(4, 3))
    assert (len(contents.hashes), contents.tokens) == (3, 2 + 1 + 1)


@given(st.lists(st.text(), max_size=8))
def test_tokens_are_words_and_punctuation_marks_of_each_text(texts: list[str]) -> None:
    def tokens(text: str) -> int:
        return len(re.findall(r"[A-Za-z0-9\x80-\U0010ffff]+|[!-/:-@\[-`{-~]", text))

    array = pa.array(["left out", *texts], pa.string()).slice(1)
    assert count_tokens(array) == sum(map(tokens, texts))


@given(st.lists(st.lists(st.binary(min_size=1, max_size=2), max_size=30), max_size=5))
def test_images_that_configs_share_count_once(configs: list[list[bytes]]) -> None:
    facts = [counted(images).facts() for images in configs]
    found = distinct_images(facts)
    assert found is not None and found.exact
    assert found.images == len({image for images in configs for image in images})


def test_many_images_are_estimated() -> None:
    facts = [counted([b"%d" % i for i in range(start, start + 20_000)]).facts() for start in (0, 10_000)]
    found = distinct_images(facts)
    assert found is not None and not found.exact
    assert found.images == pytest.approx(30_000, rel=0.1)
    assert str(found).startswith("about ")
    assert [images_of(one) for one in facts] == [20_000, 20_000]


def test_as_many_images_as_are_kept_are_counted_exactly() -> None:
    assert str(distinct_images([counted([b"%d" % i for i in range(KEPT)]).facts()])) == "1,024"


def test_nothing_is_said_of_a_config_that_was_compiled_before() -> None:
    assert distinct_images([counted([b"a"]).facts(), {}]) is None
    assert images_of({}) is None and tokens_of({}) is None


def test_counts_of_a_build_come_back_as_they_were_written() -> None:
    contents = counted([b"a", b"b", b"a"])
    again = Contents.from_json(contents.to_json())
    assert again.facts() == contents.facts()
