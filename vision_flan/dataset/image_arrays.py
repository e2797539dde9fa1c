"""Images in Arrow arrays, as views of where their bytes lie: row groups are put together, and joined, without
a copy of their images. Parquet writes the same bytes of views as of a binary column.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pyarrow as pa

from vision_flan.columns import IMAGE, IMAGE_TYPE

#: A column of images in memory; files say `IMAGE_TYPE`.
VIEWED_IMAGE = pa.struct([pa.field("bytes", pa.binary_view()), IMAGE_TYPE.field("path")])

#: A view: size, first bytes, number of the buffer, offset there; or size and all bytes, if they are up to 12.
_VIEW, _WHOLE = struct.Struct("=i4sii"), struct.Struct("=i12s")
_WHOLE_BYTES = 12


def view_array(images: Sequence[bytes]) -> pa.Array:
    """Views of images, each of which is a buffer of its own."""
    views = b"".join(
        [
            _VIEW.pack(len(image), image[:4], at, 0)
            if len(image) > _WHOLE_BYTES
            else _WHOLE.pack(len(image), image)
            for at, image in enumerate(images)
        ]
    )
    buffers = [None, pa.py_buffer(views), *map(pa.py_buffer, images)]
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
    return [size for size, *_ in _VIEW.iter_unpack(views)]


def viewed_images(batch: pa.RecordBatch) -> list[memoryview]:
    """The bytes of each row's image, where they lie."""
    views, data = _views_and_data(batch)
    found = []
    for row, (size, _, buffer, start) in enumerate(_VIEW.iter_unpack(views)):
        if size > _WHOLE_BYTES:
            found.append(data[buffer][start : start + size])
        else:
            found.append(views[row * _VIEW.size + 4 :][:size])
    return found


def _views_and_data(batch: pa.RecordBatch) -> tuple[memoryview, list[memoryview]]:
    images = batch.column(IMAGE).field("bytes")
    _, views, *data = images.buffers()
    first, end = images.offset * _VIEW.size, (images.offset + len(images)) * _VIEW.size
    return memoryview(views or b"")[first:end], [memoryview(buffer) for buffer in data]
