"""Jinja templates of specs, in a sandbox that a pull request cannot leave, stall or fill.

What a template may do: put fields into text, `if`, `for`, `set`, and the filters below. It may not call
methods, reach attributes that are not fields, define macros, import, or loop without end: every loop draws
on one budget a render. Undefined names are errors.
"""

from __future__ import annotations

import html
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, nodes
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment

from vision_flan.errors import Location, SpecError

MAX_TEMPLATE_BYTES = 20_000
MAX_RENDERED_CHARS = 200_000
MAX_LOOP_STEPS = 50_000

_QUOTED_APART = re.compile(r'" ([^"]*) "')
_BLANK_BEHIND = re.compile(r"([(\[]) ")
_BLANK_BEFORE = re.compile(r" ([.,;:!?%)\]]|(?:['’](?:s|re|ll|ve|m|d)|n['’]t)\b)")
_GLUED = re.compile(r"([a-z0-9)][.!?])([A-Z])")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_VOWEL_SOUND = re.compile(r"(?:[aeiou]|hour|honest|honou?r\b|heir)", re.IGNORECASE)
_CONSONANT_SOUND = re.compile(
    r"(?:uni([^nm]|$)|us(?:e|u|a)|eu|one\b|once\b|ukulele|u\b|ut(?:il|e))", re.IGNORECASE
)


class UnknownLabelError(Exception):
    """A raw value that its label table does not know; the instance is dropped and counted."""


def article(noun: str) -> str:
    """The noun behind "a" or "an", by sound: a unicycle, an hour, an iron."""
    word = noun.strip()
    if not word:
        return ""
    an = bool(_VOWEL_SOUND.match(word)) and not _CONSONANT_SOUND.match(word)
    return f"{'an' if an else 'a'} {word}"


def squeeze(text: str) -> str:
    """Text with runs of white space as single spaces and none at the ends."""
    return " ".join(str(text).split())


def question_mark(text: str) -> str:
    """Text that ends in exactly one question mark, whatever it ended in; nothing stays nothing."""
    asked = squeeze(text).rstrip("?.! ")
    return asked and f"{asked}?"


def sentence(text: str) -> str:
    """Text with a capital first letter and a period, unless it ends in a mark of its own."""
    text = squeeze(text)
    if not text:
        return text
    text = text[0].upper() + text[1:]
    return text if text[-1] in ".!?…\"”)'" else text + "."


def unescape(text: str) -> str:
    """Text with HTML's named and numbered characters as themselves: `&amp;` as `&`, `&#233;` as `é`."""
    return html.unescape(str(text))


def detokenize(text: str) -> str:
    """What a tokenizer set apart, as one types it: `the dog 's bed ( new ) .` as `the dog's bed (new).`"""
    text = _QUOTED_APART.sub(r'"\1"', squeeze(text))
    return _BLANK_BEFORE.sub(r"\1", _BLANK_BEHIND.sub(r"\1", text))


def unglue(text: str) -> str:
    """Text with a space between sentences that lost it: `A cat.It sits.` as `A cat. It sits.`"""
    return _GLUED.sub(r"\1 \2", str(text))


def capital(text: str) -> str:
    """Text with a capital first letter; the rest stays as it is."""
    return text[:1].upper() + text[1:]


def spaced(text: str) -> str:
    """Text with underscores as spaces."""
    return squeeze(str(text).replace("_", " "))


def pad(value: Any, width: int) -> str:
    """A number with leading zeros to a width of at most 40; nothing stays nothing."""
    digits = str(value)
    return digits and digits.zfill(min(int(width), 40))


def join(items: Iterable[Any], separator: str = "") -> str:
    """The texts of a list with a separator between them; nulls are left out."""
    return separator.join(str(item) for item in items if item is not None)


def enumerate_and(items: Iterable[Any], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`; nulls are left out."""
    words = [str(item) for item in items if item is not None]
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def position(items: Iterable[Any], item: Any) -> int:
    """Index of an item in a list, from 0."""
    return list(items).index(item)


def letter(index: int) -> str:
    """A for 0, B for 1 ... Z for 25."""
    if not 0 <= index < 26:
        raise ValueError(f"there is no letter for option {index + 1}")
    return chr(ord("A") + index)


#: Filters of templates, by name; docs/spec.md lists them from these docstrings.
FILTERS: dict[str, Callable[..., Any]] = {
    "article": article,
    "squeeze": squeeze,
    "question_mark": question_mark,
    "sentence": sentence,
    "capital": capital,
    "spaced": spaced,
    "unescape": unescape,
    "detokenize": detokenize,
    "unglue": unglue,
    "pad": pad,
    "join": join,
    "enumerate_and": enumerate_and,
    "position": position,
    "letter": letter,
}

#: Filters that take text, ours and Jinja's. To them a null is no text; Jinja would write "None".
TEXT_FILTERS = (
    "article", "squeeze", "question_mark", "sentence", "capital", "spaced", "unescape", "detokenize",
    "unglue", "pad", "lower", "replace", "string", "title", "trim", "truncate", "upper",
)  # fmt: skip

#: Filters of Jinja that are of use here and cannot fill memory.
JINJA_FILTERS = (
    "abs", "default", "first", "float", "int", "last", "length", "lower", "replace", "reverse",
    "round", "sort", "string", "title", "trim", "truncate", "unique", "upper", "list", "min", "max", "map",
    "select", "reject", "selectattr", "sum",
)  # fmt: skip


def _null_is_no_text(function: Callable[..., Any]) -> Callable[..., Any]:
    value = 1 if hasattr(function, "jinja_pass_arg") else 0  # Jinja may put its environment first

    @wraps(function)
    def on_text(*args: Any, **options: Any) -> Any:
        if args[value] is None:
            args = (*args[:value], "", *args[value + 1 :])
        return function(*args, **options)

    return on_text


class _Budget(threading.local):
    """Loop steps left in the render that runs on this thread; renders do not nest."""

    left = MAX_LOOP_STEPS


class _Environment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset(["*", "**", "%"])

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Arithmetic on small numbers only: `"a" * 10**9` fills memory in one step."""
        numbers = all(isinstance(v, int | float) and abs(v) < 1e12 for v in (left, right))
        if operator == "**" or not numbers:
            raise SecurityError(f"{operator} works on numbers only here")
        return super().call_binop(context, operator, left, right)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`row.items` is the key of a struct, never a method of dict."""
        if isinstance(obj, dict):
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)

    def is_safe_callable(self, obj: Any) -> bool:
        """No calls: what a template needs is a filter. Loops may ask `loop.cycle` and its like no more."""
        return False

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Keys of a row's structs, and the `loop` variable's own attributes."""
        return type(obj).__name__ == "LoopContext" and not attr.startswith("_")


class Renderer:
    """Compiles templates once and renders them.

    Args:
        labels: label tables, name -> {raw value: shown name}; the filter `label("name")` looks them up.
    """

    def __init__(self, labels: Mapping[str, Mapping[str, str]] | None = None) -> None:
        self._labels = labels or {}
        self._budget = _Budget()
        env = _Environment(
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=lambda value: "" if value is None else value,  # NULL is empty, not "None"
        )
        env.globals.clear()
        env.filters = {name: env.filters[name] for name in JINJA_FILTERS} | FILTERS
        env.filters |= {name: _null_is_no_text(env.filters[name]) for name in TEXT_FILTERS}
        env.filters["label"] = self._label
        env.filters["_counted"] = self._counted
        self._env = env
        self.compile = lru_cache(maxsize=None)(self._compile)

    def _label(self, value: Any, table: str) -> str:
        labels = self._labels.get(table)
        if labels is None:
            raise SecurityError(f"there is no label table {table!r}")
        try:
            return labels[str(value)]
        except KeyError:
            raise UnknownLabelError(f"{value!r} is not in the label table {table!r}") from None

    def _counted(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            self._budget.left -= 1
            if self._budget.left < 0:
                raise SecurityError(f"the template loops more than {MAX_LOOP_STEPS:,} times")
            yield item

    def _compile(self, text: str, place: Location) -> Expression:
        if len(text.encode()) > MAX_TEMPLATE_BYTES:
            raise SpecError(f"the template is larger than {MAX_TEMPLATE_BYTES:,} bytes", where=place)
        if _IDENTIFIER.match(text):
            return Field(text, place)
        try:
            tree = self._env.parse(text)
            _refuse_statements(tree, place)
            names = frozenset(find_undeclared_variables(tree))
            for loop in tree.find_all(nodes.For):
                loop.iter = nodes.Filter(loop.iter, "_counted", [], [], None, None)
            for joined in tree.find_all(nodes.Concat):  # a ~ b, where a null is no text either
                joined.nodes = [nodes.Filter(part, "string", [], [], None, None) for part in joined.nodes]
            code = self._env.compile(tree)
        except TemplateSyntaxError as error:
            raise SpecError(f"template: {error.message}", where=_inner(place, error.lineno)) from error
        except RecursionError as error:
            raise SpecError("the template is nested too deeply", where=place) from error
        template = Template.from_code(self._env, code, dict(self._env.globals))
        return Compiled(template, names, place, self._budget)


def _refuse_statements(tree: nodes.Template, place: Location) -> None:
    refused = (
        nodes.Macro, nodes.CallBlock, nodes.Import, nodes.FromImport, nodes.Include, nodes.Extends,
        nodes.Block, nodes.FilterBlock, nodes.Call,
    )  # fmt: skip
    for kind in refused:
        for node in tree.find_all(kind):
            what = "calls" if kind is nodes.Call else f"{{% {kind.__name__.lower()} %}}"
            raise SpecError(
                f"templates have no {what}",
                where=_inner(place, node.lineno),
                hint="use fields, if, for, set and filters",
            )
    for loop in tree.find_all(nodes.For):
        if loop.recursive:
            raise SpecError("templates have no recursive loops", where=_inner(place, loop.lineno))


def _inner(place: Location, line: int) -> Location:
    """Line of a template: its own file counts from 1, a value in YAML from its key's line."""
    if str(place.file).endswith(".j2"):
        return Location(place.file, line)
    return place


class Field:
    """A bare name: the field itself, without Jinja."""

    def __init__(self, name: str, place: Location) -> None:
        self.name = name
        self.names = frozenset([name])
        self.place = place

    def render(self, row: Mapping[str, Any]) -> str:
        """The field as text; None is empty."""
        value = row[self.name]
        return "" if value is None else str(value)


class Compiled:
    """A compiled template: `names` are the fields it uses."""

    def __init__(self, template: Template, names: frozenset[str], place: Location, budget: _Budget) -> None:
        self._template = template
        self._budget = budget
        self.names = names
        self.place = place
        self._static = None if names else self.render({})

    def render(self, row: Mapping[str, Any]) -> str:
        """The rendered text, without white space at its ends.

        Raises:
            SpecError: an undefined name, a forbidden operation, too long a text or loop.
            UnknownLabelError: a value its label table does not know.
        """
        if getattr(self, "_static", None) is not None:
            return str(self._static)
        self._budget.left = MAX_LOOP_STEPS
        try:
            text = self._join(self._template.generate(row))
        except UndefinedError as error:
            raise SpecError(f"template: {error.message}", where=self.place) from error
        except (TemplateError, TypeError, ValueError, ZeroDivisionError, LookupError) as error:
            raise SpecError(f"template: {error}", where=self.place) from error
        except RecursionError as error:
            raise SpecError("the template is nested too deeply", where=self.place) from error
        return text.strip()

    def _join(self, pieces: Iterable[str]) -> str:
        """The pieces as one text; stops before a loop over long fields fills memory."""
        text, size = [], 0
        for piece in pieces:
            size += len(piece)
            if size > MAX_RENDERED_CHARS:
                what = f"the template renders to more than {MAX_RENDERED_CHARS:,} characters"
                raise SpecError(what, where=self.place)
            text.append(piece)
        return "".join(text)


Expression = Field | Compiled


def read_template(path: Path) -> str:
    """Text of an instruction file.

    Raises:
        SpecError: not there, not UTF-8, or larger than a template may be.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise SpecError(
            "the instruction is missing", where=Location(path), hint=f"write it to {path}"
        ) from error
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SpecError("the instruction is not UTF-8", where=Location(path)) from error
