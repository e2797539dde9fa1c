"""A task bound to its dataset on tables without rows: what its SQL yields and its templates use.

Binding continues after a problem, so that all problems of a spec are found at once. No raw file is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from vision_flan.errors import Location, SpecError
from vision_flan.instances.compose import Composer
from vision_flan.instances.derive import plan_fields
from vision_flan.instances.options import OptionsPlan
from vision_flan.instances.rendering import Renderer, instruction_of
from vision_flan.records.parse import line_of
from vision_flan.records.sources import TaskSources
from vision_flan.records.sql import negated_columns, unordered
from vision_flan.records.store import RecordStore
from vision_flan.records.tables import create_views, select_sources
from vision_flan.spec.catalog import Catalog, load_labels
from vision_flan.spec.files import read_text
from vision_flan.spec.findings import Finding, at, from_error
from vision_flan.spec.model import DatasetSpec, TaskSpec

#: Name that a template sees besides the fields.
OPTIONS = "options"

T = TypeVar("T")

_LABEL_FILTER = re.compile(r"\|\s*label\(\s*['\"](\w+)['\"]\s*\)")
_WORD = re.compile(r"[A-Za-z_]\w*")


@dataclass
class BoundTask:
    """A task, as far as it is known without raw files.

    Attributes:
        labels: label tables of the dataset and the task.
        columns: the SELECT's columns and their SQL types; None when it does not run.
        texts: every text that may contain Jinja, with its location.
        used: fields that something uses.
        options: None if there are none, or invalid ones.
        findings: problems found while binding; the rules in `task_rules` yield them by name.
    """

    task: TaskSpec
    dataset: DatasetSpec
    catalog: Catalog
    labels: dict[str, dict[str, str]] = field(default_factory=dict)
    columns: dict[str, str] | None = None
    texts: list[tuple[str, Location]] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    options: OptionsPlan | None = None
    findings: list[Finding] = field(default_factory=list)

    @property
    def instruction_file(self) -> Path:
        return self.catalog.instruction_file(self.task.id)

    def label_tables_used(self) -> dict[str, Location]:
        """Label tables that SQL, options and templates use, and where."""
        place = self.task.place("sql" if self.task.sql is not None else "table")
        texts = [self.task.records_sql, *self.dataset.views.values()]
        in_sql = {name for name in self.labels if any(f"label_{name}" in text for text in texts)}
        used = dict.fromkeys(in_sql, place)
        if self.task.options and "labels" in self.task.options:
            used[self.task.options["labels"]] = self.task.place("options", "labels")
        for text, where in self.texts:
            for name in _LABEL_FILTER.findall(text):
                used.setdefault(name, find_word(where, name))
        return used


def bind_task(task: TaskSpec, catalog: Catalog) -> BoundTask:
    """Bind a task whose dataset.yaml is valid."""
    dataset = catalog.dataset_of(task)
    bound = BoundTask(task, dataset, catalog)
    for owner in (dataset, task):
        try:
            bound.labels |= load_labels(owner, owner.document.path.parent)
        except SpecError as error:
            bound.findings.append(from_error(error, "labels", owner.document.path))
    if not bound.findings:
        _bind_sql(bound)
        _bind_texts(bound)
    return bound


# --- SQL


def _bind_sql(bound: BoundTask) -> None:
    task = bound.task
    where = task.place("sql" if task.sql is not None else "table")
    try:
        sources = select_sources(task, bound.catalog)
    except SpecError as error:
        if error.where is None or str(error.where.file) != str(bound.dataset.document.path):
            bound.findings.append(from_error(error, "sql", task.document.path))
        return  # the rules of dataset.yaml report it
    try:
        bound.columns = _describe(task, sources, bound.findings)
    except SpecError as error:
        found = from_error(error, "sql", task.document.path)
        bound.findings.append(replace(found, message=_one_line(found.message)))
        return
    bound.findings += select_findings(task.records_sql, where, bound.dataset)


def select_findings(sql: str, place: Location, dataset: DatasetSpec) -> list[Finding]:
    """Findings for a SELECT that runs: row_order and negated_column."""
    return [*_row_order(sql, place), *_negated(sql, place, dataset)]


def _row_order(sql: str, place: Location) -> Iterator[Finding]:
    inside = "write ORDER BY in its parentheses or OVER's, or arg_min/min/max where one value is enough"
    for name in unordered(sql):
        hint = inside if name.endswith("()") else "write ORDER BY with columns that distinguish any two rows"
        message = f"{name} has no ORDER BY, and rows have no inherent order"
        yield at(find_word(place, name.removesuffix("()")), "row_order", message, hint)


def _negated(sql: str, place: Location, dataset: DatasetSpec) -> Iterator[Finding]:
    """Reader columns after NOT: for a record that lacks the column they are neither true nor false."""
    declared = {
        word
        for table in dataset.tables.values()
        for name, kind in table.get("columns", {}).items()
        for word in (name, *_WORD.findall(str(kind)))
    }
    for name, line in negated_columns(sql):
        if name in declared:
            yield at(
                find_word(line_of(place, line), name),
                "negated_column",
                f"a record that lacks {name!r} passes neither it nor its negation",
                f"write {name} IS NOT TRUE, or NOT coalesce({name}, false)",
            )


def _describe(task: TaskSpec, sources: TaskSources, findings: list[Finding]) -> dict[str, str]:
    place = task.records_place
    with RecordStore() as store:
        store.load_labels(sources.labels)
        for name, reader in sources.readers.items():
            store.load(name, reader.schema(), iter(()))
        create_views(sources, store)
        if task.where:
            columns = store.describe(f'SELECT * FROM "{task.table}"', task.place("table"))
            store.describe(task.records_sql, place)
        else:
            columns = store.describe(task.records_sql, place)
        try:
            store.check_key(task.records_sql, task.key, task.key_place)
        except SpecError as error:
            known = f"the SELECT's columns are: {', '.join(columns)}"
            found = from_error(error, "key", task.document.path)
            findings.append(replace(found, message=_one_line(found.message), hint=found.hint or known))
            return columns
        store.prepare(task.records_sql, task.key, 0, place, task.key_place)
    return columns


def _one_line(message: str) -> str:
    return " ".join(message.split())


# --- templates


def _bind_texts(bound: BoundTask) -> None:
    """Compile every text, and check the names it uses against the fields available at that point."""
    task, renderer = bound.task, Renderer(bound.labels)
    fields: set[str] | None = None if bound.columns is None else set(bound.columns)
    for name, spec in task.derive.items():
        place = task.place("derive", name)
        if "text" in spec:
            bound.texts.append((spec["text"], place))
        made = _try(bound, "template", lambda: plan_fields({name: spec}, renderer, task.place))  # noqa: B023
        for derived in made or ():
            _use(bound, derived.reads, place, fields)
            if derived.pool and bound.columns is not None:
                _want_columns(bound, derived.pool, place)
        _want_list(bound, next((spec[op] for op in ("pick", "shuffle", "sample") if op in spec), None), place)
        if fields is not None:
            fields.add(name)
    _bind_options(bound, fields)
    shown = None if fields is None else fields | {OPTIONS}
    if task.turns:
        _use(bound, [task.turns], task.place("turns"), fields)
        _want_list(bound, task.turns, task.place("turns"))
    for key in ("target", "input", "image"):
        value = getattr(task, key)
        for text in value if isinstance(value, tuple) else (value,) if value else ():
            _bind_text(bound, renderer, text, task.place(key), fields if key == "target" else shown)
    if task.compose:
        composer = _try(bound, "template", lambda: Composer(task.compose or {}, renderer, task.place))
        if composer:
            _use(bound, composer.reads, task.place("compose"), fields)
    instruction = _try(bound, "template", lambda: instruction_of(task, bound.instruction_file))
    if instruction is not None:
        _bind_text(bound, renderer, instruction, Location(bound.instruction_file), shown, False)
    bound.used |= set(_WORD.findall(task.key)) | ({"split"} if task.splits else set())


def _bind_text(
    bound: BoundTask,
    renderer: Renderer,
    text: str,
    place: Location,
    fields: set[str] | None,
    bare_name: bool = True,
) -> None:
    bound.texts.append((text, place))
    expression = _try(bound, "template", lambda: renderer.compile(text, place, bare_name))
    if expression:
        _use(bound, expression.names, place, fields)


def _bind_options(bound: BoundTask, fields: set[str] | None) -> None:
    spec, task = bound.task.options, bound.task
    if not spec:
        return
    place = task.place("options")
    bound.options = _try(bound, "options", lambda: OptionsPlan(spec, bound.labels, place))
    if bound.options:
        _use(bound, bound.options.reads, place, fields)
        _want_list(bound, spec.get("field"), task.place("options", "field"))


def _try(bound: BoundTask, rule: str, make: Callable[[], T]) -> T | None:
    try:
        return make()
    except SpecError as error:
        bound.findings.append(from_error(error, rule, bound.task.document.path))
        return None


def _use(bound: BoundTask, names: Iterable[str], place: Location, fields: set[str] | None) -> None:
    names = sorted(names)
    bound.used.update(names)
    for name in names:
        if fields is not None and name not in fields:
            bound.findings.append(
                at(
                    find_word(place, name),
                    "template",
                    f"there is no field {name!r} here",
                    f"fields are: {', '.join(sorted(fields))}",
                )
            )


def _want_columns(bound: BoundTask, names: Iterable[str], place: Location) -> None:
    """`other` compares records, so it cannot use derived fields."""
    for name in names:
        if name in bound.task.derive:
            bound.findings.append(
                at(
                    find_word(place, name),
                    "derive",
                    f"`other` compares records, and {name!r} is derived after that",
                    "compute it in SQL; columns: " + ", ".join(bound.columns or ()),
                )
            )


def _want_list(bound: BoundTask, name: str | None, place: Location) -> None:
    kind = (bound.columns or {}).get(name or "", "")
    if kind and not kind.endswith("]"):
        bound.findings.append(
            at(find_word(place, str(name)), "derive", f"the field {name!r} is {kind}, not a list")
        )


@lru_cache(maxsize=512)
def _lines(file: str) -> tuple[str, ...]:
    return tuple(read_text(Path(file)).splitlines())


def find_word(place: Location, word: str) -> Location:
    """The first occurrence of a word from a location on; the location itself if there is none."""
    pattern = re.compile(rf"\b{re.escape(word)}\b")
    start = max(place.line - 1, 0)
    for number, line in enumerate(_lines(str(place.file))[start:], start + 1):
        found = pattern.search(line)
        if found:
            return Location(place.file, number, found.start() + 1)
    return place
