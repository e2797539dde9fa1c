"""Rules for one task that a JSON schema cannot say. A function is a rule, its docstring the rule's manual."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vision_flan.errors import Location
from vision_flan.review.bound import BoundTask, find_word
from vision_flan.review.license_rules import task_license
from vision_flan.spec.findings import Finding, at
from vision_flan.spec.model import CATEGORIES
from vision_flan.spec.nearest import did_you_mean

_WORDNET = re.compile(r"n\d{8}\Z")
_NUMBERED = re.compile(r"(?:0\d+[._-]|\d+[._])[^\W\d]")
_CAPITALS = re.compile(r"[A-Z]{5,}\Z")
_STAR = re.compile(r"(?:SELECT|,)\s*(?:DISTINCT\s+)?(?:\w+\.)?\*", re.IGNORECASE)


def _found(bound: BoundTask, rule: str) -> Iterator[Finding]:
    return (found for found in bound.findings if found.rule == rule)


def sql(bound: BoundTask) -> Iterator[Finding]:
    """`sql`, or `table` and `where`, is one SELECT over declared tables, and runs on empty tables."""
    yield from _found(bound, "sql")


def key(bound: BoundTask) -> Iterator[Finding]:
    """`key` is a SQL expression over the SELECT's columns."""
    yield from _found(bound, "key")


def row_order(bound: BoundTask) -> Iterator[Finding]:
    """`list`, `sum`, `first`, `row_number`, `LIMIT` and the like need ORDER BY: rows have no order."""
    yield from _found(bound, "row_order")


def negated_column(bound: BoundTask) -> Iterator[Finding]:
    """A column of a table is not negated directly (`NOT x`, `x = false`): that loses records without it."""
    yield from _found(bound, "negated_column")


def template(bound: BoundTask) -> Iterator[Finding]:
    """The instruction exists, and every template is valid Jinja over fields available at that point."""
    yield from _found(bound, "template")


def derive(bound: BoundTask) -> Iterator[Finding]:
    """`pick`, `shuffle`, `sample` and `options.field` take list fields; `other` takes columns of the
    SELECT."""
    yield from _found(bound, "derive")


def unused_field(bound: BoundTask) -> Iterator[Finding]:
    """A warning: a column of the SELECT or a derived field that nothing uses. Columns of `table:` and of `*`
    are exempt."""
    task = bound.task
    declared = [name for name in task.derive if name not in bound.used]
    for name in declared:
        yield at(
            task.place("derive", name),
            "unused_field",
            f"nothing uses the field {name!r}",
            "use it or remove it",
            "warning",
        )
    if task.sql is None:
        return
    starred = bool(_STAR.search(task.sql))
    for name in bound.columns or ():
        if name in bound.used or (starred and not re.search(rf"(?i)\bAS\s+{re.escape(name)}\b", task.sql)):
            continue
        yield at(
            find_word(task.place("sql"), name),
            "unused_field",
            f"nothing uses the column {name!r} of the SELECT",
            "use it or remove it",
            "warning",
        )


def labels(bound: BoundTask) -> Iterator[Finding]:
    """Label tables that are used are declared, and those the task declares are used."""
    yield from _found(bound, "labels")
    used = bound.label_tables_used()
    for name, place in used.items():
        if name not in bound.labels and place != bound.task.place("options", "labels"):
            known = ", ".join(sorted(bound.labels)) or "none"
            yield at(place, "labels", f"there is no label table {name!r}", f"declared: {known}")
    for name in bound.task.labels:
        if name not in used:
            yield at(
                bound.task.place("labels", name),
                "labels",
                f"nothing uses the label table {name!r}",
                f"label('{name}'), label_{name} in SQL, or options: {{labels: {name}}}",
                "warning",
            )


def options(bound: BoundTask) -> Iterator[Finding]:
    """Options have one pool, no repeated value, at least two values to show, and a letter for each."""
    yield from _found(bound, "options")
    spec, task = bound.task.options, bound.task
    if not spec:
        return
    pools = [name for name in ("values", "labels", "field") if name in spec]
    if len(pools) > 1:
        yield at(task.place("options"), "options", f"two pools: {' and '.join(pools)}", "keep one of them")
    values = spec.get("values", [])
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        yield at(task.place("options", "values"), "options", f"the option {twice[0]!r} is listed twice")
    pool = len(values) or len(set(bound.labels.get(spec.get("labels", ""), {}).values()))
    count = spec.get("count")
    if pool and count and count > pool and "include" not in spec:
        yield at(
            task.place("options", "count"),
            "options",
            f"count is {count}, but the pool has {pool} values",
            "leave `count` out to show the whole pool",
            "warning",
        )


def form(bound: BoundTask) -> Iterator[Finding]:
    """`form: options` and `options:` go together; a task with options has no free-text form."""
    task = bound.task
    if task.form == "options" and not task.options:
        yield at(
            task.place("form"), "form", "form is options, but the task has no `options:`", "add `options:`"
        )
    if task.options and task.form in ("free_text", "phrase", "sentence", "number"):
        yield at(
            task.place("form"),
            "form",
            f"the task shows options, but its form is {task.form}",
            "form: options",
            "warning",
        )


def alias(bound: BoundTask) -> Iterator[Finding]:
    """`alias` is unique, and is not another task's id."""
    name, task = bound.task.alias, bound.task
    if name is None:
        return
    other = bound.catalog.aliases.get(name, task.id)
    if other != task.id:
        yield at(
            task.place("alias"), "alias", f"{name!r} is also the alias of {other}", "a name must be unique"
        )
    if name in bound.catalog.task_files and name != task.id:
        yield at(task.place("alias"), "alias", f"{name!r} is the id of a task", "a name must be unique")


def category(bound: BoundTask) -> Iterator[Finding]:
    """The category of a task of the suite vision_flan is one of the paper's 25; others may name another."""
    named, place = bound.task.category, bound.task.place("category")
    if named in CATEGORIES:
        return
    near = did_you_mean(named, CATEGORIES, "")
    if "vision_flan" in bound.task.suites:
        hint = near or f"the paper's are: {', '.join(CATEGORIES)}"
        yield at(place, "category", f"{named!r} is not one of the paper's 25 categories", hint)
    elif near:
        message = f"{named!r} is a new category, but nearly the name of one of the paper's 25"
        yield at(place, "category", message, near, "warning")


def available(bound: BoundTask) -> Iterator[Finding]:
    """`available` is positive and known with the stated confidence; `limit` can be reached."""
    task = bound.task
    if task.available == 0:
        yield at(task.place("available"), "available", "available is 0", "null if it is unknown")
    if task.available is None and task.confidence == "high" and task.document.data.get("confidence"):
        yield at(
            task.place("confidence"),
            "available",
            "confidence is high, but available is unknown",
            "give `available`, or `confidence: low`",
            "warning",
        )
    limit = task.document.data.get("limit")
    if limit and task.available and limit > task.available:
        yield at(
            task.place("limit"),
            "available",
            f"limit is {limit:,}, but only {task.available:,} are available",
            "leave `limit` out",
            "warning",
        )


def raw_labels(bound: BoundTask) -> Iterator[Finding]:
    """A warning: names shown to a model look like raw ids: `n02085620`, `001.ak47`, `art_painting`,
    ALLCAPS."""
    task = bound.task
    for table in bound.label_tables_used():
        for raw, shown in bound.labels.get(table, {}).items():
            owner = task if table in task.labels else bound.dataset
            if why := looks_raw(shown):
                yield _raw(owner.document.place("labels", table, raw), shown, why)
    for i, value in enumerate((task.options or {}).get("values", ())):
        if why := looks_raw(value):
            yield _raw(task.place("options", "values", i), value, why)


def _raw(place: Location, shown: str, why: str) -> Finding:
    return at(place, "raw_labels", f"{shown!r} is shown to a model, and {why}", "write the name", "warning")


def looks_raw(text: str) -> str:
    """Why a label looks like a raw id; empty if it does not."""
    if _WORDNET.match(text):
        return "is a WordNet id"
    if "_" in text:
        return "has underscores"
    if _NUMBERED.match(text):
        return "starts with a number"
    if _CAPITALS.match(text):
        return "is all capitals"
    return ""


TASK_RULES = (
    sql, key, row_order, negated_column, template, derive, unused_field, labels, options, form, alias,
    category, available, raw_labels, task_license,
)  # fmt: skip
