"""Records of texts and whole numbers out of JSON that others may have written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TypeVar, get_type_hints

Record = TypeVar("Record")


def record_from(kind: type[Record], data: object) -> Record:
    """A dataclass whose fields are texts and whole numbers, each of the type that it says.

    A card formats numbers and cuts texts, so a value of another type would fail there, far from its file.

    Raises:
        ValueError: no mapping, a key that is missing or not known, or a value of another type.
    """
    if not isinstance(data, Mapping):
        raise ValueError(f"{kind.__name__} is not a mapping")  # noqa: TRY004
    wanted = get_type_hints(kind)
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if set(data) != names:
        odd = sorted(map(str, set(data) ^ names))
        raise ValueError(f"{kind.__name__} has the wrong keys: {', '.join(odd)[:80]}")
    for name in names:
        if type(data[name]) is not wanted[name]:
            said = "a text" if wanted[name] is str else "a whole number"
            raise ValueError(f"{kind.__name__}: {name} is not {said}")
    return kind(**data)
