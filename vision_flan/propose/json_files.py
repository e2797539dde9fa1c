"""Tables in JSON and JSON lines: every list of records, and objects whose keys are ids."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from vision_flan.errors import BadRawError
from vision_flan.propose.paths import Group
from vision_flan.propose.survey import Survey, suffix
from vision_flan.propose.table import Table
from vision_flan.propose.types import columns_of, sql_type
from vision_flan.readers.json_scan import JsonScanner
from vision_flan.readers.text_stream import TextStream
from vision_flan.spec.names import slug_of

#: Records of a list that are looked at for their keys; the others are only counted.
_LOOKED_AT = 500
#: Keys of an object above which its values are records and its keys their ids.
_MANY_KEYS = 8
_LINES = (".jsonl", ".ndjson", ".jsonlines")


@dataclass(frozen=True)
class _Found:
    """Records somewhere in a document: the path of keys to them, and the first ones."""

    path: tuple[str, ...]
    records: Sequence[object]


def json_tables(survey: Survey, group: Group) -> list[Table]:
    """The tables of JSON files that one pattern matches; those of the first file stand for all.

    Raises:
        BadRawError: the file is not JSON.
    """
    encoding = encoding_of(survey, group.paths[0])
    options: dict[str, object] = {} if encoding == "utf-8" else {"encoding": encoding}
    if suffix(group.paths[0]) in _LINES or _is_lines(survey, group.paths[0], encoding):
        records = list(_lines(survey, group.paths[0], encoding))
        columns = columns_of(record for record in records if isinstance(record, dict))
        return [Table(_name(group, ()), "json_lines", group.pattern, group.paths, columns, options)]
    with TextStream(survey.raw, group.paths[0], _python(encoding)) as stream:
        found = list(_outline(JsonScanner(stream), ()))
    return [_table(group, one, options) for one in found]


def encoding_of(survey: Survey, path: str) -> str:
    """The encoding of a text file as specs name it: utf-8, utf-16, latin-1 or cp1252."""
    head = survey.head(path)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        with TextStream(survey.raw, path, "utf-8-sig") as stream:
            while stream.read():
                pass
    except BadRawError:
        return _eight_bit(survey, path)
    return "utf-8"


def _eight_bit(survey: Survey, path: str) -> str:
    for encoding in ("latin-1", "cp1252"):
        try:
            with TextStream(survey.raw, path, _python(encoding)) as stream:
                while stream.read():
                    pass
        except BadRawError:
            continue
        return encoding
    return "utf-8"  # the reader says what is wrong with it


def _python(encoding: str) -> str:
    return {"utf-8": "utf-8-sig", "latin-1": "iso8859-1"}.get(encoding, encoding)


def _is_lines(survey: Survey, path: str, encoding: str) -> bool:
    """Whether a file is JSON lines whatever its suffix: its first two lines are objects."""
    with TextStream(survey.raw, path, _python(encoding), 1 << 16) as stream:
        first = list(islice(stream.lines(), 2))
    return len(first) == 2 and all(_is_object(line) for line in first)


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _lines(survey: Survey, path: str, encoding: str) -> Iterator[object]:
    with TextStream(survey.raw, path, _python(encoding)) as stream:
        lines = (line for line in stream.lines() if line.strip())
        for line in islice(lines, _LOOKED_AT):
            try:
                yield json.loads(line)
            except ValueError:
                return  # the reader says which line it is


def _outline(scanner: JsonScanner, path: tuple[str, ...]) -> Iterator[_Found]:
    """The records of a document; a list is streamed, whatever its length."""
    opening = scanner.peek()
    if opening == "[":
        yield _Found(path, list(_items(scanner)))
    elif opening == "{":
        small: dict[str, object] = {}
        for key in scanner.members():
            if scanner.peek() == "[":
                items = list(_items(scanner))
                small[key] = items
            elif len(small) < _LOOKED_AT:
                small[key] = scanner.value()
            else:
                scanner.skip()
        yield from _of_object(small, path)


def _items(scanner: JsonScanner) -> Iterator[object]:
    for position in scanner.items():
        if position < _LOOKED_AT:
            yield scanner.value()
        else:
            scanner.skip()


def _of_object(value: Mapping[str, object], path: tuple[str, ...]) -> Iterator[_Found]:
    """An object of many values of one kind is a table with a row a key; any other is looked into."""
    members = list(value.values())
    lists_of_records = [key for key, member in value.items() if _is_records(member)]
    if len(members) > _MANY_KEYS and len(lists_of_records) < len(members) and sql_type(members[:_LOOKED_AT]):
        yield _Found((*path, ""), members)
        return
    for key, member in value.items():
        if "." in key:
            continue  # `at:` separates keys by dots
        if isinstance(member, list) and member:
            yield _Found((*path, key), member[:_LOOKED_AT])
        elif isinstance(member, dict) and len(path) < 3:
            yield from _of_object(member, (*path, key))


def _is_records(member: object) -> bool:
    return isinstance(member, list) and bool(member) and isinstance(member[0], dict)


def _table(group: Group, found: _Found, options: Mapping[str, object]) -> Table:
    """`path` ends with an empty key where the object there is the table."""
    records = [record for record in found.records if isinstance(record, dict)]
    path = tuple(key for key in found.path if key)
    columns = columns_of(records)
    if len(records) < len(found.records) or not columns:
        kind = sql_type(list(found.records))
        columns = {"_value": kind or "JSON"}
    at: dict[str, object] = {"at": ".".join(path)} if path else {}
    return Table(_name(group, path), "json", group.pattern, group.paths, columns, {**at, **options})


def _name(group: Group, path: tuple[str, ...]) -> str:
    """The table's name: the last key, or that of the file."""
    return slug_of(path[-1]) if path else group.name
