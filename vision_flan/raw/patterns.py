"""Path and line patterns of a spec: `train/{class}/{name}.png`, `{path} {label:d}`.

In a path: `{name}` is one or more characters other than `/`, `{name:d}` one or more digits, `{name*}`
any text, with slashes or empty, `*` anything but `/`. Everything else is literal; `{{` and `}}` are
braces. A name that occurs twice must match the same text both times (`{class}/{class}_{n:d}.jpg`). The case
of the suffix does not matter (`.JPG` matches `.jpg`), and names match in either Unicode normalization; the
named parts are NFC.

In a line of text fields may hold any character: each matches as little as possible, so the last one gets the
rest. `{name:d}` may have a minus sign, a space stands for one or more spaces, spaces at both ends are
ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from vision_flan.errors import DamagedFileError, Location, SpecError
from vision_flan.raw.linear import Part, ends_of_runs, is_quick, match, short
from vision_flan.raw.names import SUFFIX, composed, escaped, is_text

_TOKEN = re.compile(r"\{\{|\}\}|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<kind>:d|\*)?\}|\*|[{}]")
_PATH_FIELDS = {None: r"[^/]+", ":d": r"[0-9]+", "*": r".*"}
_LINE_FIELDS = {None: r".+?", ":d": r"-?[0-9]+", "*": r".*?"}

#: A path that is certainly plain, as most are: it is quicker to recognize than one that is not.
_PLAIN = re.compile(r"\w[\w .-]*(?:/\w[\w .-]*)*", re.ASCII)
_UNSAFE = re.compile(r"^(?:/|[A-Za-z]:)|[\\\0]|(?:^|/)\.\.?(?:/|$)|//|/$|^$")


def is_inside(path: str) -> bool:
    """Whether a path is relative and plain: no `..`, no drive, no backslash, no empty part."""
    return _UNSAFE.search(path) is None


class Pattern:
    """A path pattern.

    Args:
        text: the pattern as written in the spec.
        place: its location in the spec, for errors.

    Attributes:
        names: names of the fields, in order, each once.
        is_literal: whether there is no field at all; then `literal` is the one path that matches.
        prefix: the literal folders before the first field, without a slash at the end; "" for none.

    Raises:
        SpecError: an unmatched brace, an unknown field kind, a path that leaves the folder.
    """

    def __init__(self, text: str, place: Location | None = None) -> None:
        if not is_inside(text):
            raise SpecError(
                f"path pattern {text!r} is not a plain path below the raw folder",
                where=place,
                hint="write it relative to the raw folder, with / and without ..",
            )
        text = composed(text)
        self.text = text
        whole = _translate(text, _PATH_FIELDS, place)
        self.names, self._first_field = whole.names, whole.first
        self._match = _Matcher(text, _any_case_suffix(whole, text), place, re.DOTALL).match
        self.is_literal = self._first_field == len(text)
        self.literal = text.replace("{{", "{").replace("}}", "}")
        self.segments = [_segment(part, place) for part in text.split("/")]
        self.prefix = text[: self._first_field].replace("{{", "{").replace("}}", "}").rpartition("/")[0]
        starred = [at for at, part in enumerate(text.split("/")) if _is_deep(part)]
        self.depth = starred[0] if starred else None
        self._folders = [
            _Matcher(folder, _translate(folder, _PATH_FIELDS, place), place, re.DOTALL)
            for folder in (
                "/".join(text.split("/")[: at + 1])
                for at in range(starred[0] if starred else len(self.segments) - 1)
            )
        ]

    def match(self, path: str) -> dict[str, str] | None:
        """The named parts of a path, None when it does not match."""
        return self._match(path if path.isascii() else composed(path))

    def may_enter(self, folder: str, level: int) -> bool:
        """Whether files below `folder`, whose last name is segment `level` (from 0), can match."""
        if level < len(self._folders):
            return self._folders[level].match(composed(folder)) is not None
        return self.depth is not None


class LinePattern:
    """A pattern for lines of text; see the module for what fields mean there.

    Raises:
        SpecError: as `Pattern`.
    """

    def __init__(self, text: str, place: Location | None = None) -> None:
        self.text = text
        whole = _translate(text, _LINE_FIELDS, place)
        self.names = whole.names
        spaced = whole.expression.replace(r"\ ", r"[ \t]+" if "\t" not in text else " +")
        ends = (Part(only=" \ufeff", greedy=True), Part(only=" \r", greedy=True))
        parts = (ends[0], *_with_spaces(whole.parts, " " if "\t" in text else " \t"), ends[1])
        whole = replace(whole, expression=rf"[ \ufeff]*{spaced}[ \r]*", parts=parts)
        self._match = _Matcher(text, whole, place).match

    def match(self, line: str) -> dict[str, str] | None:
        """The named parts of a line (without its line end), None when it does not match."""
        return self._match(line)


@dataclass(frozen=True)
class _Translated:
    """A pattern as a regular expression, and as parts for `linear`.

    Attributes:
        first: offset of the first field, the pattern's length for none.
        repeats: a field's text occurs again.
    """

    names: tuple[str, ...]
    expression: str
    parts: tuple[Part, ...]
    first: int
    repeats: bool


class _Matcher:
    """Matches by `re` where it is quick, and else in linear time."""

    def __init__(
        self, text: str, whole: _Translated, place: Location | None, flags: re.RegexFlag = re.NOFLAG
    ) -> None:
        self._text = text
        self._place = place
        self._parts = whole.parts
        self._ends = ends_of_runs(whole.parts)
        self._repeats = whole.repeats
        self._re = re.compile(whole.expression, flags)
        self._short = short(whole.parts)

    def match(self, text: str) -> dict[str, str] | None:
        """The named parts, None when it does not match.

        Raises:
            SpecError: a pattern with a repeated field, which could match in too many ways.
        """
        if len(text) <= self._short or is_quick(self._ends, text):
            found = self._re.fullmatch(text)
            return found.groupdict() if found else None
        if self._repeats:
            raise SpecError(
                f"the pattern {self._text!r} could match {text[:80]!r} in too many ways",
                where=self._place,
                hint="name each field once, or put fixed text between the fields",
            )
        return match(self._parts, text)


def _with_spaces(parts: tuple[Part, ...], spaces: str) -> Iterator[Part]:
    """The parts of a line, with runs of white space in place of spaces."""
    for part in parts:
        for piece in re.split("( +)", part.text) if part.text else ():
            if piece:
                yield Part(only=spaces, least=1, greedy=True) if piece[0] == " " else Part(piece)
        if not part.text:
            yield part


def _any_case_suffix(whole: _Translated, text: str) -> _Translated:
    """A path whose literal suffix matches in either case."""
    found = SUFFIX.search(text)
    suffix = re.escape(found[0]) if found else ""
    if not found or not whole.expression.endswith(suffix):
        return whole
    expression = f"{whole.expression[: -len(suffix)]}(?i:{suffix})"
    *parts, last = whole.parts
    rest = last.text.removesuffix(found[0])
    parts += [Part(rest)] if rest else []
    return replace(whole, expression=expression, parts=(*parts, Part(found[0], any_case=True)))


def _segment(text: str, place: Location | None) -> str | None:
    """The literal text of one path segment, None if it contains a field."""
    first = _translate(text, _PATH_FIELDS, place).first if text else 0
    return text.replace("{{", "{").replace("}}", "}") if first == len(text) else None


def _is_deep(segment: str) -> bool:
    return any(token["kind"] == "*" for token in _TOKEN.finditer(segment))


def _translate(text: str, fields: dict[str | None, str], place: Location | None) -> _Translated:
    if not text:
        raise SpecError("the pattern of a line is empty", where=place)
    names: list[str] = []
    parts: list[Part] = []
    repeats, expression = False, ""
    end, first = 0, len(text)
    runs = re.compile(r"(?:\\ )+") if fields is _LINE_FIELDS else None
    for token in _TOKEN.finditer(text):
        expression += re.escape(text[end : token.start()])
        _add(parts, text[end : token.start()])
        end = token.end()
        if token[0] in ("{{", "}}"):
            expression += re.escape(token[0][0])
            _add(parts, token[0][0])
            continue
        if token[0] in "{}":
            raise SpecError(
                f"pattern {text!r}: {token[0]!r} at position {token.start() + 1} is unmatched",
                where=place,
                hint="fields are {name}, {name:d} or {name*}; write {{ and }} for braces",
            )
        first = min(first, token.start())
        name = token["name"]
        if name is None:
            expression += r"[^/]*" if fields is _PATH_FIELDS else r".*?"
        elif name in names:
            expression += f"(?P={name})"
            repeats = True
        else:
            names.append(name)
            expression += f"(?P<{name}>{fields[token['kind']]})"
        parts.append(_run(name or "", token["kind"] if name else "", fields is _PATH_FIELDS))
    expression += re.escape(text[end:])
    _add(parts, text[end:])
    expression = runs.sub(r"\\ ", expression) if runs else expression
    return _Translated(tuple(names), expression, tuple(parts), first, repeats)


def _add(parts: list[Part], text: str) -> None:
    """Add fixed text, to that before it."""
    if text:
        before = parts.pop().text if parts and parts[-1].text else ""
        parts.append(Part(before + text))


def _run(name: str, kind: str | None, in_path: bool) -> Part:
    """A field, or a `*`, whose kind is ""."""
    if kind == ":d":
        return Part(name=name, only="0123456789", least=1, signed=not in_path, greedy=True)
    barred = "/" if in_path and kind != "*" else "" if in_path else "\n"
    return Part(name=name, barred=barred, least=int(kind is None), greedy=in_path)


def refuse_unsafe(path: str) -> None:
    """A path that a spec or a table names stays in the raw folder.

    Raises:
        DamagedFileError: it does not.
    """
    if _PLAIN.fullmatch(path):
        return
    if not is_inside(path) or not is_text(path):
        raise DamagedFileError(
            f"path leaves the folder or is not a plain relative path: {escaped(path[:300])!r}",
            hint="write paths relative to the raw folder, with / and without ..",
        )
