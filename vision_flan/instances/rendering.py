"""Jinja templates of specs, in a sandbox that a malicious pull request cannot escape, stall or exhaust.

A template may insert fields, use `if`, `for` and `set`, and the filters below. It may not call methods,
access attributes that are not fields, define macros, import, or loop without end: all loops of a render share
one budget of steps. Undefined names are errors.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, nodes
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.meta import find_undeclared_variables
from jinja2.nodes import EvalContext
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from vision_flan.errors import Location, SpecError
from vision_flan.instances.pieces import MAX_RENDERED_CHARS, Columns, Field, Pieces, plain_pieces, shown
from vision_flan.instances.text_filters import FILTERS, TEXT_FILTERS, no_text
from vision_flan.limits import Step
from vision_flan.spec.files import read_bytes
from vision_flan.spec.model import TaskSpec
from vision_flan.spec.text import refuse_turns

MAX_TEMPLATE_BYTES = 20_000
MAX_LOOP_STEPS = 50_000

_NO_GLOBALS: set[str] = set()
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class UnknownLabelError(Exception):
    """A raw value is not in its label table; the instance is dropped and counted."""


#: Useful filters of Jinja that cannot exhaust memory.
JINJA_FILTERS = (
    "abs", "default", "first", "float", "int", "last", "length", "lower", "replace", "reverse",
    "round", "sort", "string", "title", "trim", "truncate", "unique", "upper", "list", "min", "max", "map",
    "select", "reject", "selectattr", "sum",
)  # fmt: skip


def _on_text(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a filter take text only: null is empty; lists, generators and too long texts are errors."""
    value = 1 if hasattr(function, "jinja_pass_arg") else 0  # Jinja may pass its environment first

    @wraps(function)
    def on_text(*args: Any, **options: Any) -> Any:
        given = "" if args[value] is None else args[value]
        if no_text(given):
            raise SecurityError(f"a {type(given).__name__} is not text; use `join`, or one of its items")
        if isinstance(given, str) and len(given) > MAX_RENDERED_CHARS:
            raise SecurityError(f"a text of more than {MAX_RENDERED_CHARS:,} characters")
        return function(*args[:value], given, *args[value + 1 :], **options)

    return on_text


def _replace(text: str, old: str, new: str) -> str:
    """Jinja's `replace` with a bounded result: each match may insert a long text."""
    text, old, new = str(text), str(old), str(new)
    if len(text) + text.count(old) * len(new) > MAX_RENDERED_CHARS:
        raise SecurityError(f"a text of more than {MAX_RENDERED_CHARS:,} characters")
    return text.replace(old, new)


def _round(value: float, precision: int = 0) -> float:
    """Jinja's `round` with at most 15 digits."""
    if abs(precision) > 15:
        raise SecurityError("round takes at most 15 digits")
    return round(float(value), precision)


class _Budget(threading.local):
    """Loop steps left in the current render of this thread; renders do not nest."""

    left = MAX_LOOP_STEPS


class _Environment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset(["*", "**", "%", "+"])

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Restrict arithmetic to small numbers: `"a" * 10**9` would exhaust memory in one step."""
        if operator == "+" and type(left) is type(right) and isinstance(left, str | list):
            if len(left) + len(right) > MAX_RENDERED_CHARS:
                raise SecurityError(f"a + of more than {MAX_RENDERED_CHARS:,} characters or items")
            return left + right
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
        """No calls at all, `loop.cycle` included: templates use filters instead."""
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
            finalize=shown,
        )
        env.globals.clear()
        env.filters = {name: env.filters[name] for name in JINJA_FILTERS} | FILTERS
        env.filters |= {"replace": _replace, "round": _round}
        env.filters |= {name: _on_text(env.filters[name]) for name in TEXT_FILTERS}
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

    def _compile(self, text: str, place: Location, bare_name: bool = True) -> Expression:
        if len(text.encode()) > MAX_TEMPLATE_BYTES:
            raise SpecError(f"the template is larger than {MAX_TEMPLATE_BYTES:,} bytes", where=place)
        if bare_name and _IDENTIFIER.match(text):
            return Field(text, place)
        Step("compiling the template", place).begin()
        try:
            tree = self._env.parse(text)
            _refuse_statements(tree, place)
            pieces = plain_pieces(tree)
            if pieces is not None:
                return Pieces(pieces, place)
            names = frozenset(find_undeclared_variables(tree))
            for loop in tree.find_all(nodes.For):
                loop.iter = nodes.Filter(loop.iter, "_counted", [], [], None, None)
            for joined in tree.find_all(nodes.Concat):  # in a ~ b, null is empty too
                joined.nodes = [nodes.Filter(part, "string", [], [], None, None) for part in joined.nodes]
            code = self._env.compile(tree)
        except TemplateSyntaxError as error:
            raise SpecError(f"template: {error.message}", where=_inner(place, error.lineno)) from error
        except (RecursionError, SyntaxError, MemoryError) as error:  # Python has limits of its own
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
    for used in tree.find_all(nodes.Filter):
        first = used.args[0] if used.args else None
        named = isinstance(first, nodes.Const) and first.value not in ("map", "select", "reject", "_counted")
        if first is not None and used.name in ("map", "select", "reject") and not named:
            what = f"`{used.name}` takes the name of a filter of one value"
            raise SpecError(what, where=_inner(place, used.lineno))
    _refuse_built_lists(tree, place)
    for loop in tree.find_all(nodes.For):
        if loop.recursive:
            raise SpecError("templates have no recursive loops", where=_inner(place, loop.lineno))


def _refuse_built_lists(tree: nodes.Template, place: Location) -> None:
    """Nested lists built up step by step can take exponential time to compare or write."""
    bound = [node.node for node in tree.find_all(nodes.Assign)] + [f.iter for f in tree.find_all(nodes.For)]
    for expression in bound:
        kinds = (nodes.List, nodes.Tuple, nodes.Dict)
        literals = [expression] if isinstance(expression, kinds) else []
        for literal in (*literals, *expression.find_all(kinds)):
            if next(literal.find_all(nodes.Name), None) is not None:
                raise SpecError(
                    "`set` and `for` take no list that is made of fields",
                    where=_inner(place, literal.lineno),
                    hint="make the list in SQL",
                )


def _inner(place: Location, line: int) -> Location:
    """The location of a template's line; for a value in YAML, the line of its key."""
    if str(place.file).endswith(".j2"):
        return Location(place.file, line)
    return place


class _RowContext(Context):
    """What a template sees of one row. Jinja's own makes again for every row what all rows share, which takes
    longer than rendering most templates."""

    def __init__(self, row: Mapping[str, Any], shared: EvalContext) -> None:
        self.parent = row  # type: ignore[assignment]  # which templates only read
        self.vars = {}
        self.exported_vars = set()
        self.environment = shared.environment
        self.eval_ctx = shared
        self.name = None
        self.globals_keys = _NO_GLOBALS
        self.blocks = {}


class Compiled:
    """A compiled template; `names` are the fields it uses."""

    def __init__(self, template: Template, names: frozenset[str], place: Location, budget: _Budget) -> None:
        self._pieces = template.root_render_func
        self._shared = EvalContext(template.environment, None)
        self._budget = budget
        self.names = names
        self.place = place
        self._static: str | None = None
        if not names:
            self._static = self.render({})

    def render(self, row: Mapping[str, Any]) -> str:
        """The rendered text, without surrounding white space.

        Raises:
            SpecError: an undefined name, a forbidden operation, a text or loop that is too long.
            UnknownLabelError: a value is not in its label table.
        """
        if self._static is not None:
            return self._static
        self._budget.left = MAX_LOOP_STEPS
        try:
            text = self._join(self._pieces(_RowContext(row, self._shared)))
        except UndefinedError as error:
            raise SpecError(f"template: {error.message}", where=self.place) from error
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AssertionError) as error:
            raise SpecError(f"template: {error}", where=self.place) from error
        except RecursionError as error:
            raise SpecError("the template is nested too deeply", where=self.place) from error
        return text.strip()

    def column(self, columns: Columns, count: int) -> list[str] | None:
        """The rendered texts of some rows if they are all the same; None where each has to be rendered."""
        return None if self._static is None else [self._static] * count

    def _join(self, pieces: Iterable[str]) -> str:
        """Join the pieces; stop before a loop over long fields exhausts memory."""
        text, size = [], 0
        for piece in pieces:
            size += len(piece)
            if size > MAX_RENDERED_CHARS:
                what = f"the template renders to more than {MAX_RENDERED_CHARS:,} characters"
                raise SpecError(what, where=self.place)
            text.append(piece)
        return "".join(text)


Expression = Field | Pieces | Compiled


def instruction_of(task: TaskSpec, path: Path) -> str:
    """The text of a task's instruction; empty where records bring all that is asked.

    Args:
        path: where it is written.

    Raises:
        SpecError: the file is missing or not UTF-8.
    """
    return read_template(path).strip() if task.own_instruction else ""


def read_template(path: Path) -> str:
    """The text of an instruction file.

    Raises:
        SpecError: the file is missing, not a regular file, too large or not UTF-8.
    """
    if not path.exists() and not path.is_symlink():
        raise SpecError("the instruction is missing", where=Location(path), hint=f"write it to {path}")
    raw = read_bytes(path, MAX_TEMPLATE_BYTES)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SpecError("the instruction is not UTF-8", where=Location(path)) from error
    refuse_turns(text, path)
    return text
