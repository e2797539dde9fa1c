"""Converts values of loosely typed formats (JSON, XML, pickle, MATLAB) to the Arrow types a spec declares.

For a declared string, numbers and booleans become their JSON text. For a declared number, numeric text is
parsed. Numbers that are not finite become NULL. Anything else that does not fit, such as a list where text is
declared, is an error of the raw file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, repeat
from types import NoneType
from typing import Any

import pyarrow as pa

from vision_flan.errors import VflanError

_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no")
_SHOWN = 80


class _UnfitError(Exception):
    """A value, inside the one being converted, that does not fit its type."""

    def __init__(self, value: object, wanted: pa.DataType, inside: str = "") -> None:
        super().__init__()
        self.value = value
        self.wanted = wanted
        self.inside = inside


def column(
    values: Sequence[Any], name: str, wanted: pa.DataType, error: Callable[[int, str], VflanError]
) -> pa.Array:
    """Values of one column as an Arrow array of the wanted type.

    Args:
        error: creates the error for the row at a position of `values`.
    """
    try:
        if not _is_misread(values, wanted):
            return pa.array(values, wanted)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        pass  # some value has another type: convert one by one, which also finds any that cannot be converted
    converted = []
    for row, value in enumerate(values):
        try:
            converted.append(_fit(value, wanted))
        except (ValueError, OverflowError, RecursionError, TypeError):
            raise error(row, f"column {name!r}: {shown(value)} is not a valid {wanted}") from None
        except _UnfitError as unfit:
            inside = f" (in {name}{unfit.inside})" if unfit.inside else ""
            what = f"column {name!r}: {shown(unfit.value)} is not a valid {unfit.wanted}{inside}"
            raise error(row, what) from None
    return pa.array(converted, wanted)


def settled(array: pa.Array) -> pa.Array:
    """A column as stored in tables: numbers that are not finite become NULL."""
    import pyarrow.compute as pc  # loads for 30 ms, and workers read no tables

    if pa.types.is_floating(array.type):
        finite = pc.is_finite(array)
        if pc.all(finite).as_py() is not False:
            return array
        return pc.if_else(finite, array, pa.scalar(None, array.type))
    if pa.types.is_nested(array.type) and not _all_finite(array):
        return pa.array([_finite(value) for value in array.to_pylist()], array.type)
    return array


def _leaves(array: pa.Array) -> Iterator[pa.Array]:
    """The plain arrays inside a nested one."""
    if pa.types.is_struct(array.type) or pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        parts = array.flatten()
        for part in parts if isinstance(parts, list) else [parts]:
            yield from _leaves(part)
    else:
        yield array


def _all_finite(array: pa.Array) -> bool:
    import pyarrow.compute as pc

    floats = (leaf for leaf in _leaves(array) if pa.types.is_floating(leaf.type))
    return all(pc.all(pc.is_finite(leaf)).as_py() is not False for leaf in floats)


def _finite(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _is_misread(values: Sequence[object], wanted: pa.DataType) -> bool:
    """Whether Arrow would silently misconvert a value: 1.5 to the integer 1, "ab" to the list ["a", "b"].

    Values are looked at a field at a time, which is ten times as fast as a value at a time.
    """
    kinds = set(map(type, values))
    if pa.types.is_integer(wanted):
        return any(issubclass(kind, float) for kind in kinds)
    if pa.types.is_struct(wanted):
        if not all(issubclass(kind, (dict, NoneType)) for kind in kinds):
            return True  # Arrow reads a list of pairs, even an empty one, as a struct
        items = [value for value in values if isinstance(value, dict)] if type(None) in kinds else values
        return any(
            _is_misread(list(map(dict.get, items, repeat(field.name))), field.type)  # type: ignore[arg-type]
            for field in wanted
            if _may_be_misread(field.type)
        )
    if _is_list(wanted):
        if not all(issubclass(kind, (list, NoneType)) for kind in kinds):
            return True
        inside = wanted.value_type
        lists: list[list[object]] = [value for value in values if isinstance(value, list)]
        return _may_be_misread(inside) and _is_misread(list(chain.from_iterable(lists)), inside)
    return False


def _may_be_misread(wanted: pa.DataType) -> bool:
    return pa.types.is_integer(wanted) or pa.types.is_struct(wanted) or _is_list(wanted)


def _is_list(wanted: pa.DataType) -> bool:
    kinds = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(is_kind(wanted) for is_kind in kinds)


def shown(value: object) -> str:
    """A value as quoted in errors."""
    try:
        text = _json(value) if isinstance(value, dict | list | bool | None) else repr(value)
    except (RecursionError, TypeError, ValueError):  # nested too deep, or a number of thousands of digits
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _fit(value: Any, wanted: pa.DataType) -> Any:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if pa.types.is_string(wanted) or pa.types.is_large_string(wanted):
        return _as_text(value, wanted)
    if pa.types.is_boolean(wanted):
        return _as_bool(value, wanted)
    if pa.types.is_integer(wanted):
        return _in_range(_as_integer(value, wanted), value, wanted)
    if pa.types.is_floating(wanted):
        return _as_float(value, wanted)
    if pa.types.is_struct(wanted):
        return _as_struct(value, wanted)
    if _is_list(wanted):
        return _as_list(value, wanted)
    return _by_arrow(value, wanted)


def _as_text(value: Any, wanted: pa.DataType) -> str:
    if isinstance(value, bool | int | float):
        return _json(value)
    if not isinstance(value, str):
        raise _UnfitError(value, wanted)
    # JSON may contain half of a surrogate pair, which is not text; decoders replace it by U+FFFD.
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _as_bool(value: Any, wanted: pa.DataType) -> bool:
    if isinstance(value, bool | int | str):
        text = str(value).strip().lower()
        if text in _TRUE:
            return True
        if text in _FALSE:
            return False
    raise _UnfitError(value, wanted)


def _as_integer(value: Any, wanted: pa.DataType) -> int:
    try:
        if isinstance(value, bool | int):
            return int(value)
        if isinstance(value, str) and "_" not in value:  # Python accepts 1_000 as a number
            text = value.strip()
            return int(text) if text.lstrip("+-").isdecimal() else _whole(float(text))
        if isinstance(value, float):
            return _whole(value)
    except (ValueError, OverflowError):
        pass
    raise _UnfitError(value, wanted)


def _whole(value: float) -> int:
    if not value.is_integer():
        raise ValueError(value)
    return int(value)


def _in_range(number: int, value: Any, wanted: pa.DataType) -> int:
    bits = wanted.bit_width
    low, high = (-(1 << bits - 1), 1 << bits - 1) if pa.types.is_signed_integer(wanted) else (0, 1 << bits)
    if not low <= number < high:
        raise _UnfitError(value, wanted)
    return number


def _as_float(value: Any, wanted: pa.DataType) -> float:
    try:
        if isinstance(value, bool | int | float):
            return float(value)
        if isinstance(value, str) and "_" not in value:
            return float(value)
    except (ValueError, OverflowError):
        pass
    raise _UnfitError(value, wanted)


def _as_struct(value: Any, wanted: pa.StructType) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _UnfitError(value, wanted)
    fitted = {}
    for field in wanted:
        try:
            fitted[field.name] = _fit(value.get(field.name), field.type)
        except _UnfitError as unfit:
            raise _UnfitError(unfit.value, unfit.wanted, f".{field.name}{unfit.inside}") from None
    return fitted


def _as_list(value: Any, wanted: pa.ListType | pa.FixedSizeListType) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise _UnfitError(value, wanted)
    if pa.types.is_fixed_size_list(wanted) and len(value) != wanted.list_size:
        raise _UnfitError(value, wanted)
    fitted = []
    for at, item in enumerate(value):
        try:
            fitted.append(_fit(item, wanted.value_type))
        except _UnfitError as unfit:
            raise _UnfitError(unfit.value, unfit.wanted, f"[{at}]{unfit.inside}") from None
    return fitted


def _by_arrow(value: Any, wanted: pa.DataType) -> Any:
    """Dates, times, decimals: from their text, as Arrow reads it."""
    try:
        return pa.scalar(value, wanted).as_py()
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        pass
    try:
        return pa.scalar(_as_text(value, wanted)).cast(wanted).as_py()
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        raise _UnfitError(value, wanted) from None
