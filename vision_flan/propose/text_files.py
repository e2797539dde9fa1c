"""Tables in CSV, TSV and text lists: encoding, delimiter, header and types are those of the file."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from itertools import islice

from vision_flan.propose.json_files import encoding_of
from vision_flan.propose.paths import Group
from vision_flan.propose.survey import Survey, suffix
from vision_flan.propose.table import Table
from vision_flan.propose.types import type_of_texts
from vision_flan.raw.names import IMAGE_SUFFIXES
from vision_flan.readers.text_stream import TextStream
from vision_flan.spec.names import slug_of

#: Lines from which the format is told, and records from which the types are.
_LINES, _RECORDS = 200, 5_000
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
    name = slug_of(path.rpartition("/")[2].partition(".")[0])
    return [Table(name, "delimited", group.pattern, group.paths, columns, options)] if columns else []


def list_tables(survey: Survey, group: Group) -> list[Table]:
    """The table of a text list: a path a line, alone or with what is said of it after a space."""
    path = group.paths[0]
    encoding = encoding_of(survey, path)
    lines = [line.strip() for line in _first_lines(survey, path, encoding, _RECORDS) if line.strip()]
    if not lines:
        return []
    options: dict[str, object] = {} if encoding == "utf-8" else {"encoding": encoding}
    name = slug_of(path.rpartition("/")[2].partition(".")[0])
    words = [line.split() for line in lines]
    if all(len(parts) == 2 for parts in words):
        is_number = all(parts[1].lstrip("-").isdecimal() for parts in words)
        options = {"line": "{path} {label:d}" if is_number else "{path} {label}", **options}
    elif any(len(parts) > 1 for parts in words):
        return []  # prose
    return [Table(name, "lines", group.pattern, group.paths, {}, options)]


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
    return named and not any_number and not any(cell.lower().endswith(IMAGE_SUFFIXES) for cell in first)


def _field(at: int, records: Sequence[Sequence[str]]) -> str:
    """A name for a column without one."""
    cells = [record[at] for record in records if len(record) > at]
    if cells and all(cell.lower().endswith(IMAGE_SUFFIXES) for cell in cells):
        return "path" if at == 0 else f"path{at + 1}"
    return f"column{at + 1}"
