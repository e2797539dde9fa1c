"""Stores of many records with a few of them: pickles, npz archives, LMDB environments."""

from __future__ import annotations

import io
import pickle
import pickletools
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeGuard

import numpy as np

from vision_flan.miniatures.cut_arrays import Cut, drawn_array
from vision_flan.miniatures.formats import lmdb, python2_pickle
from vision_flan.miniatures.stand_ins import stand_in
from vision_flan.readers.arrays import npy_header
from vision_flan.readers.lmdb_table import open_environment
from vision_flan.readers.pickled import restricted_loads
from vision_flan.readers.pixels import Array

#: Items of a list or array that no table reads, above which most are left out; images of one npz that all
#: stay.
_UNREAD, _FEW_IMAGES = 20, 64
#: Opcodes of texts as Python 2 wrote them.
_PYTHON_2 = frozenset(("STRING", "BINSTRING", "SHORT_BINSTRING"))


# --- pickle


def cut_pickle(data: bytes, cut: Cut) -> bytes:
    """A pickle of the same protocol with the records that stay; images in it are drawn.

    Raises:
        BadRawError: it holds more than arrays and plain containers.
    """
    document = restricted_loads(data, "the pickle")
    kept = sorted(cut.kept)
    if isinstance(document, dict) and "_key" in cut.columns:
        items = list(document.items())
        document = type(document)((*items[at],) for at in kept if at < len(items))
    elif isinstance(document, dict):
        document = type(document)(_columns(document, cut))
    elif isinstance(document, np.ndarray):
        document = document[kept]
    else:
        document = type(document)(document[at] for at in kept)
    return _pickled(_plain(document, cut), data)


def _columns(document: Mapping[object, object], cut: Cut) -> list[tuple[object, object]]:
    """The items of a dict of columns: the kept places of each, and little of lists of other lengths."""
    images = cut.options.get("images")
    stored = str(images["key"]) if isinstance(images, dict) else ""
    read = {*cut.columns, stored}
    rows = {len(value) for name, value in document.items() if _text(name) in read and _is_column(value)}
    kept = sorted(cut.kept)
    made: list[tuple[object, object]] = []
    for name, value in document.items():
        if not _is_column(value):
            made.append((name, value))
            continue
        stay = kept if len(value) in rows else list(range(len(value)))
        if len(value) not in rows and len(value) > _UNREAD:
            stay = [0, 1]
        taken = value[stay] if isinstance(value, np.ndarray) else type(value)(value[at] for at in stay)
        if _text(name) == stored and isinstance(images, dict) and isinstance(taken, np.ndarray):
            taken = _drawn_rows(taken, [int(side) for side in images.get("shape", taken.shape[1:])])
        made.append((name, taken))
    return made


def _is_column(value: object) -> TypeGuard[list[object] | tuple[object, ...] | Array]:
    return isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim > 0)


def _text(name: object) -> str:
    return name.decode("latin-1") if isinstance(name, bytes) else str(name)


def _drawn_rows(rows: Array, shape: Sequence[int]) -> Array:
    """Rows of pixels with drawn ones, each as long as before."""
    sides = tuple(side for side in shape if side > 4)[:2]
    if len(sides) < 2:
        return np.zeros_like(rows)
    drawn = [
        np.frombuffer(drawn_array(row.size, sides, at), np.uint8).reshape(row.shape)
        for at, row in enumerate(rows)
    ]
    return np.asarray(drawn, dtype=np.uint8).reshape(rows.shape).astype(rows.dtype)


def _plain(value: object, cut: Cut, name: str = "") -> object:
    """Arrays without the reader's own type; free text replaced where it is to be."""
    if isinstance(value, np.ndarray):
        return np.array(value.view(np.ndarray))
    if isinstance(value, dict):
        return type(value)((key, _plain(item, cut, _text(key))) for key, item in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return type(value)(_plain(item, cut, name) for item in value)
    if cut.scrub and isinstance(value, str):
        return cut.scrub.text(value, name)
    if cut.scrub and isinstance(value, bytes) and value.isascii():
        return cut.scrub.text(value.decode(), name).encode()
    return value


def _pickled(value: object, data: bytes) -> bytes:
    """A pickle of the protocol that the file has; one of Python 2 stays one."""
    if any(opcode.name in _PYTHON_2 for opcode, _, _ in pickletools.genops(data)) and _suits_python_2(value):
        return python2_pickle(value)
    without_number = 1 if data[:1] in (b"}", b"]") else 0
    return pickle.dumps(value, protocol=data[1] if data[:1] == b"\x80" else without_number)


def _suits_python_2(value: object) -> bool:
    if isinstance(value, dict):
        return all(_suits_python_2(item) for pair in value.items() for item in pair)
    if type(value) is list:
        return all(map(_suits_python_2, value))
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "iuf"
    return isinstance(value, bytes) or (type(value) is int and -(1 << 31) <= value < 1 << 31)


# --- npz


def cut_npz(data: bytes, cut: Cut) -> bytes:
    """An npz with the images that are shown, and the places of other arrays that belong to them.

    Up to 64 images of a file all stay: they belong to one record.
    """
    images = cut.options.get("images")
    stored = str(images["array"]) if isinstance(images, dict) else ""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {info.filename: (archive.read(info), info.compress_type) for info in archive.infolist()}
    arrays = {name: _array_of(content) for name, (content, _) in members.items()}
    shown = arrays.get(f"{stored}.npy")
    numbers = sorted(int(name) for name in cut.images if name.isdecimal())
    count = len(shown) if shown is not None and shown.ndim and numbers else 0
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, (content, packing) in members.items():
            array = arrays[name]
            if array is not None:
                content = _npy(_npz_array(array, numbers, count, is_image=array is shown))
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.compress_type = packing
            archive.writestr(info, content)
    return out.getvalue()


def _npz_array(array: Array, numbers: Sequence[int], count: int, *, is_image: bool) -> Array:
    if count > _FEW_IMAGES and array.ndim and len(array) == count:
        array = array[[at for at in numbers if at < count]]
    elif not is_image and array.ndim > 0 and len(array) > _FEW_IMAGES:
        array = array[:2]
    if not is_image and not (array.dtype == np.uint8 and array.ndim > 2):
        return array
    if count or not is_image:
        return _drawn_rows(array, array.shape[1:])
    whole: Array = _drawn_rows(array[None], array.shape)[0]
    return whole


def _array_of(content: bytes) -> Array | None:
    """The array of a member; None for objects, which are a pickle, and for what is no array."""
    stream = io.BytesIO(content)
    try:
        shape, in_columns, dtype = npy_header(stream)
    except ValueError:
        return None
    if dtype.hasobject:
        return None
    return np.frombuffer(content, dtype, offset=stream.tell()).reshape(
        shape, order="F" if in_columns else "C"
    )


def _npy(array: Array) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, array, allow_pickle=False)
    return out.getvalue()


# --- LMDB


def cut_lmdb(folder: Path, cut: Cut) -> bytes:
    """The `data.mdb` of an environment with the records that stay; images are drawn.

    The environment is read where it lies: it may be larger than memory.

    Raises:
        MachineError: the package lmdb is not installed.
        BadRawError: it is damaged.
    """
    with open_environment(folder).begin() as transaction, transaction.cursor() as cursor:
        keys = [
            bytes(key)
            for position, key in enumerate(cursor.iternext(keys=True, values=False))
            if position in cut.kept or key.decode() in cut.images
        ]
        records = [(key, stand_in(bytes(transaction.get(key)), key.decode())) for key in keys]
    with tempfile.TemporaryDirectory(prefix="vflan-") as work:
        lmdb(Path(work), records)
        return (Path(work) / "data.mdb").read_bytes()
