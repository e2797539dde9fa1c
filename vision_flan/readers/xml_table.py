"""Reader `xml`: annotation files such as those of Pascal VOC."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

import pyarrow as pa

from vision_flan.errors import BadRawError, Location
from vision_flan.raw.folder import RawDataset
from vision_flan.readers.base import RowReader
from vision_flan.readers.layout import Parts, Row
from vision_flan.readers.reader import TableSpec
from vision_flan.readers.whole import read_whole


class XmlReader(RowReader):
    """XML documents, one row each.

    A declared column is the text of the child element of that name (the first, if there are several), else
    the attribute of that name. A list column has one item per child of that name, a STRUCT is filled from a
    child in the same way. `_text` is an element's own text. Spaces around text are removed.

    Options: `at`, slash-separated names of the element to read instead of the root; `rows`, the same for
    the elements below it that become rows.
    """

    def __init__(self, table: TableSpec) -> None:
        super().__init__(table)
        self._at = _steps(table.options.get("at"))
        self._rows_at = _steps(table.options.get("rows"))

    def _rows(self, raw: RawDataset, file: str, parts: Parts) -> Iterator[Row]:
        data = read_whole(raw, file)
        root = parse_xml(data, file)
        found = _descend([root], self._at)
        if not found:
            raise BadRawError(
                f"no element {'/'.join(self._at)!r} in <{root.tag}>",
                where=Location(file),
                hint=f"fix `at:` of table {self._table.name!r}",
            )
        elements = _descend(found, self._rows_at) if self._rows_at else found[:1]
        for position, element in enumerate(elements):
            values = {name: _lookup(element, name, kind) for name, kind in self._layout.columns.items()}
            yield Row(file, parts, position, values, len(data) // len(elements))


def _steps(path: Any) -> list[str]:
    return [step for step in str(path).split("/") if step] if path else []


def _descend(elements: list[Element], steps: list[str]) -> list[Element]:
    for step in steps:
        elements = [child for element in elements for child in element if child.tag == step]
    return elements


def _lookup(element: Element, name: str, kind: pa.DataType) -> Any:
    if name == "_text":
        return _scalar(element.text or "", kind)
    children = [child for child in element if child.tag == name]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [_value(child, kind.value_type) for child in children]
    if children:
        return _value(children[0], kind)
    attribute = element.get(name)
    return None if attribute is None else _scalar(attribute, kind)


def _value(element: Element, kind: pa.DataType) -> Any:
    if pa.types.is_struct(kind):
        return {field.name: _lookup(element, field.name, field.type) for field in kind}
    return _scalar(element.text or "", kind)


def _scalar(text: str, kind: pa.DataType) -> str | None:
    text = text.strip()
    return text if text or pa.types.is_string(kind) else None


def parse_xml(data: bytes, file: str) -> Element:
    """The root element. Document types are refused: they declare entities that grow without bound."""
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data

    def refuse(*_: object) -> None:
        raise BadRawError(
            "the document declares a document type or entities, which are refused",
            where=Location(file, parser.CurrentLineNumber),
            hint="remove the <!DOCTYPE ...> from the file",
        )

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise BadRawError(
            f"not valid XML: {expat.ErrorString(error.code)}",
            where=Location(file, error.lineno, error.offset + 1),
            hint="fix the file, or download it again",
        ) from None
    except (LookupError, ValueError) as error:  # an unknown encoding, or one of several bytes per character
        raise BadRawError(
            f"not valid XML: {error}", where=Location(file), hint="save the file as UTF-8"
        ) from None
    return builder.close()
