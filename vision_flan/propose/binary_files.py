"""Tables in XML, Parquet and idx files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from xml.etree.ElementTree import Element

import pyarrow as pa
import pyarrow.parquet as pq

from vision_flan.errors import BadRawError
from vision_flan.propose.paths import Group
from vision_flan.propose.survey import Survey
from vision_flan.propose.table import Table
from vision_flan.propose.types import PLAIN_NAME, type_of_texts
from vision_flan.readers.text_stream import open_unpacked
from vision_flan.readers.whole import read_whole
from vision_flan.readers.xml_table import parse_xml
from vision_flan.spec.names import slug_of

#: Documents that are looked at for their elements, and elements that are always a list: VOC's objects.
_DOCUMENTS, _LISTS = 50, frozenset({"object"})


# --- XML


def xml_tables(survey: Survey, group: Group) -> list[Table]:
    """A row a document; a row an element where one document repeats one.

    Raises:
        BadRawError: the file is not XML.
    """
    roots = [parse_xml(read_whole(survey.raw, path), path) for path in group.paths[:_DOCUMENTS]]
    if len(group.paths) == 1:
        tags = [child.tag for child in roots[0]]
        often = max(set(tags), key=tags.count, default="")
        if often and tags.count(often) > 2 and often not in _LISTS:
            rows = [child for child in roots[0] if child.tag == often]
            options: dict[str, object] = {"rows": often}
            return [Table(slug_of(often), "xml", group.pattern, group.paths, _children(rows), options)]
    name = "annotations" if len(group.paths) > 1 else group.name
    return [Table(name, "xml", group.pattern, group.paths, _children(roots), {})]


def _children(found: Sequence[Element]) -> dict[str, str]:
    """The children and attributes of elements, each with its SQL type."""
    kinds: dict[str, str] = {}
    for tag in dict.fromkeys(child.tag for element in found for child in element):
        if not PLAIN_NAME.match(tag):
            continue
        same = [[child for child in element if child.tag == tag] for element in found]
        kind = _kind([child for children in same for child in children])
        repeated = tag in _LISTS or any(len(children) > 1 for children in same)
        if kind:
            kinds[tag] = f"{kind}[]" if repeated else kind
    for name in dict.fromkeys(name for element in found for name in element.attrib):
        if PLAIN_NAME.match(name) and name not in kinds:
            kinds[name] = type_of_texts(element.get(name, "") for element in found)
    return kinds


def _kind(found: Sequence[Element]) -> str:
    if any(len(element) for element in found):
        fields = _children(found)
        return (
            "STRUCT(" + ", ".join(f"{name} {kind}" for name, kind in fields.items()) + ")" if fields else ""
        )
    return type_of_texts(element.text or "" for element in found)


# --- Parquet


def parquet_tables(survey: Survey, group: Group) -> list[Table]:
    """The table of Parquet files, also those that `datasets` writes, with its class names.

    Raises:
        BadRawError: the file is damaged.
    """
    path = group.paths[0]
    try:
        with survey.raw.open(path) as file:
            schema = pq.ParquetFile(file).schema_arrow
    except (pa.ArrowException, OSError) as error:
        raise BadRawError(f"not a valid Parquet file: {error}") from error
    images = [field.name for field in schema if _is_image(field.type)]
    columns = {field.name: kind for field in schema if (kind := _parquet_type(field.type))}
    options: dict[str, object] = {"image_column": images[0]} if images else {}
    if images:
        columns.pop("image", None)
    table = Table(group.name, "parquet", group.pattern, group.paths, columns, options)
    table.labels = _class_names(schema.metadata or {})
    return [table] if columns or images else []


def _is_image(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and pa.types.is_binary(field.type) for field in kind)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _parquet_type(kind: pa.DataType) -> str:
    """The SQL type of a column; empty for what specs do not read, such as images."""
    types = pa.types
    if types.is_boolean(kind):
        return "BOOLEAN"
    if types.is_integer(kind):
        return "BIGINT"
    if types.is_floating(kind):
        return "DOUBLE"
    if types.is_string(kind) or types.is_large_string(kind):
        return "VARCHAR"
    if types.is_dictionary(kind):
        return _parquet_type(kind.value_type)
    if types.is_list(kind) or types.is_large_list(kind):
        inner = _parquet_type(kind.value_type)
        return f"{inner}[]" if inner else ""
    if types.is_struct(kind):
        fields = {field.name: _parquet_type(field.type) for field in kind if PLAIN_NAME.match(field.name)}
        known = [f'"{name}" {inner}' for name, inner in fields.items() if inner]
        return f"STRUCT({', '.join(known)})" if known and len(known) == len(list(kind)) else ""
    return ""


def _class_names(metadata: Mapping[bytes, bytes]) -> dict[str, list[str]]:
    """Names of classes by column, from what `datasets` stores beside the schema."""
    try:
        facts = json.loads(metadata.get(b"huggingface", b"{}"))
        features = facts["info"]["features"].items()
        return {name: list(map(str, kind["names"])) for name, kind in features if _has_names(kind)}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _has_names(kind: object) -> bool:
    return isinstance(kind, dict) and isinstance(kind.get("names"), list)


# --- idx


def idx_tables(survey: Survey, group: Group) -> list[Table]:
    """The table of an array: images if it has three dimensions, numbers if it has one."""
    with open_unpacked(survey.raw, group.paths[0]) as file:
        head = file.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[3] not in (1, 3, 4):
        return []
    numbers = {"_value": "BIGINT"} if head[3] == 1 else {}
    return [Table("labels" if numbers else "images", "idx", group.pattern, group.paths, numbers)]


def is_idx(name: str) -> bool:
    """Whether a file is named as MNIST's are."""
    return "ubyte" in name.lower() or name.lower().endswith((".idx", ".idx.gz"))


def names_of(tables: Iterable[Table]) -> list[str]:
    """Distinct names for tables, by number where they repeat; they are set."""
    taken: list[str] = []
    for table in tables:
        name, number = table.name, 2
        while name in taken:
            name, number = f"{table.name}_{number}", number + 1
        table.name = name
        taken.append(name)
    return taken
