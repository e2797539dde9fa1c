"""Path and line patterns of a spec: `train/{class}/{name}.png`, `{path} {label:d}`.

In a path: `{name}` is one or more characters other than `/`, `{name:d}` one or more digits, `{name*}`
anything, slashes and nothing included, `*` anything but `/`. Everything else is literal; `{{` and `}}` are
braces. A name that occurs twice must hold the same text both times (`{class}/{class}_{n:d}.jpg`). The case of
the suffix does not matter (`.JPG` matches `.jpg`), and names match in either Unicode normalization; the
named parts are NFC.

In a line of text fields may hold any character: each takes as little as it can, so the last one gets the
rest. `{name:d}` may have a minus sign, a space stands for one or more spaces, spaces at both ends do not
count.
"""

from __future__ import annotations

import re

from vision_flan.errors import Location, SpecError
from vision_flan.raw.names import SUFFIX, composed

_TOKEN = re.compile(r"\{\{|\}\}|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<kind>:d|\*)?\}|\*|[{}]")
_PATH_FIELDS = {None: r"[^/]+", ":d": r"[0-9]+", "*": r".*"}
_LINE_FIELDS = {None: r".+?", ":d": r"-?[0-9]+", "*": r".*?"}

_UNSAFE = re.compile(r"^(?:/|[A-Za-z]:)|[\\\0]|(?:^|/)\.\.?(?:/|$)|//|/$|^$")


def is_inside(path: str) -> bool:
    """Whether a path is relative and plain: no `..`, no drive, no backslash, no empty part."""
    return _UNSAFE.search(path) is None


class Pattern:
    """A path pattern.

    Args:
        text: the pattern as the spec has it.
        place: where the spec has it, for errors.

    Attributes:
        names: names of the fields, in order, each once.
        is_literal: whether there is no field at all; then `literal` is the one path that matches.
        prefix: the literal folders before the first field, without a slash at the end; "" for none.

    Raises:
        SpecError: a brace without its partner, an unknown field kind, a path that leaves the folder.
    """

    def __init__(self, text: str, place: Location | None = None) -> None:
        if not is_inside(text):
            raise SpecError(
                f"path pattern {text!r} is no plain path below the raw folder",
                where=place,
                hint="paths are relative, with / and without ..",
            )
        text = composed(text)
        self.text = text
        self.names, expression, self._first_field = _translate(text, _PATH_FIELDS, place)
        expression = _any_case_suffix(expression, text)
        self._match = re.compile(expression, re.DOTALL).fullmatch
        self.is_literal = self._first_field == len(text)
        self.literal = text.replace("{{", "{").replace("}}", "}")
        self.segments = [_segment(part, place) for part in text.split("/")]
        self.prefix = text[: self._first_field].replace("{{", "{").replace("}}", "}").rpartition("/")[0]
        starred = [at for at, part in enumerate(text.split("/")) if _is_deep(part)]
        self.depth = starred[0] if starred else None
        self._folders = [
            re.compile(_translate("/".join(text.split("/")[: at + 1]), _PATH_FIELDS, place)[1], re.DOTALL)
            for at in range(starred[0] if starred else len(self.segments) - 1)
        ]

    def match(self, path: str) -> dict[str, str] | None:
        """The named parts of a path, None when it does not match."""
        found = self._match(path if path.isascii() else composed(path))
        return found.groupdict() if found else None

    def may_enter(self, folder: str, level: int) -> bool:
        """Whether files below `folder`, whose last name is segment `level` (from 0), can match."""
        if level < len(self._folders):
            return self._folders[level].fullmatch(composed(folder)) is not None
        return self.depth is not None


class LinePattern:
    """A pattern for lines of text; see the module for what fields mean there.

    Raises:
        SpecError: as `Pattern`.
    """

    def __init__(self, text: str, place: Location | None = None) -> None:
        self.text = text
        self.names, expression, _ = _translate(text, _LINE_FIELDS, place)
        spaced = expression.replace(r"\ ", r"[ \t]+" if "\t" not in text else " +")
        self._match = re.compile(rf"[ \ufeff]*{spaced}[ \r]*").fullmatch

    def match(self, line: str) -> dict[str, str] | None:
        """The named parts of a line (without its line end), None when it does not match."""
        found = self._match(line)
        return found.groupdict() if found else None


def _any_case_suffix(expression: str, text: str) -> str:
    """The expression of a path whose literal suffix matches in either case."""
    found = SUFFIX.search(text)
    suffix = re.escape(found[0]) if found else ""
    if not suffix or not expression.endswith(suffix):
        return expression
    return f"{expression[: -len(suffix)]}(?i:{suffix})"


def _segment(text: str, place: Location | None) -> str | None:
    """The literal text of one path segment, None when it holds a field."""
    _, _, first = _translate(text, _PATH_FIELDS, place) if text else ([], "", 0)
    return text.replace("{{", "{").replace("}}", "}") if first == len(text) else None


def _is_deep(segment: str) -> bool:
    return any(token["kind"] == "*" for token in _TOKEN.finditer(segment))


def _translate(
    text: str, fields: dict[str | None, str], place: Location | None
) -> tuple[tuple[str, ...], str, int]:
    """Names of the fields, regular expression, offset of the first field (`len(text)` for none)."""
    if not text:
        raise SpecError("the pattern of a line is empty", where=place)
    names: list[str] = []
    expression = ""
    end, first = 0, len(text)
    runs = re.compile(r"(?:\\ )+") if fields is _LINE_FIELDS else None
    for token in _TOKEN.finditer(text):
        expression += re.escape(text[end : token.start()])
        end = token.end()
        if token[0] in ("{{", "}}"):
            expression += re.escape(token[0][0])
            continue
        if token[0] in "{}":
            raise SpecError(
                f"pattern {text!r}: {token[0]!r} at position {token.start() + 1} has no partner",
                where=place,
                hint="fields are {name}, {name:d} or {name*}; write {{ and }} for braces",
            )
        first = min(first, token.start())
        name = token["name"]
        if name is None:
            expression += r"[^/]*" if fields is _PATH_FIELDS else r".*?"
        elif name in names:
            expression += f"(?P={name})"
        else:
            names.append(name)
            expression += f"(?P<{name}>{fields[token['kind']]})"
    expression += re.escape(text[end:])
    return tuple(names), runs.sub(r"\\ ", expression) if runs else expression, first
