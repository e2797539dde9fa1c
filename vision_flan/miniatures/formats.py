"""Writers for upstream's file formats, down to the byte layout.

Formats that fit in memory are returned as bytes, for `mini.write_bytes`; formats that need a file of
their own (HDF5, LMDB, Parquet) take a path from `mini.path(rel)`.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import io
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from vision_flan.errors import MachineError, install_command
from vision_flan.miniatures.tree import Drawing, encode

Array = np.ndarray[Any, Any]

#: A MATLAB 5 file starts with 116 bytes of text, into which scipy writes the time.
_MAT5_TEXT = b"MATLAB 5.0 MAT-file, Platform: GLNXA64, Created on: Sat Dec 14 14:13:07 2013".ljust(116)
_MAT73_TEXT = (
    b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Sat Dec 14 14:13:07 2013 HDF5 schema 1.00 ."
)


def _need(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MachineError(
            f"this miniature needs the package {module.partition('.')[0]}, which is not installed",
            hint=install_command("sources"),
        ) from error


# --- MATLAB


def cell(values: Sequence[Any], *, column: bool = False) -> Array:
    """A cell array, 1 x N or N x 1; a value may be text, a matrix, a cell or a struct."""
    out = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):
        out[place] = value
    return out.reshape((-1, 1) if column else (1, -1))


def struct_array(records: Sequence[Mapping[str, Any]], *, column: bool = False) -> Array:
    """A struct array, 1 x N or N x 1, all records with the same fields.

    Scalars become 1 x 1 matrices of their numpy type, as in MATLAB: pass `np.uint8(39)`, not 39.
    """
    out = np.empty(len(records), dtype=[(name, object) for name in records[0]])
    for place, record in enumerate(records):
        out[place] = tuple(record.values())
    return out.reshape((-1, 1) if column else (1, -1))


def mat5(variables: Mapping[str, Any], *, compressed: bool = True) -> bytes:
    """A MATLAB 5 file (`-v6`, or `-v7` when compressed) with these variables."""
    out = io.BytesIO()
    _need("scipy.io").savemat(out, dict(variables), do_compression=compressed, oned_as="row")
    data = out.getvalue()
    return _MAT5_TEXT + data[len(_MAT5_TEXT) :]


def mat73(path: Path, variables: Mapping[str, Any]) -> None:
    """A MATLAB 7.3 file (HDF5). Values: text, matrices, lists (cells) and mappings (structs), nested.

    As MATLAB stores them: matrices column by column (so HDF5 shows them transposed), text as a column of
    uint16, cells as references into `#refs#`, all with the attribute MATLAB_class.
    """
    h5py = _need("h5py")
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            _h5_put(h5py, file, file, name, value)
    with path.open("r+b") as raw:
        raw.write(_MAT73_TEXT.ljust(116) + b"\x00" * 8 + struct.pack("<H", 0x0200) + b"IM")


def _h5_put(h5py: Any, file: Any, parent: Any, name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        group = parent.create_group(name)
        group.attrs["MATLAB_class"] = np.bytes_("struct")
        for field, inner in value.items():
            _h5_put(h5py, file, group, field, inner)
        return group
    if isinstance(value, str):
        data = np.array([ord(letter) for letter in value], dtype=np.uint16).reshape(-1, 1)
        node = parent.create_dataset(name, data=data)
        node.attrs["MATLAB_class"] = np.bytes_("char")
        node.attrs["MATLAB_int_decode"] = np.int32(2)
        return node
    if isinstance(value, list):
        refs = file.require_group("#refs#")
        inside = [_h5_put(h5py, file, refs, f"r{len(refs)}", inner).ref for inner in value]
        # a row of cells, transposed like every matrix
        node = parent.create_dataset(name, data=np.array(inside, dtype=h5py.ref_dtype).reshape(-1, 1))
        node.attrs["MATLAB_class"] = np.bytes_("cell")
        return node
    matrix = np.atleast_2d(np.asarray(value))
    node = parent.create_dataset(name, data=matrix.T)
    node.attrs["MATLAB_class"] = np.bytes_(
        {"float64": "double", "float32": "single"}.get(str(matrix.dtype), str(matrix.dtype))
    )
    return node


# --- arrays


def idx(array: Array) -> bytes:
    """An idx file (MNIST): two zero bytes, type, rank, sizes, all big-endian; then the data."""
    codes = {"uint8": 0x08, "int8": 0x09, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E}
    head = struct.pack(">HBB", 0, codes[str(array.dtype)], array.ndim)
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return head + sizes + array.astype(array.dtype.newbyteorder(">")).tobytes()


def npz(**arrays: Any) -> bytes:
    """An uncompressed npz."""
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def planes(image: Any, *, column_major: bool = False) -> bytes:
    """An image as uint8 planes R, G, B (CIFAR rows); `column_major` turns each plane (STL-10)."""
    array = np.asarray(image, dtype=np.uint8).transpose(2, 0, 1)
    return (array.transpose(0, 2, 1) if column_major else array).tobytes()


def pixels(image: Image.Image) -> str:
    """Size and digest of the RGB values, for the truth of formats with raw pixels."""
    values = hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()
    return f"{image.width}x{image.height} {values[:16]}"


def python2_pickle(value: Any) -> bytes:
    """A protocol 2 pickle as Python 2 and numpy 1 wrote it: `{b"data": array, b"labels": [...]}` (CIFAR).

    Dicts, lists, bytes (Python 2's str), whole numbers up to 31 bits and arrays.
    """
    return b"\x80\x02" + b"".join(_opcodes(value)) + b"."


def _opcodes(value: Any) -> Iterator[bytes]:
    """Opcodes that push `value`; see pickletools for their names."""
    if isinstance(value, dict):
        yield b"}("
        for key, inner in value.items():
            yield from _opcodes(key)
            yield from _opcodes(inner)
        yield b"u"
    elif isinstance(value, list):
        yield b"]("
        for inner in value:
            yield from _opcodes(inner)
        yield b"e"
    elif isinstance(value, bytes):
        short = len(value) < 256
        yield (b"U" + bytes([len(value)]) if short else b"T" + struct.pack("<i", len(value))) + value
    elif isinstance(value, np.ndarray):
        kind = f"{value.dtype.kind}{value.dtype.itemsize}".encode()
        order = b"|" if value.dtype.itemsize == 1 else b"<"
        # _reconstruct(ndarray, (0,), "b"), then its state: version, shape, dtype, order, data
        yield b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01("
        yield b"".join(b"J" + struct.pack("<i", size) for size in value.shape)
        yield b"tcnumpy\ndtype\n" + b"".join(_opcodes(kind)) + b"K\x00K\x01\x87R"
        yield b"(K\x03" + b"".join(_opcodes(order)) + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        yield b"\x89" + b"".join(_opcodes(value.tobytes())) + b"tb"
    else:
        yield b"J" + struct.pack("<i", value)


# --- tables and stores


def lmdb(folder: Path, records: Iterable[tuple[bytes, bytes]]) -> None:
    """An LMDB environment: `data.mdb`, and the `lock.mdb` that upstream archives include."""
    environment = _need("lmdb").open(str(folder), map_size=1 << 36, lock=False, sync=False)
    with environment, environment.begin(write=True) as transaction:
        for key, value in records:
            transaction.put(key, value)
    (folder / "lock.mdb").write_bytes(bytes(8192))


def image_struct(image: Drawing, path: str) -> dict[str, object]:
    """An image as Hub datasets store it: struct of bytes and path."""
    return {"bytes": encode(image, Path(path).suffix), "path": path}


def parquet(path: Path, schema: pa.Schema, rows: Iterable[Mapping[str, Any]], group: int = 100) -> None:
    """A Parquet file, written in row groups of `group` rows."""
    with pq.ParquetWriter(path, schema) as writer:
        batch: list[Mapping[str, Any]] = []
        for row in rows:
            batch.append(row)
            if len(batch) == group:
                writer.write_batch(pa.RecordBatch.from_pylist(batch, schema))
                batch = []
        writer.write_batch(pa.RecordBatch.from_pylist(batch, schema))


def base64_image(image: Drawing, suffix: str = ".jpg") -> str:
    """An image as a field of a TSV."""
    return base64.b64encode(encode(image, suffix)).decode()


def voc_xml(
    filename: str,
    size: tuple[int, int],
    objects: Iterable[Mapping[str, Any]],
    *,
    folder: str = "VOC2007",
    depth: int = 3,
) -> str:
    """A Pascal VOC annotation. Each object has `name` and `box` (xmin, ymin, xmax, ymax, counted from 1).

    Optional in an object: `pose`, `truncated`, `difficult`, and `extra`, XML inserted after the box.
    """
    parts = [
        "<annotation>",
        f"\t<folder>{escape(folder)}</folder>",
        f"\t<filename>{escape(filename)}</filename>",
        "\t<source><database>miniature</database></source>",
        f"\t<size><width>{size[0]}</width><height>{size[1]}</height><depth>{depth}</depth></size>",
        "\t<segmented>0</segmented>",
    ]
    for item in objects:
        corners = zip(("xmin", "ymin", "xmax", "ymax"), item["box"], strict=True)
        box = "".join(f"<{name}>{value}</{name}>" for name, value in corners)
        parts += [
            "\t<object>",
            f"\t\t<name>{escape(item['name'])}</name>",
            f"\t\t<pose>{item.get('pose', 'Unspecified')}</pose>",
            f"\t\t<truncated>{item.get('truncated', 0)}</truncated>",
            f"\t\t<difficult>{item.get('difficult', 0)}</difficult>",
            f"\t\t<bndbox>{box}</bndbox>",
            *([f"\t\t{item['extra']}"] if "extra" in item else []),
            "\t</object>",
        ]
    return "\n".join([*parts, "</annotation>", ""])
