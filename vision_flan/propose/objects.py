"""Several labels of one image: objects of a document, rows with a box each, and columns of flags."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from vision_flan.propose.images import columns_of, safe_name, spelled
from vision_flan.propose.source import Source, as_field, sql_name, sql_text
from vision_flan.propose.table import Column, Table, name_field

#: Columns of a box, in lower case: a row with one of them is an object of an image.
_BOXES = frozenset((
    "xmin", "x_min", "xmax", "x1", "left", "bbox", "box", "bbox_x", "bbox_x1", "bbox_xmin", "x_center",
))  # fmt: skip
#: Columns of flags from which they are taken for labels.
_FEWEST_FLAGS = 3


def with_objects(source: Source) -> Source:
    """The source with a record for each label of an image, where its images have several; else as it is.

    VOC's documents list objects; tables of detection have a row an object; some tables have a column of 0
    and 1 for each label.
    """
    if source.turns or not source.image:
        return source
    return _of_documents(source) or _of_rows(source) or _of_flags(source) or source


def _kept(source: Source) -> list[str]:
    """The fields of an image and its split."""
    known = columns_of(source.image, source.table.columns)
    return list(dict.fromkeys([*known, *([source.split] if source.split else [])]))


def _as_fields(source: Source) -> str:
    """The same in SQL, those of an image under names that Jinja can read."""
    return ", ".join(sql_name(name) if name == source.split else as_field(name) for name in _kept(source))


def _view(source: Source, name: str, sql: str, values: Mapping[object, int]) -> Source:
    fields = [safe_name(one) for one in columns_of(source.image, source.table.columns)]
    key = " || '/' || ".join(fields)
    return replace(source, view=name, sql=sql, key=key, label="label", values=values, has_objects=True)


def _of_documents(source: Source) -> Source | None:
    table = source.table
    for name, kind in table.nested.items():
        if field := name_field(kind):
            kept = ", ".join(map(sql_name, _kept(source)))
            sql = (
                f"SELECT {_as_fields(source)}, o.{sql_name(field)} AS label\n"
                f"FROM (SELECT {kept}, unnest({sql_name(name)}) AS o FROM {sql_name(table.name)})\n"
            )
            return _view(source, "objects", sql, dict(table.inside[name].most_common()))
    return None


def _of_rows(source: Source) -> Source | None:
    table = source.table
    boxes = any(spelled(name) in _BOXES for name in (*table.columns, *table.nested))
    images = [table.columns[name] for name in columns_of(source.image, table.columns)]
    if not (boxes and images and source.label) or any(column.is_unique for column in images):
        return None
    sql = f"SELECT {_as_fields(source)}, {sql_name(source.label)} AS label\nFROM {sql_name(table.name)}\n"
    return _view(source, "objects", sql, source.values)


def _of_flags(source: Source) -> Source | None:
    """Columns of 0 and 1 (or -1 and 1): a label where there is 1."""
    flags = [name for name, column in source.table.plain() if _is_flag(column)]
    if len(flags) < _FEWEST_FLAGS or source.label not in ("", *flags):
        return None
    table = source.table
    kept, fields = ", ".join(map(sql_name, _kept(source))), _as_fields(source)
    one = {name: "'1'" if table.columns[name].kind == "VARCHAR" else "1" for name in flags}
    listed = ",\n    ".join(
        f"CASE WHEN {sql_name(name)} = {one[name]} THEN {sql_text(name)} END" for name in flags
    )
    sql = (
        f"SELECT {fields}, label\nFROM (SELECT {kept}, unnest(list_value(\n    {listed})) AS label "
        f"FROM {sql_name(table.name)})\nWHERE label IS NOT NULL\n"
    )
    made = _view(source, "labeled", sql, _flagged(table, flags))
    made.are_objects = False
    if all(sum(_is_one(row.get(name)) for name in flags) == 1 for row in table.rows):
        made.has_objects = False
    return made


def _is_one(value: object) -> bool:
    return value in (1, "1")


def _is_flag(column: Column) -> bool:
    """Whether a column has 1 and one of 0 and -1, as numbers or, in text lists, as text."""
    values = {str(value).removesuffix(".0") for value in column.counts or ()}
    return len(values) == 2 and values <= {"0", "1", "-1"} and "1" in values


def _flagged(table: Table, flags: list[str]) -> dict[object, int]:
    counts: Counter[object] = Counter()
    for name in flags:
        counts[name] = sum(count for value, count in table.values(name).items() if _is_one(value))
    return dict(counts.most_common())
