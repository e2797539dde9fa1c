"""Tables in CSV, TSV and text lists: encoding, delimiter, header and types are those of the file."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from itertools import islice

from vision_flan.propose.json_files import encoding_of
from vision_flan.propose.paths import Group
from vision_flan.propose.survey import Survey, suffix
from vision_flan.propose.table import Table
from vision_flan.propose.types import type_of_texts
from vision_flan.raw.names import IMAGE_SUFFIXES
from vision_flan.readers.text_stream import TextStream

#: Lines from which the format is told, and records from which the types are.
_LINES, _RECORDS = 200, 5_000
#: Files of a group that are looked at where one may be empty.
_FILES = 20
#: Records from which a form is told.
_FORMS = 3
_DIGIT = re.compile(r"\d")
_DELIMITERS = (",", "\t", ";", "|")


def delimited_tables(survey: Survey, group: Group) -> list[Table]:
    """The table of delimited files; none if the lines have one column."""
    path = group.paths[0]
    encoding = encoding_of(survey, path)
    lines = _first_lines(survey, path, encoding, _LINES)
    delimiter = _delimiter(lines)
    if not delimiter:
        return []
    records = _records(_first_lines(survey, path, encoding, _RECORDS), delimiter)
    width = max((len(record) for record in records), default=0)
    if width < 2:
        return []
    header = _has_header(records)
    names = records[0] if header else [_field(at, records) for at in range(width)]
    rows = [record for record in (records[1:] if header else records) if len(record) == len(names)]
    columns = {
        name: type_of_texts(row[at] for row in rows)
        for at, name in enumerate(names)
        if name.strip() and names.count(name) == 1
    }
    options: dict[str, object] = {}
    if delimiter != ("\t" if suffix(path) == ".tsv" else ","):
        options["delimiter"] = delimiter
    if not header:
        options |= {"header": False, "names_in_file": list(names)}
    if encoding != "utf-8":
        options["encoding"] = encoding
    if any("\n" in cell for row in rows for cell in row):
        options["allow_newlines"] = True
    return [Table(group.name, "delimited", group.pattern, group.paths, columns, options)] if columns else []


def list_tables(survey: Survey, group: Group) -> list[Table]:
    """The table of a text list: a path a line, alone or with what is said of it after a space."""
    path = group.paths[0]
    encoding = encoding_of(survey, path)
    lines = [line.strip() for line in _first_lines(survey, path, encoding, _RECORDS) if line.strip()]
    options: dict[str, object] = {} if encoding == "utf-8" else {"encoding": encoding}
    if len(group.paths) > 1 and all(map(_is_box, _lines_of_some(survey, group, encoding))):
        options = {"line": "{label:d} {box}", "skip_blank": True, **options}
        return [Table("boxes", "lines", group.pattern, group.paths, {}, options)]
    if not lines:
        return []
    words = [line.split() for line in lines]
    if with_header := _spaced(words):
        return [Table(group.name, "lines", group.pattern, group.paths, {}, {**with_header, **options})]
    if all(len(parts) == 2 for parts in words):
        is_number = all(parts[1].lstrip("-").isdecimal() for parts in words)
        options = {"line": "{path} {label:d}" if is_number else "{path} {label}", **options}
    elif any(len(parts) > 1 for parts in words):
        # prose: of an image each where there are many
        found = Table("texts", "text", group.pattern, group.paths, {}, options)
        return [found] if "{name}" in group.pattern else []
    return [Table(group.name, "lines", group.pattern, group.paths, {}, options)]


def _spaced(words: Sequence[Sequence[str]]) -> dict[str, object]:
    """Options for columns between spaces with their names in front, as CelebA's: after the number of records,
    and without a name for the path; empty for other lists."""
    start = 1 if len(words[0]) == 1 and words[0][0].isdecimal() else 0
    if len(words) < start + _FORMS:
        return {}
    header, records = list(words[start]), words[start + 1 :]
    width = len(records[0])
    if len(header) == width - 1:
        header.insert(0, "path")
    is_table = len(header) == width > 2 and all(len(record) == width for record in records)
    if not is_table or any(type_of_texts([cell]) != "VARCHAR" for cell in header):
        return {}
    kinds = [type_of_texts(record[at] for record in records) for at in range(width)]
    names = [re.sub(r"\W+|^(?=\d)", "_", name) for name in header]
    if len(set(names)) < width or kinds[0] != "VARCHAR":
        return {}
    fields = [
        f"{{{name}:d}}" if kind == "BIGINT" else f"{{{name}}}"
        for name, kind in zip(names, kinds, strict=True)
    ]
    return {"line": " ".join(fields), "skip_rows": start + 1}


def _is_box(line: str) -> bool:
    """Whether a line is one of YOLO's: a class by number, and the numbers of a box or outline."""
    words = line.split()
    return (
        len(words) > 4 and words[0].isdecimal() and all(type_of_texts([word]) != "VARCHAR" for word in words)
    )


def _lines_of_some(survey: Survey, group: Group, encoding: str) -> list[str]:
    found = [line for path in group.paths[:_FILES] for line in _first_lines(survey, path, encoding, _LINES)]
    return [line for line in found if line.strip()] or ["no box"]


def _first_lines(survey: Survey, path: str, encoding: str, count: int) -> list[str]:
    python = {"utf-8": "utf-8-sig", "latin-1": "iso8859-1"}.get(encoding, encoding)
    with TextStream(survey.raw, path, python, 1 << 16) as stream:
        return list(islice(stream.lines(), count))


def _delimiter(lines: Sequence[str]) -> str:
    """The delimiter that gives most lines the same number of columns, at least two; empty for none."""
    best, score = "", 0.5
    for delimiter in _DELIMITERS:
        widths = [len(record) for record in _records(lines, delimiter)]
        if not widths:
            continue
        usual = max(set(widths), key=widths.count)
        share = widths.count(usual) / len(widths)
        if usual > 1 and share > score + 0.01:
            best, score = delimiter, share
    return best


def _records(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    try:
        found = csv.reader((line + "\n" for line in lines), delimiter=delimiter)
        return [record for record in found if record]
    except csv.Error:
        return []


def _has_header(records: Sequence[Sequence[str]]) -> bool:
    """Whether the first record names columns: no number, no path of an image, nothing twice."""
    first = [cell.strip() for cell in records[0]]
    named = all(first) and len(set(first)) == len(first) and type_of_texts(first) == "VARCHAR"
    any_number = any(type_of_texts([cell]) != "VARCHAR" for cell in first if cell)
    is_record = any(cell.lower().endswith(IMAGE_SUFFIXES) for cell in first) or _like_the_others(records)
    return named and not any_number and not is_record


def _like_the_others(records: Sequence[Sequence[str]]) -> bool:
    """Whether a cell of the first record has the form of all below it, as the ids of a list have."""
    if len(records) < _FORMS:
        return False
    for at, cell in enumerate(records[0]):
        forms = {_DIGIT.sub("9", record[at]) for record in records[1:] if len(record) > at}
        if forms == {_DIGIT.sub("9", cell)} and "9" in _DIGIT.sub("9", cell):
            return True
    return False


def _field(at: int, records: Sequence[Sequence[str]]) -> str:
    """A name for a column without one."""
    cells = [record[at] for record in records if len(record) > at]
    if cells and all(cell.lower().endswith(IMAGE_SUFFIXES) for cell in cells):
        return "path" if at == 0 else f"path{at + 1}"
    return f"column{at + 1}"
