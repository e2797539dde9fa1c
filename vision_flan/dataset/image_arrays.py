"""Images in Arrow arrays, as views of where their bytes lie: row groups are put together, and joined, without
a copy of their images. Parquet writes the same bytes of views as of a binary column.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import accumulate, count, repeat

import numpy as np
import pyarrow as pa

from vision_flan.columns import IMAGE, IMAGE_TYPE

#: A column of images in memory; files say `IMAGE_TYPE`.
VIEWED_IMAGE = pa.struct([pa.field("bytes", pa.binary_view()), IMAGE_TYPE.field("path")])

#: A view: size, first bytes, number of the buffer, offset there; or size and all bytes, if they are up to 12.
_VIEW, _WHOLE = struct.Struct("=i4sii"), struct.Struct("=i12s")
_WHOLE_BYTES = 12
#: Bytes of a row group that are copied: each buffer costs half a microsecond.
_LITTLE = 2**20


def view_array(images: Sequence[bytes]) -> pa.Array:
    """Views of images, each of which is a buffer of its own; of little ones, in one buffer."""
    sizes = list(map(len, images))
    data: Sequence[bytes] = images
    number: Iterator[int] = count()
    starts: Iterator[int] = repeat(0)
    if sum(sizes) <= _LITTLE:
        data, number, starts = [b"".join(images)], repeat(0), accumulate(sizes, initial=0)
    long, short = _VIEW.pack, _WHOLE.pack
    views = [
        long(size, image[:4], buffer, start) if size > _WHOLE_BYTES else short(size, image)
        for image, size, buffer, start in zip(images, sizes, number, starts, strict=False)
    ]
    buffers = [None, pa.py_buffer(b"".join(views)), *map(pa.py_buffer, data)]
    return pa.Array.from_buffers(pa.binary_view(), len(images), buffers)


def with_views(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Rows that were read from a shard, with views of their images."""
    image = batch.column(IMAGE)
    fields = [image.field("bytes").cast(pa.binary_view()), image.field("path")]
    viewed = pa.StructArray.from_arrays(fields, fields=list(VIEWED_IMAGE))
    return batch.set_column(batch.schema.get_field_index(IMAGE), pa.field(IMAGE, VIEWED_IMAGE), viewed)


def image_sizes(batch: pa.RecordBatch) -> list[int]:
    """Bytes of each row's image."""
    views, _ = _views_and_data(batch)
    sizes: list[int] = np.frombuffer(views, np.int32)[:: _VIEW.size // 4].tolist()
    return sizes


def viewed_images(batch: pa.RecordBatch) -> list[memoryview]:
    """The bytes of each row's image, where they lie."""
    views, data = _views_and_data(batch)
    return [
        data[buffer][start : start + size] if size > _WHOLE_BYTES else views[at + 4 : at + 4 + size]
        for at, (size, _, buffer, start) in zip(count(0, _VIEW.size), _VIEW.iter_unpack(views), strict=False)
    ]


def _views_and_data(batch: pa.RecordBatch) -> tuple[memoryview, list[memoryview]]:
    images = batch.column(IMAGE).field("bytes")
    _, views, *data = images.buffers()
    first, end = images.offset * _VIEW.size, (images.offset + len(images)) * _VIEW.size
    return memoryview(views or b"")[first:end], [memoryview(buffer) for buffer in data]
