"""Arrays and columns with a few of their records: Parquet, idx, fixed-size records, MATLAB."""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vision_flan.errors import SpecError
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
    """

    kept: frozenset[int]
    options: Mapping[str, object]
    columns: Mapping[str, object]
    scrub: Scrubber | None = None

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
        parts = [_drawn_array(len(part), shape[1:3], at) for at, part in enumerate(parts)]
    return head + b"".join(parts)


def _drawn_array(size: int, shape: tuple[int, ...], at: int) -> bytes:
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
        parts = [_drawn_array(size, sides, at) if len(sides) == 2 else part for at, part in enumerate(parts)]
    return b"".join(parts)


def cut_matlab(data: bytes, cut: Cut) -> bytes:
    """The elements of a variable of a MATLAB 5 file, along its longest side or the declared axis.

    Raises:
        SpecError: another version, or records inside of structs.
    """
    if data.startswith(b"\x89HDF") or b"MATLAB 7.3" in data[:128]:
        raise SpecError("MATLAB 7.3 files cannot be cut", hint="write a generator instead")
    from scipy.io import loadmat, savemat

    found = loadmat(io.BytesIO(data), squeeze_me=False, chars_as_strings=True)
    variables = {name: value for name, value in found.items() if not name.startswith("__")}
    wanted = cut.options.get("variable")
    names = (
        [str(wanted)] if wanted else [name for name in variables if name in cut.columns] or list(variables)
    )
    if cut.options.get("field"):
        raise SpecError("MATLAB tables with `field:` cannot be cut", hint="write a generator instead")
    for name in names:
        variables[name] = _taken(variables[name], cut)
    out = io.BytesIO()
    savemat(out, variables)
    return out.getvalue()


def _taken(
    value: np.ndarray[tuple[int, ...], np.dtype[np.generic]], cut: Cut
) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    axis = cut.options.get("axis")
    along = {"rows": 0, "columns": 1}.get(str(axis), int(np.argmax(value.shape)))
    return np.take(value, sorted(cut.kept), axis=along)
