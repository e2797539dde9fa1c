"""Records of JSON documents decoded to the declared types, and batches of them made column by column.

msgspec decodes the declared keys only, to objects with an attribute each, and steps over all others. So a
column is one list; a nested one is taken apart into lists of plain values. Where a batch does not go this
way, its records become dicts, and rows as those of any other format: values and errors do not depend on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain
from operator import attrgetter
from types import GenericAlias
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from vision_flan.errors import VflanError
from vision_flan.readers.layout import BATCH_BYTES, BATCH_ROWS, Layout, Parts, Row
from vision_flan.readers.values import column, settled

#: Columns with an entry's key, and with the whole value.
KEY, VALUE = "_key", "_value"
#: What a plain value may be in JSON; whether it fits its column is decided as for all formats.
_PLAIN = str | int | float | bool | None
_OF_PLAIN = (pa.types.is_string, pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)


class Records(NamedTuple):
    """Consecutive records of one file.

    Attributes:
        first: position of the first one in the file.
        values: records as their `RecordType` decodes them, or dicts of columns.
        size: characters of each, on average.
        is_typed: whether the `RecordType` decoded them.
        keys: their keys in an object; None in a list.
    """

    file: str
    parts: Parts
    first: int
    values: Sequence[Any]
    size: int
    is_typed: bool
    keys: Sequence[str] | None = None

    def split(self, at: int) -> tuple[Records, Records]:
        """The first `at` records, and the others."""
        head, rest = (self.keys[:at], self.keys[at:]) if self.keys is not None else (None, None)
        return (
            self._replace(values=self.values[:at], keys=head),
            self._replace(first=self.first + at, values=self.values[at:], keys=rest),
        )


class RecordType:
    """The type that records of a table are decoded to.

    Args:
        columns: the columns of a record. If `_value` is one, the record is that value.

    Attributes:
        hint: the type, as msgspec takes it; `Any` if these columns have none.
    """

    def __init__(self, columns: Mapping[str, pa.DataType]) -> None:
        self._is_whole = VALUE in columns
        self._getters = {name: attrgetter(_attribute(at)) for at, name in enumerate(columns)}
        self.hint = _hint_of_record(columns)

    @property
    def is_known(self) -> bool:
        """Whether these columns have a type."""
        return self.hint is not Any

    def typed(self, values: Sequence[object]) -> tuple[Sequence[object], bool]:
        """Values of `json.loads` as records; the same values and False if one has another type."""
        if not self.is_known:
            return values, False
        try:
            return [msgspec.convert(value, self.hint) for value in values], True
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return values, False

    def column(self, values: Sequence[object], name: str) -> list[Any]:
        """One column of typed records."""
        if self._is_whole:
            return list(values) if name == VALUE else [None] * len(values)
        return list(map(self._getters[name], values))

    def as_dict(self, value: object) -> dict[str, Any]:
        """A typed record as a dict of columns."""
        plain = msgspec.to_builtins(value)
        return {VALUE: plain} if self._is_whole else plain


def _attribute(at: int) -> str:
    return f"a{at}"


def _struct(columns: Iterable[tuple[str, pa.DataType]]) -> Any:
    names = {_attribute(at): name for at, (name, _) in enumerate(columns)}
    fields = [(_attribute(at), _hint(kind), None) for at, (_, kind) in enumerate(columns)]
    return msgspec.defstruct("Record", fields, rename=names, gc=False)


def _hint(kind: pa.DataType) -> Any:
    if pa.types.is_struct(kind):
        return _struct([(field.name, field.type) for field in kind]) | None
    if pa.types.is_list(kind):
        return GenericAlias(list, (_hint(kind.value_type),)) | None
    return _PLAIN if any(is_kind(kind) for is_kind in _OF_PLAIN) else Any


def _hint_of_record(columns: Mapping[str, pa.DataType]) -> Any:
    if pa.types.is_nested(columns.get(KEY, pa.string())):
        return Any  # the keys of an object are text
    kind = columns.get(VALUE)
    if kind is not None and (set(columns) - {KEY, VALUE} or pa.types.is_struct(kind)):
        return Any  # an object's own keys may be columns too
    try:
        return _struct(columns.items()) if kind is None else _hint(kind)
    except ValueError:  # a name that msgspec does not look for
        return Any


class RecordBatches:
    """Batches of records, of bounded size; they may span files.

    Args:
        layout: all columns of the table.
        kind: the type of its records.
    """

    def __init__(self, layout: Layout, kind: RecordType) -> None:
        self._layout = layout
        self._kind = kind

    def batches(self, found: Iterable[Records]) -> Iterator[pa.RecordBatch]:
        """Keys missing from a record are NULL.

        Raises:
            BadRawError: a value does not fit its column; names file, record, column and value.
        """
        held: list[Records] = []
        rows = size = 0
        for records in found:
            rest = records
            while rest.values:
                room = min(BATCH_ROWS - rows, -(-(BATCH_BYTES - size) // max(1, rest.size)))
                head, rest = rest.split(room)
                held.append(head)
                rows += len(head.values)
                size += len(head.values) * head.size
                if rows >= BATCH_ROWS or size >= BATCH_BYTES:
                    yield self._batch(held)
                    held, rows, size = [], 0, 0
        if held:
            yield self._batch(held)

    def _batch(self, held: list[Records]) -> pa.RecordBatch:
        if all(records.is_typed for records in held):
            try:
                return self._by_column(held)
            except _UnfitError:
                pass  # the rows tell which value it is
        return self._layout.of_rows([row for records in held for row in self._rows(records)])

    def _rows(self, records: Records) -> Iterator[Row]:
        """The same records as rows."""
        file, parts, first, values, size, is_typed, keys = records
        for at, value in enumerate(values):
            columns = self._kind.as_dict(value) if is_typed else value
            if keys is None:
                yield Row(file, parts, first + at, columns, size)
            else:
                label = record_label(first + at, keys[at])
                yield Row(file, parts, first + at, {**columns, KEY: keys[at]}, size, label)

    def _by_column(self, held: list[Records]) -> pa.RecordBatch:
        counts = [len(records.values) for records in held]
        numbers = np.repeat(np.arange(len(held), dtype=np.int64), counts)
        # not `pa.array`, which loads numpy.ma to learn whether an array has a mask
        owners = pa.Array.from_buffers(pa.int64(), len(numbers), [None, pa.py_buffer(numbers)])
        values = list(chain.from_iterable(records.values for records in held))

        def of_files(texts: Iterable[str]) -> pa.Array:
            return pa.array(list(texts), pa.string()).take(owners)

        arrays = [of_files(records.parts[name] for records in held) for name in self._layout.pattern.names]
        for name, kind in self._layout.columns.items():
            of_column = self._keys(held) if name == KEY else self._kind.column(values, name)
            arrays.append(settled(_array(of_column, kind)))
        arrays.append(of_files(records.file for records in held))
        places = chain.from_iterable(range(r.first, r.first + n) for r, n in zip(held, counts, strict=True))
        arrays.append(pa.array(list(places), pa.int64()))
        return pa.record_batch(arrays, schema=self._layout.schema)

    def _keys(self, held: list[Records]) -> list[Any]:
        return list(
            chain.from_iterable(
                self._kind.column(records.values, KEY) if records.keys is None else records.keys
                for records in held
            )
        )


def record_label(position: int, key: str | None) -> str:
    """How errors name a record: by its position, and by its key in an object."""
    return f"record {position}" if key is None else f"record {position} ({key!r})"


class _UnfitError(VflanError):
    """A value does not fit its column."""


def _unfit(row: int, what: str) -> VflanError:
    return _UnfitError(what)


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Values of typed records as an array.

    Raises:
        _UnfitError: one of them does not fit its column.
    """
    if pa.types.is_struct(kind):
        missing = [value is None for value in values]
        fields = list(kind)
        get = [attrgetter(_attribute(at)) for at in range(len(fields))]
        if not any(missing):
            parts = [_array(list(map(get[at], values)), field.type) for at, field in enumerate(fields)]
            return pa.StructArray.from_arrays(parts, fields=fields)
        parts = [
            _array([None if value is None else get[at](value) for value in values], field.type)
            for at, field in enumerate(fields)
        ]
        return pa.StructArray.from_arrays(parts, fields=fields, mask=pa.array(missing))
    if pa.types.is_list(kind):
        ends = list(accumulate((len(value or ()) for value in values), initial=0))
        starts = [None if value is None else start for value, start in zip(values, ends, strict=False)]
        inside = list(chain.from_iterable(value for value in values if value))
        offsets = pa.array([*starts, ends[-1]], pa.int32())
        return pa.ListArray.from_arrays(offsets, _array(inside, kind.value_type), type=kind)
    return column(values, "", kind, _unfit)
