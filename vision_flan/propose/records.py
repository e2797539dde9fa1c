"""The records of a proposed task: its table or SELECT, key and image."""

from __future__ import annotations

import re

from vision_flan.propose.images import fields_of
from vision_flan.propose.source import Source, sql_name, sql_text
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
    keys["key"] = source.key
    if source.images:
        keys["compose"] = {"grids": [{"images": "images", "columns": 2, "captions": "Image {n}"}]}
    else:
        keys["image"] = source.image
    return keys


def _odd_names(source: Source) -> bool:
    used = (source.label, source.question, source.answer, source.caption, source.turns)
    return any(name and not PLAIN_NAME.match(name) for name in used)


def _select(source: Source, condition: str) -> str:
    """A SELECT with the fields that are used, under names that Jinja can read."""
    used = [
        one for one in (source.label, source.question, source.answer, source.caption, source.turns) if one
    ]
    fields = [
        f"{sql_name(name)} AS {safe_name(name)}" if safe_name(name) != name else sql_name(name)
        for name in used
    ]
    key_fields = re.findall(r"\b[A-Za-z_]\w*\b", re.sub(r"'[^']*'", "", source.key))
    fields += [
        name for name in dict.fromkeys(key_fields) if name in source.table.columns and name not in used
    ]
    if source.images:
        fields.append(f"{_image_list(source)} AS images")
    else:
        names = fields_of(source.image)
        fields += [sql_name(name) for name in names if name not in used and name not in fields]
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


def safe_name(name: str) -> str:
    """A column's name as Jinja can read it."""
    return name if PLAIN_NAME.match(name) else re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "field"
