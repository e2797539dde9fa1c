"""Arrays and columns with a few of their records: Parquet, idx, fixed-size records."""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vision_flan.miniatures.scrub import Scrubber
from vision_flan.miniatures.stand_ins import drawing, stand_in


@dataclass(frozen=True)
class Cut:
    """What stays of a file for one table.

    Attributes:
        kept: positions of its records.
        options: those of the table's reader.
        columns: declared columns.
        scrub: replaces words of free text; None keeps them.
        images: names of the images that stay, where they are no positions of records.
    """

    kept: frozenset[int]
    options: Mapping[str, object]
    columns: Mapping[str, object]
    scrub: Scrubber | None = None
    images: frozenset[str] = frozenset()

    @property
    def encoding(self) -> str:
        """The text encoding that the table declares."""
        return str(self.options.get("encoding", "utf-8"))


def cut_parquet(data: bytes, cut: Cut) -> bytes:
    """A Parquet file with drawn images in place of those that it stores."""
    file = pq.ParquetFile(io.BytesIO(data))
    table = file.read().take(pa.array(sorted(cut.kept), pa.int64()))
    image = cut.options.get("image_column")
    for at, field in enumerate(table.schema):
        values = table.column(at).to_pylist()
        if field.name == image:
            made = [_drawn(value, f"{field.name} {row}") for row, value in enumerate(values)]
        elif cut.scrub:
            made = [cut.scrub.value(value, field.name) for value in values]
        else:
            continue
        table = table.set_column(at, field, pa.array(made, field.type))
    packing = file.metadata.row_group(0).column(0).compression if file.metadata.num_row_groups else "SNAPPY"
    out = io.BytesIO()
    pq.write_table(table, out, compression="NONE" if packing == "UNCOMPRESSED" else packing)
    return bytes(out.getvalue())


def _drawn(value: object, name: str) -> object:
    if isinstance(value, dict):
        return {**value, "bytes": stand_in(value["bytes"], name) if value.get("bytes") else None}
    return stand_in(value, name) if isinstance(value, bytes) else value


def cut_idx(data: bytes, cut: Cut) -> bytes:
    """An idx array; if it holds images, of drawn ones."""
    dimensions = data[3]
    shape = struct.unpack_from(f">{dimensions}I", data, 4)
    start = 4 + 4 * dimensions
    size = (len(data) - start) // shape[0] if shape[0] else 0
    head = data[:4] + struct.pack(f">{dimensions}I", len(cut.kept), *shape[1:])
    parts = [data[start + at * size : start + (at + 1) * size] for at in sorted(cut.kept)]
    if dimensions > 2:
        parts = [drawn_array(len(part), shape[1:3], at) for at, part in enumerate(parts)]
    return head + b"".join(parts)


def drawn_array(size: int, shape: tuple[int, ...], at: int) -> bytes:
    """The bytes of a drawn image, repeated for as many channels or bytes as there are."""
    pixels = np.asarray(drawing("L", (shape[1], shape[0]), "array", at), dtype=np.uint8).tobytes()
    return (pixels * math.ceil(size / len(pixels)))[:size]


def cut_binary(data: bytes, cut: Cut) -> bytes:
    """Records of fixed size; if they are images, drawn ones."""
    record = cut.options.get("record")
    assert isinstance(record, dict)
    shape = tuple(record.get("shape", ()))
    size = np.dtype(str(record["dtype"])).itemsize * math.prod(shape)
    parts = [data[at * size : (at + 1) * size] for at in sorted(cut.kept)]
    if shape:
        sides = tuple(side for side in shape if side > 4)[:2]
        parts = [drawn_array(size, sides, at) if len(sides) == 2 else part for at, part in enumerate(parts)]
    return b"".join(parts)
