"""Reader `matlab`: variables of .mat files as rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa

from vision_flan.errors import BadRawError, Location
from vision_flan.raw.folder import RawDataset
from vision_flan.readers.base import RowReader
from vision_flan.readers.layout import Parts, Row
from vision_flan.readers.matlab_file import elements, load_variables, text_of, text_rows
from vision_flan.readers.pixels import Array
from vision_flan.readers.reader import TableSpec


class MatlabReader(RowReader):
    """.mat files of any version.

    Options: `variable` (default: the only one); `field`, dotted path into structs; `axis`.

    Rows come from a struct array, by its fields; a cell array of structs, by their fields; another cell
    array or a vector, one `_value` per element; a matrix, with `axis: rows` or `columns`, one `_values`
    (DOUBLE[] by default) per row or column. A single struct with `axis: rows`, or a file without
    `variable` whose variables are the declared columns, is a table whose columns have one length.

    A declared list accepts vectors, a declared list of lists accepts matrices. Empty arrays and NaN are NULL.
    """

    def __init__(self, table: TableSpec) -> None:
        self._axis: str | None = table.options.get("axis")
        self._variable: str | None = table.options.get("variable")
        self._field = [step for step in str(table.options.get("field", "")).split(".") if step]
        extra = {"_values": pa.list_(pa.float64())} if not table.columns and self._axis else {}
        super().__init__(table, {**extra, **table.columns})

    def _rows(self, raw: RawDataset, file: str, parts: Parts) -> Iterator[Row]:
        found = load_variables(raw, file, self._variable)
        columns = self._layout.columns
        if self._variable is None and any(name in found for name in columns):
            yield from self._zipped(found, file, parts)
            return
        value = self._descend(self._chosen(found, file), file)
        struct = _only_struct(value)
        if struct is not None and self._axis == "rows":
            yield from self._zipped(struct, file, parts)
            return
        for position, (record, size) in enumerate(self._records(value, file)):
            values = {name: _convert(record.get(name), kind) for name, kind in columns.items()}
            yield Row(file, parts, position, values, size)

    def _chosen(self, found: dict[str, Array], file: str) -> Array:
        if self._variable is None and len(found) == 1:
            return next(iter(found.values()))
        if self._variable in found:
            return found[self._variable]
        wanted = "no variable is named" if self._variable is None else f"no variable {self._variable!r}"
        return self._fail(file, wanted, f"variables are {', '.join(found) or 'none'}; see `variable:`")

    def _descend(self, value: Array, file: str) -> Array:
        for name in self._field:
            struct = _only_struct(value)
            if struct is None or name not in struct:
                keys = f"fields are {', '.join(struct)}" if struct else "it is not a single struct"
                self._fail(file, f"no field {name!r} in the struct", f"{keys}; fix `field:`")
            value = struct[name]
        return value

    def _zipped(self, found: dict[str, Any], file: str, parts: Parts) -> Iterator[Row]:
        """Columns of one length as rows."""
        lists = {}
        for name, kind in self._layout.columns.items():
            if name not in found:
                self._fail(file, f"no {name!r} here", f"there are {', '.join(found)}")
            lists[name] = _column_elements(found[name], kind)
        if len({len(items) for items in lists.values()}) != 1:
            lengths_text = ", ".join(f"{name} {len(items)}" for name, items in lists.items())
            self._fail(
                file, f"columns have different lengths: {lengths_text}", "see `variable:` and `field:`"
            )
        for position, row in enumerate(zip(*lists.values(), strict=True)):
            yield Row(file, parts, position, dict(zip(lists, row, strict=True)))

    def _records(self, value: Array, file: str) -> Iterator[tuple[dict[str, Any], int]]:
        """Records before conversion to their declared types, each with its approximate size."""
        if self._axis is not None and value.dtype.names is None:
            matrix = np.atleast_2d(value)
            for line in matrix if self._axis == "rows" else np.moveaxis(matrix, 1, 0):
                yield {"_values": line}, line.nbytes
        elif value.dtype.kind in "US":
            for line in text_rows(value):
                yield {"_value": np.asarray([line])}, len(line)
        elif value.dtype.names is None and value.ndim > 1 and min(value.shape) > 1:
            self._fail(file, f"the variable is a matrix of shape {list(value.shape)}", "set `axis:`")
        else:
            for element in elements(value):
                struct = element if isinstance(element, dict) else None
                if struct is None and isinstance(element, np.ndarray):
                    struct = _only_struct(element)
                yield {**(struct or {}), "_value": element}, getattr(element, "nbytes", 64)

    def _fail(self, file: str, what: str, hint: str) -> NoReturn:
        raise BadRawError(what, where=Location(file), hint=hint)


def _only_struct(value: Any) -> dict[str, Any] | None:
    """The only struct in an array, also inside cells of one element."""
    while isinstance(value, np.ndarray) and value.size == 1:
        if value.dtype.names is None and value.dtype != object:
            return None
        value = next(elements(value))
    return value if isinstance(value, dict) else None


def _column_elements(value: Array, kind: pa.DataType) -> list[Any]:
    """A variable as a column: one row per element of a vector or per row of a matrix."""
    if value.dtype.kind in "US" or value.ndim < 2 or min(value.shape) <= 1:
        return [_convert(element, kind) for element in elements(value)]
    return [_convert(line, kind) for line in value]


def _convert(value: Any, kind: pa.DataType) -> Any:
    """A value in the form of its declared type; the column refuses what does not fit."""
    if isinstance(value, np.ndarray) and pa.types.is_list(kind):
        if pa.types.is_list(kind.value_type) and value.ndim > 1:
            return [_convert(line, kind.value_type) for line in value]
        if value.dtype.kind in "biuf":
            return value.ravel(order="F").tolist()
        return [_convert(element, kind.value_type) for element in elements(value)]
    if pa.types.is_struct(kind):
        struct = value if isinstance(value, dict) else _only_struct(value)
        return (
            _plain(value) if struct is None else {f.name: _convert(struct.get(f.name), f.type) for f in kind}
        )
    plain = _plain(value)
    if pa.types.is_string(kind) and isinstance(plain, list) and isinstance(value, np.ndarray):
        # cells mix words and arrays of numbers: arrays become their JSON text
        return json.dumps(plain, separators=(",", ":")) if value.dtype.kind in "biuf" else plain
    return [_convert(plain, kind.value_type)] if pa.types.is_list(kind) and plain is not None else plain


def _plain(value: Any) -> Any:
    """Arrays as text, numbers, lists and dicts; one-element arrays as their element, empty ones as None."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, np.generic):
        return value.item() if value.dtype.names is None else _plain(np.asarray(value))
    if not isinstance(value, np.ndarray):
        return value
    if value.dtype.kind in "US":
        return text_of(value) if value.size else None
    if value.size == 0:
        return None
    if value.dtype.kind != "O" and value.dtype.names is None and min(value.shape, default=1) > 1:
        return value.tolist()
    items = [_plain(element) for element in elements(value)]
    return items[0] if len(items) == 1 else items
