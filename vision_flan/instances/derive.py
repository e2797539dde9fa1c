"""Fields derived for each instance: random choices, negatives from other records, reading order, texts.

`derive:` of a task spec names one operation per field; each operation is a small function in this module.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

import pyarrow as pa

from vision_flan.errors import Location, SpecError
from vision_flan.instances.orientation import Box
from vision_flan.instances.reading_order import reading_order
from vision_flan.instances.rendering import Renderer
from vision_flan.records.ordering import Draws

#: Records that `other` samples from: large enough to represent all of them, and fits in memory.
POOL_ROWS = 100_000

#: Key of an image's `Orientation` in a row; no field can have this name. Without it, stored as shown.
ORIENTATION = " orientation"

Row = Mapping[str, Any]


class Pools(Protocol):
    """Other records' values; a task's `Candidates` has them."""

    def others(self, column: str, differ_in: str, rows: int) -> pa.Table:
        """Values of a column and their groups, the columns `value` and `other`."""
        ...


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
    candidates: Pools | None = None,
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


def _choice(name: str, options: Any, _r: Renderer, _p: Location, _c: Pools | None) -> Derived:
    """One of the values in the spec."""
    values = list(options["choice"])
    return Derived(name, frozenset(), lambda row, draws: values[draws.below(len(values))])


def _pick(name: str, options: Any, _r: Renderer, place: Location, _c: Pools | None) -> Derived:
    """One item of a list field."""
    field = options["pick"]

    def make(row: Row, draws: Draws) -> Any:
        items = _list(row, field, place)
        if not items:
            raise NoValueError(f"empty_{field}")
        return items[draws.below(len(items))]

    return Derived(name, frozenset([field]), make)


def _shuffle(name: str, options: Any, _r: Renderer, place: Location, _c: Pools | None) -> Derived:
    """A list field in random order."""
    field = options["shuffle"]
    return Derived(name, frozenset([field]), lambda row, draws: draws.shuffled(_list(row, field, place)))


def _sample(name: str, options: Any, _r: Renderer, place: Location, _c: Pools | None) -> Derived:
    """`count` items of a list field, in random order."""
    field, count = options["sample"], options["count"]
    return Derived(name, frozenset([field]), lambda row, draws: draws.sample(_list(row, field, place), count))


def _other(name: str, options: Any, _r: Renderer, _p: Location, candidates: Pools | None) -> Derived:
    """The value of another record with a different `differ_in`; with `count`, a list of such values."""
    field, group, count = options["other"], options["differ_in"], options.get("count")
    pool = Pool(candidates.others(field, group, POOL_ROWS)) if candidates else Pool()

    def make(row: Row, draws: Draws) -> Any:
        found = pool.draw(row[field], row[group], draws, count or 1)
        return found if count else found[0]

    return Derived(name, frozenset([field, group]), make, (field, group))


class Pool:
    """Values of other records, in random order.

    Args:
        table: values and their groups, the columns `value` and `other`.
    """

    def __init__(self, table: pa.Table | None = None) -> None:
        self._values: list[Any] = [] if table is None else table["value"].to_pylist()
        self._others: list[Any] = [] if table is None else table["other"].to_pylist()
        self._texts = [_same(value) for value in self._values]
        groups: dict[str, set[str]] = {}
        for text, other in zip(self._texts, self._others, strict=True):
            groups.setdefault(text, set()).add(_shown(other))
        #: Texts of a single group: a record of that group cannot use them.
        self._only_in = Counter(next(iter(found)) for found in groups.values() if len(found) == 1)
        self._groups = groups

    def draw(self, value: Any, group: Any, draws: Draws, count: int) -> list[Any]:
        """`count` values that differ from each other and from `value`, of other groups, from a random
        position onward.

        Raises:
            NoValueError: there are fewer; this is known without a search.
        """
        start = draws.below(len(self._values)) if self._values else 0
        own = _same(value)
        if self._usable(own, group) < count:
            raise NoValueError("no_other_record")
        seen, found = {own}, []
        for at in chain(range(start, len(self._values)), range(start)):
            text = self._texts[at]
            if text not in seen and self._others[at] != group:
                seen.add(text)
                found.append(self._values[at])
                if len(found) == count:
                    return found
        raise NoValueError("no_other_record")

    def _usable(self, own: str, group: Any) -> int:
        """How many texts a record may use, or a few more where equal groups are written in two ways."""
        shown = _shown(group)
        usable = len(self._groups) - self._only_in[shown]
        mine = self._groups.get(own)
        return usable - 1 if mine is not None and mine != {shown} else usable


def _shown(group: Any) -> str:
    """A group as a key; NaN is no group's equal."""
    return repr(group) if group == group else f"{group!r} {id(group)}"


def _same(value: Any) -> str:
    """Texts that read alike are not valid negatives: compare them in this form."""
    return " ".join(str(value).casefold().split()).rstrip(".?! ")


def _reading_order(name: str, options: Any, _r: Renderer, place: Location, _c: Pools | None) -> Derived:
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


def _text(name: str, options: Any, renderer: Renderer, place: Location, _c: Pools | None) -> Derived:
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
