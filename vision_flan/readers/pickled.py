"""Reader `pickle`: arrays and plain containers. Anything else that a pickle names is code, and is refused."""

from __future__ import annotations

import io
import math
import pickle
import re
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from vision_flan.errors import BadRawError, Location
from vision_flan.raw.folder import RawDataset
from vision_flan.readers.base import RowReader
from vision_flan.readers.layout import Parts, Row, no_images, split_locator
from vision_flan.readers.pickle_sizes import check_sizes
from vision_flan.readers.pixels import Array, ArrayCache, encode_png, image_array, record_of
from vision_flan.readers.reader import TableSpec
from vision_flan.readers.unfolded import has_no_end, refuse_no_characters, refuse_unfolding
from vision_flan.readers.values import shown
from vision_flan.readers.whole import read_whole

_CONTAINERS: dict[str, Any] = {
    "dict": dict, "list": list, "tuple": tuple, "set": set, "frozenset": frozenset, "str": str, "int": int,
    "float": float, "complex": complex, "bool": bool,
}  # fmt: skip
_NUMPY_MODULES = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray")
#: Plain types: booleans, numbers, text, bytes, and objects, which are plain containers again.
_CODE = re.compile(r"[<>|=]?([biufc][0-9]{1,2}|[SUa][0-9]{1,7}|O8?|\?)")
_FROMBUFFER_MODULES = ("numpy.core.numeric", "numpy._core.numeric")


def restricted_loads(data: bytes, file: str) -> Any:
    """The object in a pickle that holds only arrays, numbers, text and plain containers.

    Text of Python 2 that is not ASCII is returned as bytes.

    Raises:
        BadRawError: the pickle names anything else, is damaged, or holds a value so often that it is a bomb.
    """
    unpickler = _Restricted(io.BytesIO(data), file)
    try:
        check_sizes(data)
        loaded = unpickler.load()
        refuse_unfolding(loaded, len(data), file)
        return loaded
    except BadRawError:
        raise
    except Exception as error:  # a damaged pickle raises whatever its callables raise
        raise BadRawError(
            f"not a valid pickle: {type(error).__name__}: {error}",
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
        if module in _NUMPY_MODULES and name in _NUMPY:
            return _NUMPY[name]
        if module in _FROMBUFFER_MODULES and name == "_frombuffer":
            return _from_buffer
        raise BadRawError(
            f"the pickle names {module}.{name}; only arrays and plain containers are read",
            where=Location(self._file),
            hint="a pickle can run any code: get the data in another format",
        )


class _Type:
    """The name `numpy.ndarray` in a pickle; it creates nothing."""


class _Dtype:
    """A `numpy.dtype` as pickled: its code, then its byte order."""

    def __init__(self, code: Any, *_: Any) -> None:
        text = code.decode("ascii") if isinstance(code, bytes) else str(code)
        if not _CODE.fullmatch(text):
            raise ValueError(f"arrays of {text[:20]!r} are not supported")
        self.plain = np.dtype(text)

    def __setstate__(self, state: Any) -> None:
        order = state[1].decode() if isinstance(state[1], bytes) else state[1]
        if state[2] is not None or state[3] is not None or state[4] is not None:
            raise ValueError("arrays of structs are not supported")
        if order == ">":
            self.plain = self.plain.newbyteorder(">")


class _Array(np.ndarray):
    """An array being unpickled: empty until its state is checked against its bytes."""

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        made = _checked_array(data, dtype, shape, "F" if fortran else "C")
        state = (1, made.shape, made.dtype, bool(fortran), _payload(made, bool(fortran)))
        super().__setstate__(state)


def _payload(array: Array, fortran: bool) -> Any:
    order: Literal["F", "C"] = "F" if fortran else "C"
    return list(array.ravel(order=order)) if array.dtype.hasobject else array.tobytes(order)


def _checked_array(data: Any, dtype: Any, shape: Any, order: str) -> Array:
    """An array of a plain type; `data` must fill its shape exactly."""
    if not isinstance(dtype, _Dtype) or not isinstance(shape, tuple):
        raise TypeError("an array without a type or a shape")
    if not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError(f"an array of shape {shape!r}"[:80])
    if math.prod(shape) * dtype.plain.itemsize == 0 and has_no_end(shape):
        raise ValueError(f"an empty array of shape {shape!r}"[:80])
    if dtype.plain.hasobject:
        if not isinstance(data, list) or len(data) != math.prod(shape):
            raise ValueError("an array of objects whose items do not fill its shape")
        flat = np.empty(len(data), dtype=object)
        for at, item in enumerate(data):
            flat[at] = item
        return flat.reshape(shape, order="F" if order == "F" else "C")
    if isinstance(data, str):  # how protocols 0 and 1 write bytes
        data = data.encode("latin-1")
    if not isinstance(data, bytes | bytearray | memoryview | pickle.PickleBuffer):
        raise TypeError("an array without bytes")
    held = bytes(data)
    if len(held) != math.prod(shape) * dtype.plain.itemsize:
        raise ValueError(f"an array of shape {list(shape)} with {len(held)} bytes")
    if not dtype.plain.itemsize:
        return np.empty(shape, dtype.plain)
    made = np.frombuffer(held, dtype.plain)
    refuse_no_characters(made)
    return made.reshape(shape, order="F" if order == "F" else "C")


def _reconstruct(_: Any, shape: Any, code: Any) -> Array:
    """The empty array that `_Array.__setstate__` fills."""
    return np.empty(0, np.uint8).view(_Array)


def _from_buffer(data: Any, dtype: Any, shape: Any, order: str, *_: Any) -> Array:
    return _checked_array(data, dtype, shape, order)


def _scalar(dtype: Any, data: Any) -> Any:
    if isinstance(dtype, _Dtype) and dtype.plain.hasobject:
        return data
    return _checked_array(data, dtype, (), "C")[()]


def _sized_bytes(*given: Any) -> bytes:
    """`bytes`, which would interpret a number as a length."""
    if given and not isinstance(given[0], str | bytes | bytearray | list | tuple):
        raise ValueError("bytes of something other than text or numbers")
    return bytes(*given)


def _sized_bytearray(*given: Any) -> bytearray:
    if given and isinstance(given[0], str):
        return bytearray(*given)
    return bytearray(_sized_bytes(*given))


def _encode_latin1(text: str, encoding: str | bytes = "latin1") -> bytes:
    """The function that pickles of protocol 2 use for bytes."""
    if encoding not in ("latin1", "latin-1", b"latin1", b"latin-1"):
        raise ValueError(f"encoding {encoding!r}")
    return text.encode("latin-1")


_CONTAINERS |= {"bytes": _sized_bytes, "bytearray": _sized_bytearray}
_NUMPY = {"ndarray": _Type, "dtype": _Dtype, "_reconstruct": _reconstruct, "scalar": _scalar}


class PickleReader(RowReader):
    """Pickled tables.

    A dict of lists or arrays of one length: one row per position, columns by key (a value that is not a list
    is the same in each row). A list: one row per item, columns by key for dicts, else `_value`. With `_key`
    declared, a dict: one row per item, `_key` and `_value`. Keys are decoded from bytes.

    Option `images`: {key: data, shape: [3, 32, 32], order: CHW}, an array with one image per row, which the
    table shows as references in `image`.
    """

    def __init__(self, table: TableSpec) -> None:
        super().__init__(table, images="images")
        self._images: dict[str, Any] = table.options.get("images") or {}
        self._arrays = ArrayCache()

    def _image(self, raw: RawDataset, locator: str) -> bytes:
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
        document = restricted_loads(read_whole(raw, file), file)
        return (
            {text_key(key): value for key, value in document.items()}
            if isinstance(document, dict)
            else document
        )

    def _rows(self, raw: RawDataset, file: str, parts: Parts) -> Iterator[Row]:
        document = self._document(raw, file)
        if isinstance(document, dict) and "_key" in self._table.columns:
            for position, (key, value) in enumerate(document.items()):
                plain = plain_value(value)
                yield Row(file, parts, position, {**_columns_of(plain), "_key": str(key), "_value": plain})
        elif isinstance(document, dict):
            yield from self._rows_of_columns(document, file, parts)
        elif isinstance(document, list | tuple | np.ndarray):
            for position, value in enumerate(document):
                plain = plain_value(value)
                yield Row(file, parts, position, {**_columns_of(plain), "_value": plain})
        else:
            raise BadRawError(
                f"the pickle is neither a dict nor a list: {shown(document)}", where=Location(file)
            )

    def _rows_of_columns(self, document: dict[Any, Any], file: str, parts: Parts) -> Iterator[Row]:
        values = {name: self._value_of(document, name, file) for name in self._table.columns}
        images = self._value_of(document, self._images["key"], file) if self._images else []
        lengths = {name: len(value) for name, value in values.items() if _is_column(value)}
        if self._images:
            lengths[self._images["key"]] = len(images)
        if len(set(lengths.values())) > 1:
            lengths_text = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise BadRawError(f"columns have different lengths: {lengths_text}", where=Location(file))
        for position in range(next(iter(lengths.values()), 1)):
            row = {
                name: plain_value(value[position] if name in lengths else value)
                for name, value in values.items()
            }
            if self._images:
                row["image"] = f"@{self._table.name}/{file}#{position}"
            yield Row(file, parts, position, row, _size(row))

    def _value_of(self, document: Any, name: str, file: str) -> Any:
        if not isinstance(document, dict) or name not in document:
            keys = ", ".join(map(str, document)) if isinstance(document, dict) else "none: it is not a dict"
            raise BadRawError(
                f"no key {name!r} in the pickle", where=Location(file), hint=f"keys are {keys[:200]}"
            )
        return document[name]


def _is_column(value: Any) -> bool:
    return isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim > 0)


def _columns_of(plain: Any) -> dict[str, Any]:
    return plain if isinstance(plain, dict) else {}


def text_key(value: Any) -> Any:
    """A key as text: Python 2 wrote bytes."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def plain_value(value: Any) -> Any:
    """Arrays, sets and bytes as lists and text."""
    if isinstance(value, np.ndarray | np.generic):
        return plain_value(value.tolist())
    if isinstance(value, dict):
        return {str(text_key(key)): plain_value(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((plain_value(item) for item in value), key=repr)
    if isinstance(value, list | tuple):
        return [plain_value(item) for item in value]
    return text_key(value)


def _size(row: dict[str, Any]) -> int:
    return sum(8 * len(value) if isinstance(value, list | str) else 8 for value in row.values())
