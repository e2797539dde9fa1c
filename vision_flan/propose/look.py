"""Looks at a raw folder: which tables its files make, and which files make none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from vision_flan.errors import Location, SpecError, VflanError
from vision_flan.propose.binary_files import idx_tables, is_idx, names_of, parquet_tables, xml_tables
from vision_flan.propose.json_files import json_tables
from vision_flan.propose.matlab_files import matlab_tables
from vision_flan.propose.paths import Group, escaped, file_groups, image_groups, store_groups
from vision_flan.propose.stores import is_pickle, lmdb_tables, npz_tables, pickle_tables
from vision_flan.propose.survey import Survey, suffix
from vision_flan.propose.table import Table
from vision_flan.propose.text_files import delimited_tables, list_tables
from vision_flan.raw.patterns import Pattern
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
    ".pkl": pickle_tables,
    ".pickle": pickle_tables,
    ".npz": npz_tables,
    "pickle": pickle_tables,
    "lmdb": lmdb_tables,
    "idx": idx_tables,
}
#: Suffix of formats with a reader whose options a person has to give, and the reader.
_BY_HAND = {".bin": "binary"}
_LISTS = (".txt", ".lst", ".list")
_KNOWN = frozenset((*_BY_SUFFIX, *_BY_HAND, *_LISTS))
#: Files of splits that are looked at each, to see whether their columns differ, and their bytes.
_SPLITS, _MOST_BYTES = 6, 256 << 20
#: Readers whose records may lack a declared column.
_LACKING = frozenset(("json", "json_lines", "matlab"))
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
    for format_, paths in sorted(_by_format(survey).items()):
        for group in store_groups(paths) if format_ == "lmdb" else file_groups(paths):
            for found, why, one in _of_group(survey, format_, group):
                tables += found
                if not found:
                    unmatched |= dict.fromkeys(one.paths, why)
    tables += [_images_table(group) for group in image_groups(survey.images)]
    names_of(tables)
    read = [table for table in tables if _read(table, survey, unmatched)]
    if not read:
        why_not = "".join(f"\n  {path}: {why}" for path, why in list(unmatched.items())[:10])
        raise SpecError(f"no file here makes a table{why_not}", where=Location(survey.raw.root))
    return Looked(survey, tuple(read), unmatched)


def _by_format(survey: Survey) -> dict[str, list[str]]:
    """Files that are no images by what reads them: a suffix, or "idx", "lmdb", "pickle"."""
    found: dict[str, list[str]] = {}
    for path in survey.others:
        name, format_ = path.rpartition("/")[2], suffix(path)
        if is_idx(name):
            format_ = "idx"
        elif name == "data.mdb":
            format_ = "lmdb"
        elif format_ not in _KNOWN and is_pickle(survey, path):
            format_ = "pickle"
        found.setdefault(format_, []).append(path)
    return found


def _of_group(survey: Survey, format_: str, group: Group) -> Iterator[tuple[list[Table], str, Group]]:
    """The tables of a group of files; of each file apart where the columns of its splits differ."""
    found, why = _looked_at(survey, format_, group)
    size = sum(survey.raw.stat(path).bytes for path in group.paths[: _SPLITS + 1])
    if "{split}" not in group.pattern or not 1 < len(group.paths) <= _SPLITS or size > _MOST_BYTES:
        yield found, why, group
        return
    alone = [Group(escaped(path), (path,)) for path in group.paths]
    parts = [(*_looked_at(survey, format_, one), one) for one in alone]
    if _matches_others(survey, group):
        yield from parts
    elif all(_columns_of(tables) == _columns_of(found) for tables, _, _ in parts):
        yield found, why, group
    elif all(tables and tables[0].reader in _LACKING for tables, _, _ in parts):
        yield _united([tables for tables, _, _ in parts], group), why, group
    else:
        yield from parts


def _matches_others(survey: Survey, group: Group) -> bool:
    """Whether a pattern matches more files than it is for, as `{split}` alone does."""
    pattern, own = Pattern(group.pattern), set(group.paths)
    return any(path not in own and pattern.match(path) for path in survey.others)


def _columns_of(tables: Sequence[Table]) -> list[tuple[str, dict[str, object], set[str]]]:
    return [(table.reader, table.options, set(table.declared)) for table in tables]


def _united(parts: Sequence[Sequence[Table]], group: Group) -> list[Table]:
    """Tables with the columns of all splits: what a record of these formats lacks is null."""
    made: dict[str, Table] = {}
    for table in (table for tables in parts for table in tables):
        key = str(sorted(table.options.items(), key=str))
        one = made.setdefault(key, replace(table, file=group.pattern, paths=group.paths))
        for name, kind in table.declared.items():
            known = one.declared.setdefault(name, kind)
            if {known, kind} == {"BIGINT", "DOUBLE"}:
                one.declared[name] = "DOUBLE"
    return list(made.values())


def _looked_at(survey: Survey, format_: str, group: Group) -> tuple[list[Table], str]:
    try:
        with reading(survey.raw, group.paths[0], format_):
            return _tables(survey, format_, group)
    except VflanError as error:
        return [], error.what


def _images_table(group: Group) -> Table:
    options: dict[str, object] = {"suffixes": list(group.suffixes)} if group.suffixes else {}
    return Table("images", "files", group.pattern, group.paths, {}, options)


def _tables(survey: Survey, format_: str, group: Group) -> tuple[list[Table], str]:
    """The tables of a group of files, or why there are none."""
    name = group.paths[0].rpartition("/")[2].lower()
    if name.startswith(_FOR_PEOPLE):
        return [], "text for people"
    if name == "lock.mdb":
        return [], "the lock of an LMDB environment"
    if format_ in _BY_HAND:
        return [], f"the reader `{_BY_HAND[format_]}` needs the form of its records: see docs/spec.md"
    if format_ == ".arrow":
        return [], "Arrow files of save_to_disk; write them as Parquet: Dataset.to_parquet"
    if format_ in _LISTS:
        found = list_tables(survey, group) if _is_list(survey, group) else delimited_tables(survey, group)
        return found, "neither a list of paths nor delimited text"
    if format_ in (".csv", ".tsv"):
        return delimited_tables(survey, group), "its lines have one column: no records"
    if format_ in _BY_SUFFIX:
        return _BY_SUFFIX[format_](survey, group), "no records were found in it"
    return [], f"no reader for {survey.kind(group.paths[0])}"


def _is_list(survey: Survey, group: Group) -> bool:
    """Whether the first line has no delimiter but spaces."""
    first = survey.head(group.paths[0]).split(b"\n", 1)[0]
    return not any(mark in first for mark in (b",", b"\t", b";", b"|"))


def _read(table: Table, survey: Survey, unmatched: dict[str, str]) -> bool:
    """Read a table; one whose files cannot be read is left out, with the reason."""
    for _ in range(len(table.declared) + 1):
        try:
            table.read(survey.raw)
            break
        except VflanError as error:
            why = error.what
            if not _without_misfit(table, why):
                unmatched |= dict.fromkeys(table.paths, why)
                return False
    if not table.count:
        unmatched |= dict.fromkeys(table.paths, "it has no records")
    return bool(table.count)


def _without_misfit(table: Table, why: str) -> bool:
    """Whether a column whose type does not hold a later record's value could be widened, or left out."""
    misfit = next((name for name in table.declared if f"column {name!r}" in why), "")
    if not misfit or len(table.declared) < 2:
        return False
    kind = table.declared[misfit]
    if "BIGINT" in kind:
        table.declared[misfit] = kind.replace("BIGINT", "DOUBLE")
    else:
        del table.declared[misfit]
    table.forget()
    return True
