"""Fields derived for each instance: random choices, negatives from other records, reading order, texts.

`derive:` of a task spec names one operation per field; each operation is a small function in this module.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vision_flan.errors import Location, SpecError
from vision_flan.instances.orientation import Box
from vision_flan.instances.reading_order import reading_order
from vision_flan.instances.rendering import Renderer
from vision_flan.records.ordering import Draws
from vision_flan.records.store import Candidates

#: Records that `other` samples from: large enough to represent all of them, and fits in memory.
POOL_ROWS = 100_000

#: Key of an image's `Orientation` in a row; no field can have this name. Without it, stored as shown.
ORIENTATION = " orientation"

Row = Mapping[str, Any]


class NoValueError(Exception):
    """A field cannot be derived for this record; the message is the reason for dropping it."""


@dataclass(frozen=True)
class Derived:
    """A derived field.

    Attributes:
        name: the field.
        reads: fields it needs.
        make: (row, draws) -> value; raises NoValueError.
        pool: (column, differ_in) if it needs values of other records.
        needs_orientation: it needs the image's orientation, at the row's key ORIENTATION.
    """

    name: str
    reads: frozenset[str]
    make: Callable[[Row, Draws], Any]
    pool: tuple[str, str] | None = None
    needs_orientation: bool = False


def plan_fields(
    spec: Mapping[str, Mapping[str, Any]],
    renderer: Renderer,
    place: Callable[..., Location],
    candidates: Candidates | None = None,
) -> list[Derived]:
    """The derived fields of a task, in order.

    Args:
        spec: `derive:` of the task.
        renderer: compiles `text`.
        place: returns the location of a key path, for errors.
        candidates: records for `other`; None when only checking a spec.
    """
    fields = []
    for name, options in spec.items():
        operation = next(op for op in _OPERATIONS if op in options)
        fields.append(_OPERATIONS[operation](name, options, renderer, place("derive", name), candidates))
    return fields


def _choice(name: str, options: Any, _r: Renderer, _p: Location, _c: Candidates | None) -> Derived:
    """One of the values in the spec."""
    values = list(options["choice"])
    return Derived(name, frozenset(), lambda row, draws: values[draws.below(len(values))])


def _pick(name: str, options: Any, _r: Renderer, place: Location, _c: Candidates | None) -> Derived:
    """One item of a list field."""
    field = options["pick"]

    def make(row: Row, draws: Draws) -> Any:
        items = _list(row, field, place)
        if not items:
            raise NoValueError(f"empty_{field}")
        return items[draws.below(len(items))]

    return Derived(name, frozenset([field]), make)


def _shuffle(name: str, options: Any, _r: Renderer, place: Location, _c: Candidates | None) -> Derived:
    """A list field in random order."""
    field = options["shuffle"]
    return Derived(name, frozenset([field]), lambda row, draws: draws.shuffled(_list(row, field, place)))


def _sample(name: str, options: Any, _r: Renderer, place: Location, _c: Candidates | None) -> Derived:
    """`count` items of a list field, in random order."""
    field, count = options["sample"], options["count"]
    return Derived(name, frozenset([field]), lambda row, draws: draws.sample(_list(row, field, place), count))


def _other(name: str, options: Any, _r: Renderer, _p: Location, candidates: Candidates | None) -> Derived:
    """The value of another record with a different `differ_in`; with `count`, a list of such values."""
    field, group, count = options["other"], options["differ_in"], options.get("count")
    pool = candidates.others(field, group, POOL_ROWS) if candidates else []

    def make(row: Row, draws: Draws) -> Any:
        found = _walk(pool, row, field, group, draws, count or 1)
        return found if count else found[0]

    return Derived(name, frozenset([field, group]), make, (field, group))


def _walk(
    pool: Sequence[tuple[Any, Any]], row: Row, field: str, group: str, draws: Draws, count: int
) -> list[Any]:
    """Values of the pool, which is in random order, from a random position onward."""
    seen = {_same(row[field])}
    found: list[Any] = []
    start = draws.below(len(pool)) if pool else 0
    for step in range(len(pool)):
        value, other = pool[(start + step) % len(pool)]
        if other != row[group] and _same(value) not in seen:
            seen.add(_same(value))
            found.append(value)
            if len(found) == count:
                return found
    raise NoValueError("no_other_record")


def _same(value: Any) -> str:
    """Texts that read alike are not valid negatives: compare them in this form."""
    return " ".join(str(value).casefold().split()).rstrip(".?! ")


def _reading_order(name: str, options: Any, _r: Renderer, place: Location, _c: Candidates | None) -> Derived:
    """Texts of a list of structs, ordered by their boxes [x, y, width, height] in the image as shown."""
    field = options["reading_order"]
    text, box = options.get("text", "text"), options.get("box", "box")

    def make(row: Row, draws: Draws) -> list[str]:
        words = [word for word in _list(row, field, place) if word[text] is not None]
        boxes = [_box(word[box]) for word in words]
        orientation = row.get(ORIENTATION)
        if orientation is not None:  # upstreams count stored pixels
            boxes = [orientation.box(stored) for stored in boxes]
        return reading_order([word[text] for word in words], boxes)

    return Derived(name, frozenset([field]), make, needs_orientation=True)


def _box(value: Any) -> Box:
    try:
        x, y, width, height = map(float, value)
    except (TypeError, ValueError):
        raise NoValueError("invalid_box") from None
    if not all(map(math.isfinite, (x, y, width, height))):
        raise NoValueError("invalid_box")
    return x, y, width, height


def _text(name: str, options: Any, renderer: Renderer, place: Location, _c: Candidates | None) -> Derived:
    """A text from a Jinja template."""
    template = renderer.compile(options["text"], place)
    return Derived(name, template.names, lambda row, draws: template.render(row))


def _list(row: Row, field: str, place: Location) -> list[Any]:
    value = row[field]
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        raise SpecError(f"the field {field!r} is not a list: {value!r}"[:200], where=place)
    return list(value)


_OPERATIONS: dict[str, Callable[..., Derived]] = {
    "choice": _choice,
    "pick": _pick,
    "shuffle": _shuffle,
    "sample": _sample,
    "other": _other,
    "reading_order": _reading_order,
    "text": _text,
}
