"""SQL types of columns, from the values that are there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from vision_flan.errors import Location, SpecError
from vision_flan.records.sql import arrow_type

#: A value as JSON has it.
Value = object

#: Names of columns and fields that a declared type can hold.
PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_INTEGER = re.compile(r"-?(?:0|[1-9]\d{0,17})\Z")
_NUMBER = re.compile(r"-?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?\Z")
_LARGEST = 2**63


def columns_of(records: Iterable[Mapping[str, Value]]) -> dict[str, str]:
    """A column and its SQL type for each key of the records, in the order in which they come.

    Keys that no name of a column can have are left out, as are those whose values have no one type.
    """
    values: dict[str, list[Value]] = {}
    for record in records:
        for key, value in record.items():
            values.setdefault(key, []).append(value)
    kinds = {key: sql_type(found) for key, found in values.items() if key not in ("_file", "_index", "_key")}
    return {key: kind for key, kind in kinds.items() if kind and len(key) <= 200}


def sql_type(values: Sequence[Value]) -> str:
    """The SQL type that holds all values, VARCHAR if all are null; empty if there is none."""
    known = [value for value in values if value is not None]
    if not known:
        return "VARCHAR"
    if all(isinstance(value, bool) for value in known):
        return "BOOLEAN"
    if any(isinstance(value, list) for value in known):
        return _list_type(known)
    if any(isinstance(value, dict) for value in known):
        return _struct_type(known)
    numbers = [value for value in known if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) == len(known):
        whole = all(isinstance(value, int) and -_LARGEST <= value < _LARGEST for value in numbers)
        return "BIGINT" if whole else "DOUBLE"
    return "VARCHAR"


def _list_type(values: Sequence[Value]) -> str:
    lists = [value for value in values if isinstance(value, list)]
    if len(lists) < len(values):
        return ""
    kind = sql_type([item for found in lists for item in found])
    return f"{kind}[]" if kind else ""


def _struct_type(values: Sequence[Value]) -> str:
    mappings = [value for value in values if isinstance(value, dict)]
    if len(mappings) < len(values):
        return ""
    fields = {key: kind for key, kind in columns_of(mappings).items() if PLAIN_NAME.match(key)}
    if not fields:
        return ""
    return "STRUCT(" + ", ".join(f"{_quoted(key)} {kind}" for key, kind in fields.items()) + ")"


@cache
def _quoted(name: str) -> str:
    """A field's name, in quotes where it is a word of SQL."""
    try:
        arrow_type(f"STRUCT({name} BIGINT)", Location("field"))
    except SpecError:
        return f'"{name}"'
    return name


def type_of_texts(texts: Iterable[str]) -> str:
    """The SQL type of texts, as in CSV: BIGINT, DOUBLE or VARCHAR. Numbers with leading zeros stay text."""
    known = [text.strip() for text in texts if text.strip()]
    if not known:
        return "VARCHAR"
    if all(_INTEGER.match(text) for text in known):
        return "BIGINT"
    return "DOUBLE" if all(_NUMBER.match(text) for text in known) else "VARCHAR"
