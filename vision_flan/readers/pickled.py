"""Reader `pickle`: arrays and plain containers. Everything else a pickle can name is code, and is refused."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy._core import multiarray, numeric

from vision_flan.errors import BadRawError, Location, SpecError
from vision_flan.raw.folder import RawDataset
from vision_flan.readers.layout import Layout, Parts, Row, no_images, split_locator
from vision_flan.readers.pixels import Array, ArrayCache, encode_png, image_array, record_of
from vision_flan.readers.reader import TableSpec
from vision_flan.readers.values import shown

_CONTAINERS = {
    "dict": dict, "list": list, "tuple": tuple, "set": set, "frozenset": frozenset, "bytearray": bytearray,
    "bytes": bytes, "str": str, "int": int, "float": float, "complex": complex, "bool": bool,
}  # fmt: skip
_NUMPY_MODULES = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray")
_FROMBUFFER_MODULES = ("numpy.core.numeric", "numpy._core.numeric")


def restricted_loads(data: bytes, file: str) -> Any:
    """The object in a pickle that holds only arrays, numbers, text and plain containers.

    Text of Python 2 comes out as bytes where it is no ASCII.

    Raises:
        BadRawError: the pickle names anything else, or is damaged.
    """
    unpickler = _Restricted(io.BytesIO(data), file)
    try:
        return unpickler.load()
    except BadRawError:
        raise
    except Exception as error:  # a damaged pickle raises whatever the callables it names raise
        raise BadRawError(
            f"no valid pickle: {type(error).__name__}: {error}",
            where=Location(file),
            hint="download the file again",
        ) from error


class _Restricted(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, file: str) -> None:
        super().__init__(stream, encoding="bytes")  # text of Python 2 may be raw pixels
        self._file = file

    def find_class(self, module: str, name: str) -> Any:
        if module in ("builtins", "__builtin__") and name in _CONTAINERS:
            return _CONTAINERS[name]
        if module == "collections" and name == "OrderedDict":
            return OrderedDict
        if module == "_codecs" and name == "encode":
            return _encode_latin1
        if module in _NUMPY_MODULES and name in ("ndarray", "dtype"):
            return getattr(np, name)
        if module in _NUMPY_MODULES and name in ("_reconstruct", "scalar"):
            return getattr(multiarray, name)
        if module in _FROMBUFFER_MODULES and name == "_frombuffer":
            return getattr(numeric, name)
        raise BadRawError(
            f"the pickle names {module}.{name}; only arrays and plain containers are read",
            where=Location(self._file),
            hint="a pickle can run any code: look for the data in another format",
        )


def _encode_latin1(text: str, encoding: str | bytes = "latin1") -> bytes:
    """What pickles of protocol 2 call to carry bytes."""
    if encoding not in ("latin1", "latin-1", b"latin1", b"latin-1"):
        raise ValueError(f"encoding {encoding!r}")
    return text.encode("latin-1")


class PickleReader:
    """Pickled tables.

    A dict of lists or arrays of one length: a row for each position, columns by key (a value that is no list
    is the same in each row). A list: a row for each item, columns by key for dicts, else `_value`. With
    `_key` declared, a dict is a row for each of its items, `_key` and `_value`. Keys are decoded from bytes.

    Option `images`: {key: data, shape: [3, 32, 32], order: CHW}, an array with an image a row, which the
    table shows as references in `image`.
    """

    def __init__(self, table: TableSpec) -> None:
        self._table = table
        self._images: dict[str, Any] = table.options.get("images") or {}
        if self._images and "image" in table.columns:
            raise SpecError(
                f"table {table.name!r}: `images` makes the column 'image'",
                where=table.place,
                hint="drop it from `columns:`",
            )
        extra = {"image": pa.string()} if self._images else {}
        self._layout = Layout(table, {**table.columns, **extra})
        self._arrays = ArrayCache()

    def schema(self) -> pa.Schema:
        return self._layout.schema

    def batches(self, raw: RawDataset) -> Iterator[pa.RecordBatch]:
        return self._layout.batches(self._rows(raw))

    def open_image(self, raw: RawDataset, locator: str) -> bytes:
        if not self._images:
            raise no_images(self._table, locator)
        file, number = split_locator(locator)
        records = self._arrays.get(file, lambda: self._load_images(raw, file))
        image = image_array(
            record_of(records, number, file), self._images["order"], file, self._images["shape"]
        )
        return encode_png(image, file)

    def _load_images(self, raw: RawDataset, file: str) -> Array:
        return np.asarray(self._value_of(self._document(raw, file), self._images["key"], file))

    def _document(self, raw: RawDataset, file: str) -> Any:
        document = restricted_loads(raw.read_bytes(file), file)
        return (
            {_text(key): value for key, value in document.items()} if isinstance(document, dict) else document
        )

    def _rows(self, raw: RawDataset) -> Iterator[Row]:
        for file, parts in self._layout.files(raw):
            document = self._document(raw, file)
            if isinstance(document, dict) and "_key" in self._table.columns:
                for position, (key, value) in enumerate(document.items()):
                    plain = _plain(value)
                    yield Row(file, parts, position, {**_keyed(plain), "_key": str(key), "_value": plain})
            elif isinstance(document, dict):
                yield from self._rows_of_columns(document, file, parts)
            elif isinstance(document, list | tuple | np.ndarray):
                for position, value in enumerate(document):
                    plain = _plain(value)
                    yield Row(file, parts, position, {**_keyed(plain), "_value": plain})
            else:
                raise BadRawError(f"the pickle is no dict and no list: {shown(document)}", where=Location(file))

    def _rows_of_columns(self, document: dict[Any, Any], file: str, parts: Parts) -> Iterator[Row]:
        values = {name: self._value_of(document, name, file) for name in self._table.columns}
        images = self._value_of(document, self._images["key"], file) if self._images else []
        lengths = {name: len(value) for name, value in values.items() if _is_column(value)}
        if self._images:
            lengths[self._images["key"]] = len(images)
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise BadRawError(f"columns have different lengths: {told}", where=Location(file))
        for position in range(next(iter(lengths.values()), 1)):
            row = {
                name: _plain(value[position] if name in lengths else value) for name, value in values.items()
            }
            if self._images:
                row["image"] = f"@{self._table.name}/{file}#{position}"
            yield Row(file, parts, position, row, _size(row))

    def _value_of(self, document: Any, name: str, file: str) -> Any:
        if not isinstance(document, dict) or name not in document:
            keys = ", ".join(map(str, document)) if isinstance(document, dict) else "none: it is no dict"
            raise BadRawError(
                f"no key {name!r} in the pickle", where=Location(file), hint=f"keys are {keys[:200]}"
            )
        return document[name]


def _is_column(value: Any) -> bool:
    return isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim > 0)


def _keyed(plain: Any) -> dict[str, Any]:
    return plain if isinstance(plain, dict) else {}


def _text(value: Any) -> Any:
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _plain(value: Any) -> Any:
    """Arrays, sets and bytes as lists and text."""
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, dict):
        return {str(_text(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((_plain(item) for item in value), key=repr)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return _text(value)


def _size(row: dict[str, Any]) -> int:
    return sum(8 * len(value) if isinstance(value, list | str) else 8 for value in row.values())
