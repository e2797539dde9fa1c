"""Tables in MATLAB files of any version: struct arrays, lists, lists side by side, what a struct holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from vision_flan.propose.paths import Group
from vision_flan.propose.survey import Survey
from vision_flan.propose.table import Table
from vision_flan.propose.types import columns_of, sql_type
from vision_flan.readers.matlab_file import elements, load_variables, text_rows
from vision_flan.readers.pixels import Array
from vision_flan.spec.names import slug_of

#: Structs within structs that are looked into.
_DEEPEST = 3


def matlab_tables(survey: Survey, group: Group) -> list[Table]:
    """A table for each struct array and each list of a file; lists of one length are one table.

    Raises:
        BadRawError: the file is damaged.
        MachineError: the package that reads such files is not installed.
    """
    found = load_variables(survey.raw, group.paths[0], None)
    if side_by_side := _side_by_side(found):
        return [Table(group.name, "matlab", group.pattern, group.paths, side_by_side)]
    tables = []
    for name, value in found.items():
        options: dict[str, object] = {} if len(found) == 1 else {"variable": name}
        for where, columns in _tables_in(value, {}, _DEEPEST):
            table = slug_of(str(where.get("field", name)).rpartition(".")[2])
            tables.append(Table(table, "matlab", group.pattern, group.paths, columns, {**options, **where}))
    return tables


def _side_by_side(found: Mapping[str, object]) -> dict[str, str]:
    """Columns of a file or struct with several lists of one length."""
    lists = {name: kind for name, value in found.items() if (kind := _list_type(value))}
    lengths = {_length(found[name]) for name in lists}
    return lists if len(lists) > 1 and len(lengths) == 1 else {}


def _list_type(value: object) -> str:
    """The SQL type of a list's items; empty for what is no list, or one of structs."""
    if not isinstance(value, np.ndarray) or _length(value) < 2:
        return ""
    columns = _columns(value)
    return columns.get("_value", "") if list(columns) == ["_value"] else ""


def _length(value: object) -> int:
    if not isinstance(value, np.ndarray):
        return 0
    return len(text_rows(value)) if value.dtype.kind in "US" else int(value.size)


def _tables_in(
    value: object, options: dict[str, object], depth: int
) -> Iterator[tuple[dict[str, object], dict[str, str]]]:
    """Options and columns of the tables in a variable, also within single structs."""
    if not isinstance(value, np.ndarray):
        return
    struct = _struct_of(value)
    if struct is None:
        columns = _columns(value)
        if columns:
            yield options, columns
        return
    if side_by_side := _side_by_side(struct):
        yield {**options, "axis": "rows"}, side_by_side
    elif depth:
        for name, item in struct.items():
            path = f"{options['field']}.{name}" if "field" in options else name
            yield from _tables_in(item, {**options, "field": path}, depth - 1)


def _columns(value: Array) -> dict[str, str]:
    if value.dtype.kind in "US":
        return {"_value": "VARCHAR"} if len(list(text_rows(value))) > 1 else {}
    if value.size < 2:
        return {}
    items = list(elements(value))
    structs = [_struct_of(item) for item in items]
    if all(struct is not None for struct in structs):
        return columns_of({k: _plain(v) for k, v in struct.items()} for struct in structs if struct)
    if value.ndim > 1 and min(value.shape) > 1 and value.dtype.kind != "O":
        return {}
    kind = sql_type([_plain(item) for item in items])
    return {"_value": kind} if kind else {}


def _struct_of(item: object) -> Mapping[str, object] | None:
    """A single struct, also one in cells of one element."""
    while isinstance(item, np.ndarray) and item.size == 1 and (item.dtype.names or item.dtype.kind == "O"):
        item = next(elements(item))
    return item if isinstance(item, dict) else None


def _plain(value: object) -> object:
    """A MATLAB value as JSON would have it; None for what has no such form."""
    if isinstance(value, np.generic):
        return value.item()
    if not isinstance(value, np.ndarray):
        return value
    if value.dtype.kind in "US":
        rows = [str(row) for row in text_rows(value)]
        return rows[0] if len(rows) == 1 else rows or None
    if value.size == 0:
        return None
    if value.dtype.kind == "O":
        items = [_plain(item) for item in elements(value)]
        return items[0] if len(items) == 1 else items
    numbers = [float(number) for number in value.ravel()]
    whole = all(number.is_integer() for number in numbers)
    shown: list[object] = [int(number) if whole else number for number in numbers]
    return shown[0] if len(shown) == 1 else shown
