"""Reader `json`: rows from a list or an object anywhere in a JSON document, streamed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

import pyarrow as pa

from vision_flan.errors import BadRawError, Location
from vision_flan.raw.folder import RawDataset
from vision_flan.readers.base import BatchReader
from vision_flan.readers.damage import reading
from vision_flan.readers.json_bulk import Entries
from vision_flan.readers.json_records import KEY, VALUE, RecordBatches, Records, RecordType, record_label
from vision_flan.readers.json_scan import JsonScanner
from vision_flan.readers.layout import Parts
from vision_flan.readers.reader import TableSpec
from vision_flan.readers.text_stream import TextStream, encoding_of
from vision_flan.readers.values import shown


class JsonReader(BatchReader):
    """JSON documents.

    Options: `at`, dotted path of the list or object with the rows (default: the document itself);
    `single`, whether the object there is one row; `encoding`.

    A list of objects gives rows of their declared keys, a list of other values rows of `_value`. Rows of an
    object also have its key, in `_key`. If declared, `_value` is the whole value, even if it is an object.
    """

    def __init__(self, table: TableSpec) -> None:
        super().__init__(table, {KEY: pa.string(), **table.columns})
        self._encoding = encoding_of(table)
        self._path = tuple(str(table.options["at"]).split(".")) if table.options.get("at") else ()
        self._single = bool(table.options.get("single", False))
        self._whole = VALUE in table.columns
        self._kind = RecordType(self._layout.columns)
        self._batches = RecordBatches(self._layout, self._kind)

    def batches(self, raw: RawDataset) -> Iterator[pa.RecordBatch]:
        yield from self._batches.batches(self._all_records(raw))

    def _all_records(self, raw: RawDataset) -> Iterator[Records]:
        for file, parts in self._layout.files(raw):
            with reading(raw, file, self._table.reader), TextStream(raw, file, self._encoding) as stream:
                yield from self._document(JsonScanner(stream), file, parts)

    def _document(self, scanner: JsonScanner, file: str, parts: Parts) -> Iterator[Records]:
        for depth in range(len(self._path)):
            self._descend(scanner, file, depth)
        if self._single:
            yield self._one_record(scanner, file, parts)
        else:
            yield from self._many_records(scanner, file, parts)
        if not self._path and scanner.peek():
            self._fail(file, "there is more after the end of the document", "is it JSON lines?")

    def _descend(self, scanner: JsonScanner, file: str, depth: int) -> None:
        """Move to the value of the path's next key."""
        wanted = self._path[depth]
        seen: list[str] = []
        if scanner.peek() == "{":
            for key in scanner.members():
                if key == wanted:
                    return
                seen.append(key)
                scanner.skip()
        above = ".".join(self._path[:depth]) or "the document"
        keys = f"its keys are {', '.join(seen[:10])}" if seen else "it has no keys"
        self._fail(file, f"no key {wanted!r} in {above}", f"{keys}; fix `at:` of table {self._table.name!r}")

    def _one_record(self, scanner: JsonScanner, file: str, parts: Parts) -> Records:
        before = scanner.offset()
        values: dict[str, Any] = {}
        if scanner.peek() == "{" and not self._whole:
            for key in scanner.members():
                if key in self._layout.columns:
                    values[key] = scanner.value()
                else:
                    scanner.skip()
        else:
            values = self._record(scanner.value(), "the document", file)
        return Records(file, parts, 0, [values], scanner.offset() - before, is_typed=False)

    def _many_records(self, scanner: JsonScanner, file: str, parts: Parts) -> Iterator[Records]:
        opening = scanner.peek()
        if opening not in ("[", "{") or not opening:
            at = ".".join(self._path) or "the document"
            self._fail(file, f"{at} is neither a list nor an object: {shown(scanner.value())}", "fix `at:`")
        first = 0
        for entries in scanner.entries(self._kind.hint):
            yield self._checked(entries, file, parts, first)
            first += len(entries.values)

    def _checked(self, entries: Entries, file: str, parts: Parts, first: int) -> Records:
        """Entries as records of their type, or else as dicts of columns."""
        keys, values, size, is_typed = entries
        if not (is_typed and self._kind.is_known):
            values, is_typed = self._kind.typed(values)
        if not is_typed:
            labels = (record_label(first + at, keys[at] if keys else None) for at in range(len(values)))
            values = [self._record(*found, file) for found in zip(values, labels, strict=True)]
        return Records(file, parts, first, values, size, is_typed, keys)

    def _record(self, value: Any, label: str, file: str) -> dict[str, Any]:
        if isinstance(value, dict):
            return {**value, VALUE: value} if self._whole else value
        if self._whole:
            return {VALUE: value}
        return self._fail(file, f"{label} is not an object: {shown(value)}", "declare `_value` in `columns:`")

    def _fail(self, file: str, what: str, hint: str) -> NoReturn:
        raise BadRawError(what, where=Location(file), hint=hint)
