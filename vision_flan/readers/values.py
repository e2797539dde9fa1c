"""Converts values of loosely typed formats (JSON, XML, pickle, MATLAB) to the Arrow types a spec declares.

For a declared string, numbers and booleans become their JSON text. For a declared number, numeric text is
parsed. Numbers that are not finite become NULL. Anything else that does not fit, such as a list where text is
declared, is an error of the raw file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

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
    is_misread = _misread_finder(wanted)
    try:
        if is_misread is None or not any(map(is_misread, values)):
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
    floats = (leaf for leaf in _leaves(array) if pa.types.is_floating(leaf.type))
    return all(pc.all(pc.is_finite(leaf)).as_py() is not False for leaf in floats)


def _finite(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _misread_finder(wanted: pa.DataType) -> Callable[[Any], bool] | None:
    """Finds values that Arrow silently misconverts: 1.5 to the integer 1, "ab" to the list ["a", "b"]."""
    if pa.types.is_integer(wanted):
        return _is_float
    if pa.types.is_struct(wanted):
        finders = [(field.name, _misread_finder(field.type)) for field in wanted]
        return _finder_in_fields([(name, find) for name, find in finders if find is not None])
    if pa.types.is_list(wanted) or pa.types.is_large_list(wanted) or pa.types.is_fixed_size_list(wanted):
        in_item = _misread_finder(wanted.value_type)
        if in_item is None:
            return lambda value: value is not None and not isinstance(value, list)
        return lambda value: any(map(in_item, value)) if isinstance(value, list) else value is not None
    return None


def _is_float(value: object) -> bool:
    return isinstance(value, float)


def _finder_in_fields(fields: list[tuple[str, Callable[[Any], bool]]]) -> Callable[[Any], bool]:
    def find(value: Any) -> bool:
        if not isinstance(value, dict):
            return value is not None  # Arrow reads a list of pairs, even an empty one, as a struct
        for name, in_field in fields:  # noqa: SIM110 - a generator doubles the time of reading VQAv2
            if in_field(value.get(name)):
                return True
        return False

    return find


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
    if pa.types.is_list(wanted) or pa.types.is_large_list(wanted) or pa.types.is_fixed_size_list(wanted):
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


def _as_list(value: Any, wanted: pa.ListType) -> list[Any]:
    if not isinstance(value, list | tuple):
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
