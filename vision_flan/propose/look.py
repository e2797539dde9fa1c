"""Looks at a raw folder: which tables its files make, and which files make none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from vision_flan.errors import Location, SpecError, VflanError
from vision_flan.propose.binary_files import (
    idx_tables,
    is_idx,
    matlab_tables,
    names_of,
    parquet_tables,
    xml_tables,
)
from vision_flan.propose.json_files import json_tables
from vision_flan.propose.paths import Group, file_groups, image_groups
from vision_flan.propose.survey import Survey, suffix
from vision_flan.propose.table import Table
from vision_flan.propose.text_files import delimited_tables, list_tables
from vision_flan.readers.damage import reading

Look = Callable[[Survey, Group], list[Table]]

#: Suffix -> what looks at such files.
_BY_SUFFIX: Mapping[str, Look] = {
    ".json": json_tables,
    ".jsonl": json_tables,
    ".ndjson": json_tables,
    ".jsonlines": json_tables,
    ".csv": delimited_tables,
    ".tsv": delimited_tables,
    ".xml": xml_tables,
    ".mat": matlab_tables,
    ".parquet": parquet_tables,
}
#: Suffix of formats with a reader whose options a person has to give, and the reader.
_BY_HAND = {".pkl": "pickle", ".pickle": "pickle", ".npz": "npz", ".mdb": "lmdb", ".bin": "binary"}
_LISTS = (".txt", ".lst", ".list")
#: Names of files for people.
_FOR_PEOPLE = ("readme", "license", "licence", "copying", "changelog", "citation", "notice")


@dataclass(frozen=True)
class Looked:
    """What a raw folder holds.

    Attributes:
        tables: those that can be declared, read.
        unmatched: files that no table matches, with the reason.
    """

    survey: Survey
    tables: tuple[Table, ...]
    unmatched: Mapping[str, str]


def look(survey: Survey) -> Looked:
    """Propose a table for all files that a reader reads.

    Raises:
        SpecError: no file makes a table.
    """
    unmatched = dict(survey.unread)
    tables: list[Table] = []
    by_format: dict[str, list[str]] = {}
    for path in survey.others:
        by_format.setdefault("idx" if is_idx(path.rpartition("/")[2]) else suffix(path), []).append(path)
    for format_, paths in sorted(by_format.items()):
        for group in file_groups(paths):
            try:
                with reading(survey.raw, group.paths[0], format_):
                    found, why = _tables(survey, format_, group)
            except VflanError as error:
                found, why = [], error.what
            tables += found
            if not found:
                unmatched |= dict.fromkeys(group.paths, why)
    tables += [_images_table(group) for group in image_groups(survey.images)]
    names_of(tables)
    read = [table for table in tables if _read(table, survey, unmatched)]
    if not read:
        why_not = "".join(f"\n  {path}: {why}" for path, why in list(unmatched.items())[:10])
        raise SpecError(f"no file here makes a table{why_not}", where=Location(survey.raw.root))
    return Looked(survey, tuple(read), unmatched)


def _images_table(group: Group) -> Table:
    options: dict[str, object] = {"suffixes": list(group.suffixes)} if group.suffixes else {}
    return Table("images", "files", group.pattern, group.paths, {}, options)


def _tables(survey: Survey, format_: str, group: Group) -> tuple[list[Table], str]:
    """The tables of a group of files, or why there are none."""
    name = group.paths[0].rpartition("/")[2].lower()
    if name.startswith(_FOR_PEOPLE):
        return [], "text for people"
    if format_ == "idx":
        return idx_tables(survey, group), "not an idx array of numbers or images"
    if format_ in _BY_HAND:
        return [], f"the reader `{_BY_HAND[format_]}` needs options: see docs/spec.md"
    if format_ == ".arrow":
        return [], "Arrow files of save_to_disk; write them as Parquet: Dataset.to_parquet"
    if format_ in _LISTS:
        found = list_tables(survey, group) if _is_list(survey, group) else delimited_tables(survey, group)
        return found, "neither a list of paths nor delimited text"
    if format_ in _BY_SUFFIX:
        return _BY_SUFFIX[format_](survey, group), "no records were found in it"
    return [], f"no reader for {survey.kind(group.paths[0])}"


def _is_list(survey: Survey, group: Group) -> bool:
    """Whether the first line has no delimiter but spaces."""
    first = survey.head(group.paths[0]).split(b"\n", 1)[0]
    return not any(mark in first for mark in (b",", b"\t", b";", b"|"))


def _read(table: Table, survey: Survey, unmatched: dict[str, str]) -> bool:
    """Read a table; one whose files cannot be read is left out, with the reason."""
    try:
        table.read(survey.raw)
    except VflanError as error:
        unmatched |= dict.fromkeys(table.paths, error.what)
        return False
    if not table.count:
        unmatched |= dict.fromkeys(table.paths, "it has no records")
    return bool(table.count)


def matched(tables: Sequence[Table]) -> set[str]:
    """The files of tables."""
    return {path for table in tables for path in table.paths}
