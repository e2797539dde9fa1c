"""Images as views of their bytes."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_flan.columns import IMAGE, IMAGE_TYPE
from vision_flan.dataset import image_arrays
from vision_flan.dataset.image_arrays import (
    VIEWED_IMAGE,
    image_sizes,
    view_array,
    viewed_images,
    with_views,
)

#: Arrow keeps up to 12 bytes in the view itself.
IMAGES = st.lists(st.binary(max_size=20) | st.binary(min_size=1_000, max_size=1_100), max_size=12)


def batch_of(images: list[bytes]) -> pa.RecordBatch:
    fields = [view_array(images), pa.array([str(i) for i in range(len(images))], pa.string())]
    return pa.record_batch([pa.StructArray.from_arrays(fields, fields=list(VIEWED_IMAGE))], names=[IMAGE])


@given(IMAGES, st.sampled_from([0, 2**20]))
def test_views_are_an_array_as_arrow_makes_it(images: list[bytes], little: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(image_arrays, "_LITTLE", little)
        views = view_array(images)
    views.validate(full=True)
    assert views.equals(pa.array(images, pa.binary_view()))


@given(IMAGES, IMAGES, st.integers(0, 12), st.integers(0, 12))
def test_images_are_found_where_they_lie_in_slices_and_joined_batches(
    one: list[bytes], other: list[bytes], start: int, rows: int
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(image_arrays, "_LITTLE", 2_000)
        batches = [batch_of(one).slice(start, rows), batch_of(other)]
    expected = one[start : start + rows] + other
    batch = pa.concat_batches(batches)
    assert list(map(bytes, viewed_images(batch))) == expected
    assert image_sizes(batch) == list(map(len, expected))


@given(IMAGES)
def test_a_binary_column_becomes_views(images: list[bytes]) -> None:
    rows = [{"bytes": image, "path": "a"} for image in images]
    batch = with_views(pa.record_batch([pa.array(rows, IMAGE_TYPE)], names=[IMAGE]))
    assert batch.schema.field(IMAGE).type == VIEWED_IMAGE
    assert list(map(bytes, viewed_images(batch))) == images


def test_joining_copies_no_image() -> None:
    batches = [batch_of([bytes(2**20)] * 20) for _ in range(2)]
    before = pa.total_allocated_bytes()
    joined = pa.concat_batches(batches)
    assert pa.total_allocated_bytes() - before < 2**20 < joined.nbytes
