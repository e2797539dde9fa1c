"""Values of loosely typed formats (JSON, XML, pickle, MATLAB) as the Arrow types a spec declares.

To a declared string, numbers and booleans become their JSON text and objects compact JSON. To a declared
number, numeric text is parsed. Anything else that does not fit is an error of the raw file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
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
        error: makes the error for the row at a position of `values`.
    """
    is_misread = _misread_finder(wanted)
    try:
        if is_misread is None or not any(map(is_misread, values)):
            return pa.array(values, wanted)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        pass  # some value is of another type: convert one by one, which also finds the one that cannot be
    converted = []
    for row, value in enumerate(values):
        try:
            converted.append(_fit(value, wanted))
        except _UnfitError as unfit:
            inside = f" (in {name}{unfit.inside})" if unfit.inside else ""
            what = f"column {name!r}: {shown(unfit.value)} is no {unfit.wanted}{inside}"
            raise error(row, what) from None
    return pa.array(converted, wanted)


def _misread_finder(wanted: pa.DataType) -> Callable[[Any], bool] | None:
    """Finds what Arrow converts without a word: 1.5 to the integer 1, "ab" to the list ["a", "b"]."""
    if pa.types.is_integer(wanted):
        return _is_float
    if pa.types.is_struct(wanted):
        finders = [(field.name, _misread_finder(field.type)) for field in wanted]
        return _finder_in_fields([(name, find) for name, find in finders if find is not None])
    if pa.types.is_list(wanted) or pa.types.is_large_list(wanted) or pa.types.is_fixed_size_list(wanted):
        in_item = _misread_finder(wanted.value_type)
        if in_item is None:
            return lambda value: isinstance(value, str | bytes)
        return lambda value: any(map(in_item, value)) if isinstance(value, list) else value is not None
    return None


def _is_float(value: object) -> bool:
    return isinstance(value, float)


def _finder_in_fields(fields: list[tuple[str, Callable[[Any], bool]]]) -> Callable[[Any], bool] | None:
    if not fields:
        return None

    def find(value: Any) -> bool:
        if isinstance(value, dict):
            for name, in_field in fields:  # a loop: a generator doubles the time of reading VQAv2
                if in_field(value.get(name)):
                    return True
        return False

    return find


def shown(value: object) -> str:
    """A value as an error quotes it."""
    text = _json(value) if isinstance(value, dict | list | bool | None) else repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _fit(value: Any, wanted: pa.DataType) -> Any:
    if value is None:
        return None
    if pa.types.is_string(wanted) or pa.types.is_large_string(wanted):
        return _as_text(value)
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


def _as_text(value: Any) -> str:
    if not isinstance(value, str):
        return _json(value)
    # JSON may hold half of a surrogate pair, which is no text; U+FFFD is what decoders put there.
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _as_bool(value: Any, wanted: pa.DataType) -> bool:
    text = str(value).strip().lower()
    if isinstance(value, bool | int | str) and text in _TRUE:
        return True
    if isinstance(value, bool | int | str) and text in _FALSE:
        return False
    raise _UnfitError(value, wanted)


def _as_integer(value: Any, wanted: pa.DataType) -> int:
    try:
        if isinstance(value, bool | int):
            return int(value)
        if isinstance(value, str):
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
        if isinstance(value, str) and not (math.isnan(float(value)) and "_" in value):
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
        return pa.scalar(_as_text(value)).cast(wanted).as_py()
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        raise _UnfitError(value, wanted) from None
