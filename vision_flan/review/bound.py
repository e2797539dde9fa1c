"""A task bound to its dataset on tables without rows: what its SQL yields and its templates use.

Binding goes on after a problem, so that everything wrong with a spec is found at once. No raw file is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from vision_flan.errors import Location, SpecError
from vision_flan.instances.compose import Composer
from vision_flan.instances.derive import plan_fields
from vision_flan.instances.options import OptionsPlan
from vision_flan.instances.rendering import Renderer, read_template
from vision_flan.records.sql import check_select, unordered_aggregates
from vision_flan.records.store import RecordStore
from vision_flan.records.tables import TaskSources, task_sources
from vision_flan.spec.catalog import Catalog, load_labels
from vision_flan.spec.findings import Finding, at, from_error
from vision_flan.spec.model import DatasetSpec, TaskSpec

#: Names that a template sees beside the fields.
OPTIONS = "options"

T = TypeVar("T")

_LABEL_FILTER = re.compile(r"\|\s*label\(\s*['\"](\w+)['\"]\s*\)")
_NAME = re.compile(r"\w+")
_WORD = re.compile(r"[A-Za-z_]\w*")


@dataclass
class BoundTask:
    """What is known of a task without its raw files.

    Attributes:
        labels: label tables of the dataset and the task.
        columns: the SELECT's columns and their SQL types; None when it does not run.
        texts: every text that may hold Jinja, with its place.
        used: fields that something uses.
        options: None when there are none or they are wrong.
        findings: what was wrong on the way; rules of `vision_flan.review.task_rules` hand them out by name.
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
        """Names of label tables that SQL, options and templates ask for, and where."""
        place = self.task.place("sql" if self.task.sql is not None else "table")
        in_sql = {name for name in self.labels if f"label_{name}" in self.task.records_sql}
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
        sources = task_sources(task, bound.catalog)
    except SpecError as error:
        if error.where is None or str(error.where.file) != str(bound.dataset.document.path):
            bound.findings.append(from_error(error, "sql", task.document.path))
        return  # what is wrong in dataset.yaml, its own rules say
    try:
        bound.columns = _describe(task, sources, bound.findings)
    except SpecError as error:
        found = from_error(error, "sql", task.document.path)
        bound.findings.append(replace(found, message=_one_line(found.message)))
        return
    for name in unordered_aggregates(task.records_sql):
        bound.findings.append(
            at(
                find_word(where, name),
                "row_order",
                f"{name}() has no ORDER BY, and rows have no order of their own",
                f"write {name}(... ORDER BY ...), or arg_min/min/max where one value is enough",
            )
        )


def _describe(task: TaskSpec, sources: TaskSources, findings: list[Finding]) -> dict[str, str]:
    place = task.records_place
    with RecordStore() as store:
        store.load_labels(sources.labels)
        for name, reader in sources.readers.items():
            store.load(name, reader.schema(), iter(()))
        if task.where:
            columns = store.describe(f'SELECT * FROM "{task.table}"', task.place("table"))
            store.describe(task.records_sql, place)
        else:
            columns = store.describe(task.records_sql, place)
        key_place = task.place("key")
        probe = f"SELECT CAST(({task.key}) AS VARCHAR) AS k FROM ({task.records_sql}) AS _"
        try:
            if not _NAME.fullmatch(task.key):
                check_select(f"SELECT ({task.key}) AS k", key_place)
            store.describe(probe, key_place)
        except SpecError as error:
            findings.append(
                at(key_place, "key", _one_line(error.what), f"the SELECT's columns are: {', '.join(columns)}")
            )
            return columns
        store.prepare(task.records_sql, task.key, 0, place)
    return columns


def _one_line(message: str) -> str:
    return " ".join(message.split())


# --- templates


def _bind_texts(bound: BoundTask) -> None:
    """Compile every text, and check the names it uses against the fields there are at that point."""
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
    for key in ("target", "input", "image"):
        value = getattr(task, key)
        for text in value if isinstance(value, tuple) else (value,) if value else ():
            _bind_text(bound, renderer, text, task.place(key), fields if key == "target" else shown)
    if task.compose:
        composer = _try(bound, "template", lambda: Composer(task.compose or {}, renderer, task.place))
        if composer:
            _use(bound, composer.reads, task.place("compose"), fields)
    instruction = _try(bound, "template", lambda: read_template(bound.instruction_file))
    if instruction is not None:
        _bind_text(bound, renderer, instruction.strip(), Location(bound.instruction_file), shown)
    bound.used |= set(_WORD.findall(task.key))


def _bind_text(
    bound: BoundTask, renderer: Renderer, text: str, place: Location, fields: set[str] | None
) -> None:
    bound.texts.append((text, place))
    expression = _try(bound, "template", lambda: renderer.compile(text, place))
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
    """`other` looks at other records, so derived fields are no use to it."""
    for name in names:
        if name in bound.task.derive:
            bound.findings.append(
                at(
                    find_word(place, name),
                    "derive",
                    f"`other` compares records, and {name!r} is made after that",
                    "make it in SQL: " + ", ".join(bound.columns or ()),
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
    return tuple(Path(file).read_text("utf-8", errors="replace").splitlines())


def find_word(place: Location, word: str) -> Location:
    """The first line from a place on that holds a word; the place itself when none does."""
    pattern = re.compile(rf"\b{re.escape(word)}\b")
    start = max(place.line - 1, 0)
    for number, line in enumerate(_lines(str(place.file))[start:], start + 1):
        found = pattern.search(line)
        if found:
            return Location(place.file, number, found.start() + 1)
    return place
