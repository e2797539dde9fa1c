"""Templates that name a field, or put fields between fixed texts, as most do.

Jinja parses them, and would take four times as long to render one.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import SecurityError

from vision_flan.errors import Location, SpecError
from vision_flan.instances.text_filters import no_text

MAX_RENDERED_CHARS = 200_000

#: Names that mean something to Jinja.
_JINJAS_OWN = frozenset(("self", "super", "caller", "varargs", "kwargs", "loop"))

#: A fixed text, or the name of a field as a tuple.
Piece = str | tuple[str]


def shown(value: Any) -> Any:
    """The output of `{{ }}`: text and numbers; null is empty, lists and generators are errors."""
    if no_text(value):
        raise SecurityError(f"a {type(value).__name__} is not text; use `join`, or one of its items")
    return "" if value is None else value


#: Columns of a group of rows, as templates see them.
Columns = Mapping[str, list[Any]]


def texts_of(columns: Columns, name: str) -> list[str] | None:
    """A column as texts, if all its values are texts or all are whole numbers."""
    values = columns.get(name)
    if values is None:
        return None
    kinds = set(map(type, values))
    if kinds <= {str}:
        return values
    return list(map(str, values)) if kinds == {int} else None


def plain_pieces(tree: nodes.Template) -> list[Piece] | None:
    """The pieces of a template that has fields and nothing else of Jinja; None for any other."""
    pieces: list[Piece] = []
    for output in tree.body:
        if not isinstance(output, nodes.Output):
            return None
        for node in output.nodes:
            if isinstance(node, nodes.TemplateData):
                pieces.append(node.data)
            elif isinstance(node, nodes.Name) and node.name not in _JINJAS_OWN:
                pieces.append((node.name,))
            else:
                return None
    return pieces if any(isinstance(piece, tuple) for piece in pieces) else None


class Field:
    """A bare field name, rendered without Jinja."""

    def __init__(self, name: str, place: Location) -> None:
        self.name = name
        self.names = frozenset([name])
        self.place = place

    def render(self, row: Mapping[str, Any]) -> str:
        """The field as text; None is empty. Raises SpecError for an unknown field, a list or a struct."""
        if self.name not in row:
            near = difflib.get_close_matches(self.name, row, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"fields are: {', '.join(sorted(row))}"
            raise SpecError(f"there is no field {self.name!r} here", where=self.place, hint=hint)
        value = row[self.name]
        if no_text(value):
            what = f"the field {self.name!r} is a {type(value).__name__}, not text"
            raise SpecError(what, where=self.place, hint="use `join`, or one of its items")
        return "" if value is None else str(value)

    def column(self, columns: Columns, count: int) -> list[str] | None:
        """The texts of all rows; None where each has to be looked at."""
        return texts_of(columns, self.name)


class Pieces:
    """Fixed texts and fields, rendered as Jinja renders them; `names` are the fields."""

    def __init__(self, pieces: Sequence[Piece], place: Location) -> None:
        self._fixed = ["" if isinstance(piece, tuple) else piece for piece in pieces]
        self._fields = [(at, piece[0]) for at, piece in enumerate(pieces) if isinstance(piece, tuple)]
        self._room = MAX_RENDERED_CHARS - sum(map(len, self._fixed))
        self.names = frozenset(name for _, name in self._fields)
        self.place = place

    def render(self, row: Mapping[str, Any]) -> str:
        """The rendered text, without surrounding white space.

        Raises:
            SpecError: an undefined name, a list or a struct, a text that is too long.
        """
        texts, room = self._fixed.copy(), self._room
        for at, name in self._fields:
            try:
                value = row[name]
                text = value if type(value) is str else str(shown(value))
            except KeyError:
                raise SpecError(f"template: {name!r} is undefined", where=self.place) from None
            except (SecurityError, ValueError) as error:
                raise SpecError(f"template: {error}", where=self.place) from error
            texts[at] = text
            room -= len(text)
        if room < 0:
            what = f"the template renders to more than {MAX_RENDERED_CHARS:,} characters"
            raise SpecError(what, where=self.place)
        return "".join(texts).strip()

    def column(self, columns: Columns, count: int) -> list[str] | None:
        """The rendered texts of all rows; None where each has to be looked at."""
        pieces: list[Iterable[str]] = [repeat(text) for text in self._fixed]
        for at, name in self._fields:
            texts = texts_of(columns, name)
            if texts is None:
                return None
            pieces[at] = texts
        made = list(map("".join, zip(*pieces, strict=False)))
        if max(map(len, made), default=0) > MAX_RENDERED_CHARS:
            return None
        return [text.strip() for text in made]
