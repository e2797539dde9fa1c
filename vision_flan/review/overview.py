"""What is known of tasks, datasets and suites, as plain data: `vflan list`, `show`, `suite list`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypedDict

from vision_flan.build.open_task import open_task, raw_files_present
from vision_flan.errors import VflanError
from vision_flan.instances.maker import Text
from vision_flan.instances.rendering import instruction_of
from vision_flan.miniatures import registry
from vision_flan.raw.roots import RawPlaces
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.model import DatasetSpec
from vision_flan.spec.names import tasks_of
from vision_flan.spec.nearest import did_you_mean
from vision_flan.spec.text import load_yaml

#: Records of the miniature that the example is taken from.
_EXAMPLE_RECORDS = 12
#: Candidates rendered until one makes an example.
_EXAMPLE_CANDIDATES = 200


class TaskFacts(TypedDict):
    """One task in a list."""

    task: str
    title: str
    category: str
    dataset: str
    suites: list[str]
    alias: str | None
    form: str
    license: str
    spdx: str | None
    images_verdict: str
    access: str
    available: int | None
    confidence: str
    limit: int | None


class Example(TypedDict):
    """One rendered instance."""

    source_id: str
    prompt: str
    target: str


class Source(TypedDict):
    """Who made a dataset."""

    title: str
    homepage: str
    citation: str


class TaskDetails(TaskFacts):
    """One task in full; `records` are counted in raw files only."""

    spec: str
    source: Source
    license_note: str
    how_to_get: str
    instruction: str
    example: Example | None
    records: int | None
    example_from: str


class DatasetDetails(TypedDict):
    """A dataset and its tasks."""

    dataset: str
    source: Source
    license: str
    license_note: str
    images_verdict: str
    access: str
    how_to_get: str
    spec: str
    tasks: list[TaskFacts]


class SuiteFacts(TypedDict):
    """One suite in a list; `available` adds up the tasks whose number is known."""

    suite: str
    title: str
    tasks: int
    available: int
    unknown: int


@dataclass(frozen=True)
class Filters:
    """Which tasks are listed; None lists all.

    Attributes:
        license: an SPDX id, or a piece of the license's name.
        present: a raw folder that has the annotation files.
    """

    category: str | None = None
    dataset: str | None = None
    suite: str | None = None
    license: str | None = None
    present: RawPlaces | None = None


def task_facts(catalog: Catalog, name: str) -> TaskFacts:
    """What a list says of one task."""
    task = catalog.task(name)
    dataset, license = catalog.dataset_of(task), catalog.license(task)
    return {
        "task": task.id,
        "title": task.title,
        "category": task.category,
        "dataset": task.dataset,
        "suites": list(task.suites),
        "alias": task.alias,
        "form": task.form,
        "license": license.name,
        "spdx": license.spdx,
        "images_verdict": license.images.verdict,
        "access": dataset.access,
        "available": task.available,
        "confidence": task.confidence,
        "limit": task.limit,
    }


def list_tasks(catalog: Catalog, filters: Filters) -> tuple[list[TaskFacts], str]:
    """The tasks that pass all filters; and, where there are none, why, with the nearest value."""
    rows = [task_facts(catalog, task) for task in catalog.task_files]
    tests = _tests(filters, catalog)
    chosen = [row for row in rows if all(test(row) for test in tests.values())]
    return chosen, "" if chosen else _why_none(rows, filters, tests)


_Test = Callable[[TaskFacts], bool]


def _tests(filters: Filters, catalog: Catalog) -> dict[str, _Test]:
    """Filter -> whether a task passes it; the one that opens raw files comes last."""
    category, dataset, suite, license = filters.category, filters.dataset, filters.suite, filters.license
    present = filters.present
    tests: dict[str, _Test] = {}
    if category is not None:
        tests["category"] = lambda row: row["category"].casefold() == category.casefold()
    if dataset is not None:
        tests["dataset"] = lambda row: row["dataset"] == dataset
    if suite is not None:
        tests["suite"] = lambda row: suite in row["suites"]
    if license is not None:
        tests["license"] = lambda row: license.casefold() in f"{row['license']} {row['spdx']}".casefold()
    if present is not None:
        tests["present"] = lambda row: raw_files_present(row["task"], present, catalog)
    return tests


def _why_none(rows: list[TaskFacts], filters: Filters, tests: Mapping[str, _Test]) -> str:
    values = {
        "category": {row["category"] for row in rows},
        "dataset": {row["dataset"] for row in rows},
        "suite": {suite for row in rows for suite in row["suites"]},
        "license": {name for row in rows for name in (row["license"], row["spdx"]) if name},
    }
    for name, known in values.items():
        if name in tests and not any(map(tests[name], rows)):
            value = getattr(filters, name)
            few = ", ".join(sorted(known)) if len(known) <= 30 else "`vflan list` shows all"
            return f"no task has {name} {value!r}; {did_you_mean(value, known, few)}"
    return f"none of the {len(rows)} tasks match all filters; `vflan list` shows them all"


def dataset_details(catalog: Catalog, slug: str) -> DatasetDetails:
    """A dataset and its tasks."""
    dataset = catalog.dataset(slug)
    return {
        "dataset": slug,
        "source": _source(dataset),
        "license": dataset.license.name,
        "license_note": " ".join(dataset.license.note.split()),
        "images_verdict": dataset.license.images.verdict,
        "access": dataset.access,
        "how_to_get": " ".join(dataset.how_to_get.split()),
        "spec": str(dataset.document.path),
        "tasks": [task_facts(catalog, task) for task in tasks_of(catalog, slug)],
    }


def task_details(catalog: Catalog, name: str, raw: RawPlaces | None, seed: int) -> TaskDetails:
    """A task in full, with an example from raw files, or from a miniature.

    Raises:
        VflanError: no such task, or raw files that cannot be read; a missing miniature is reported in
            `example_from`, not raised.
    """
    task = catalog.task(name)
    dataset = catalog.dataset_of(task)
    example, records, origin = _example(task.id, raw, seed, catalog)
    return {
        **task_facts(catalog, task.id),
        "spec": str(task.document.path),
        "source": _source(dataset),
        "license_note": " ".join(dataset.license.note.split()),
        "how_to_get": " ".join(dataset.how_to_get.split()),
        "instruction": instruction_of(task, catalog.instruction_file(task.id)),
        "example": example,
        "records": records,
        "example_from": origin,
    }


def _source(dataset: DatasetSpec) -> Source:
    return {"title": dataset.title, "homepage": dataset.homepage, "citation": dataset.citation.strip()}


def _example(
    name: str, raw: RawPlaces | None, seed: int, catalog: Catalog
) -> tuple[Example | None, int | None, str]:
    if raw is not None:
        example, count = _first(name, raw, seed, catalog)
        return example, count, str(raw)
    try:
        with registry.temporary(catalog.task(name).dataset, _EXAMPLE_RECORDS, seed, catalog) as folder:
            return _first(name, folder, seed, catalog)[0], None, "miniature"
    except VflanError as error:
        return None, None, f"none: {error.what}"


def _first(name: str, root: RawPlaces, seed: int, catalog: Catalog) -> tuple[Example | None, int]:
    with open_task(name, root, catalog, seed) as opened:
        for row, text in opened.texts(_EXAMPLE_CANDIDATES, seed):
            if isinstance(text, Text):
                example: Example = {"source_id": row["_key"], "prompt": text.prompt, "target": text.target}
                return example, opened.candidates.count
        return None, opened.candidates.count


def list_suites(catalog: Catalog) -> list[SuiteFacts]:
    """Every suite: its title, how many tasks it has, and how many instances they can make."""
    found: list[SuiteFacts] = []
    for name, tasks in catalog.suites.items():
        known = [catalog.task(task).available for task in tasks]
        title = load_yaml(catalog.suite_files[name]).data.get("title") or ""
        found.append(
            {
                "suite": name,
                "title": str(title),
                "tasks": len(tasks),
                "available": sum(count for count in known if count is not None),
                "unknown": sum(count is None for count in known),
            }
        )
    return found
