"""The records of a proposed task: its table or SELECT, key and image."""

from __future__ import annotations

import re

from vision_flan.propose.images import columns_of, fields_of, safe_name
from vision_flan.propose.source import Source, as_field, sql_name, sql_text
from vision_flan.propose.types import PLAIN_NAME


def record_keys(source: Source, *, sql: str = "") -> dict[str, object]:
    """`table` and `where`, or `sql`; `key`, `image` or `compose`."""
    keys: dict[str, object] = {}
    if source.split:
        keys["split"] = {"train": "train"}.get(source.split_value.lower(), "train")
    condition = f"{sql_name(source.split)} = {sql_text(source.split_value)}" if source.split else ""
    if sql or source.images or _odd_names(source):
        keys["sql"] = sql or _select(source, condition)
    else:
        keys["table"] = source.name
        if condition:
            keys["where"] = condition
    selected = "sql" in keys and not sql and not source.view
    keys["key"] = _plain_key(source) if selected else source.key
    if source.images:
        keys["compose"] = {"grids": [{"images": "images", "columns": 2, "captions": "Image {n}"}]}
    else:
        keys["image"] = source.image
    return keys


def _odd_names(source: Source) -> bool:
    used = [source.label, source.question, source.answer, source.caption, source.turns]
    if not source.view:
        used += columns_of(source.image, source.table.columns)
    return any(name and not PLAIN_NAME.match(name) for name in used)


def _odd_columns_of_key(source: Source) -> list[str]:
    return [
        name for name in source.table.columns if not PLAIN_NAME.match(name) and sql_name(name) in source.key
    ]


def _plain_key(source: Source) -> str:
    """The key by the names of the SELECT, which Jinja can read."""
    key = source.key
    for name in _odd_columns_of_key(source):
        key = key.replace(sql_name(name), safe_name(name))
    return key


def _select(source: Source, condition: str) -> str:
    """A SELECT with the fields that are used, under names that Jinja can read."""
    used = [
        one for one in (source.label, source.question, source.answer, source.caption, source.turns) if one
    ]
    fields = [as_field(name) for name in used]
    key_fields = re.findall(r"\b[A-Za-z_]\w*\b", re.sub(r"'[^']*'", "", source.key))
    fields += [
        name for name in dict.fromkeys(key_fields) if name in source.table.columns and name not in used
    ]
    fields += [as_field(name) for name in _odd_columns_of_key(source) if name not in used]
    if source.images:
        fields.append(f"{_image_list(source)} AS images")
    else:
        known = () if source.view else source.table.columns
        names = columns_of(source.image, known) or fields_of(source.image)
        fields += [as_field(name) for name in names if name not in used]
    fields = list(dict.fromkeys(fields))
    where = f"\nWHERE {condition}" if condition else ""
    return f"SELECT {', '.join(fields)}\nFROM {sql_name(source.name)}{where}\n"


def _image_list(source: Source) -> str:
    """SQL of the references to the images of a record."""
    around = [
        f"{sql_text(source.prefix)} || " if source.prefix else "",
        f" || {sql_text(source.ending)}" if source.ending else "",
    ]
    if len(source.images) == 1:
        name = sql_name(source.images[0])
        return f"list_transform({name}, lambda x: {around[0]}x{around[1]})" if any(around) else name
    return "list_value(" + ", ".join(around[0] + sql_name(name) + around[1] for name in source.images) + ")"
