"""Reader `json`: rows from a list or an object anywhere in a JSON document, streamed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

import pyarrow as pa

from vision_flan.errors import BadRawError, Location
from vision_flan.raw.folder import RawDataset
from vision_flan.readers.base import RowReader
from vision_flan.readers.json_scan import JsonScanner
from vision_flan.readers.layout import Parts, Row
from vision_flan.readers.reader import TableSpec
from vision_flan.readers.text_stream import TextStream, encoding_of
from vision_flan.readers.values import shown


class JsonReader(RowReader):
    """JSON documents.

    Options: `at`, dotted path of the list or object with the rows (default: the document itself);
    `single`, whether the object there is one row; `encoding`.

    A list of objects gives rows of their declared keys, a list of other values rows of `_value`. Rows of an
    object also have its key, in `_key`. If declared, `_value` is the whole value, even if it is an object.
    """

    def __init__(self, table: TableSpec) -> None:
        super().__init__(table, {"_key": pa.string(), **table.columns})
        self._encoding = encoding_of(table)
        self._path = tuple(str(table.options["at"]).split(".")) if table.options.get("at") else ()
        self._single = bool(table.options.get("single", False))
        self._whole = "_value" in table.columns

    def _rows(self, raw: RawDataset, file: str, parts: Parts) -> Iterator[Row]:
        with TextStream(raw, file, self._encoding) as stream:
            yield from self._document(JsonScanner(stream), file, parts)

    def _document(self, scanner: JsonScanner, file: str, parts: Parts) -> Iterator[Row]:
        for depth in range(len(self._path)):
            self._descend(scanner, file, depth)
        if self._single:
            yield self._one_row(scanner, file, parts)
        else:
            yield from self._many_rows(scanner, file, parts)
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

    def _one_row(self, scanner: JsonScanner, file: str, parts: Parts) -> Row:
        before = scanner.offset()
        values: dict[str, Any] = {}
        if scanner.peek() == "{" and not self._whole:
            for key in scanner.members():
                if key in self._layout.columns:
                    values[key] = scanner.value()
                else:
                    scanner.skip()
        else:
            values = self._record(scanner.value(), file, "the document")
        return Row(file, parts, 0, values, scanner.offset() - before)

    def _many_rows(self, scanner: JsonScanner, file: str, parts: Parts) -> Iterator[Row]:
        opening = scanner.peek()
        if opening not in ("[", "{") or not opening:
            at = ".".join(self._path) or "the document"
            self._fail(file, f"{at} is neither a list nor an object: {shown(scanner.value())}", "fix `at:`")
        whole = self._whole
        for index, (key, value, size) in enumerate(scanner.entries()):
            if key is not None:
                label = f"record {index} ({key!r})"
                yield Row(file, parts, index, {**self._record(value, file, label), "_key": key}, size, label)
            elif isinstance(value, dict) and not whole:
                yield Row(file, parts, index, value, size)
            else:
                yield Row(file, parts, index, self._record(value, file, f"record {index}"), size)

    def _record(self, value: Any, file: str, label: str) -> dict[str, Any]:
        if isinstance(value, dict):
            return {**value, "_value": value} if self._whole else value
        if self._whole:
            return {"_value": value}
        return self._fail(file, f"{label} is not an object: {shown(value)}", "declare `_value` in `columns:`")

    def _fail(self, file: str, what: str, hint: str) -> NoReturn:
        raise BadRawError(what, where=Location(file), hint=hint)
