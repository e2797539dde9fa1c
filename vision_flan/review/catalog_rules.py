"""Rules over the whole catalog, for `vflan validate --all`.

A function is a rule, its docstring the rule's manual.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from vision_flan.errors import Location, SpecError
from vision_flan.review.bound import BoundTask
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.findings import Finding, at, from_error
from vision_flan.spec.model import DatasetSpec
from vision_flan.spec.text import Document, load_yaml

CatalogRule = Callable[[Catalog, Mapping[str, BoundTask]], Iterator[Finding]]


def duplicate_id(catalog: Catalog, tasks: Mapping[str, BoundTask]) -> Iterator[Finding]:
    """A task id is used by one file only."""
    seen: dict[str, Path] = {}
    paths = [path for root in catalog.roots for path in sorted(root.specs.glob("*/*.yaml"))]
    for path in paths:
        if path.name == "dataset.yaml" or path.stem not in catalog.task_files:
            continue
        first = seen.setdefault(path.stem, path)
        if first != path:
            message = f"the task id {path.stem!r} is taken by {first.parent.name}/{first.name}"
            yield at(Location(path), "duplicate_id", message, "rename one of the two")


def stray_file(catalog: Catalog, tasks: Mapping[str, BoundTask]) -> Iterator[Finding]:
    """Every YAML file in a dataset's folder is a task or a label table that a spec names; every instruction
    belongs to a task."""
    known = {*catalog.task_files.values(), *catalog.dataset_files.values()}
    for bound in tasks.values():
        for owner in (bound.task, bound.dataset):
            folder = owner.document.path.parent
            known |= {folder / table for table in owner.labels.values() if isinstance(table, str)}
    for path in sorted(catalog.home.specs.glob("*/*.yaml")):
        if path in known or path.parent.name == "suites" or path.stem in catalog.task_files:
            continue
        message = "this is not a task, and no spec names it as a label table"
        yield at(
            Location(path),
            "stray_file",
            message,
            "a task starts with `id:` and is in a folder with dataset.yaml",
        )
    without = {name for name, bound in tasks.items() if not bound.task.own_instruction}
    for path in sorted(catalog.home.instructions.glob("*")):
        if path.suffix != ".j2" or path.stem not in catalog.task_files:
            message = f"there is no task {path.stem!r}"
            yield at(Location(path), "stray_file", message, "rename it to <task id>.j2, or remove it")
        elif path.stem in without:
            message = f"{path.stem} says `instruction: null`"
            yield at(Location(path), "stray_file", message, "remove it, or that line")


def dataset_labels(catalog: Catalog, tasks: Mapping[str, BoundTask]) -> Iterator[Finding]:
    """A warning: a label table of a dataset that no task uses."""
    used: dict[str, set[str]] = {}
    for bound in tasks.values():
        own = used.setdefault(bound.dataset.dataset, set())
        own |= set(bound.label_tables_used()) - set(bound.task.labels)
    for bound in {bound.dataset.dataset: bound for bound in tasks.values()}.values():
        dataset = bound.dataset
        for name in set(dataset.labels) - used[dataset.dataset]:
            message = f"no task uses the label table {name!r}"
            place = dataset.document.place("labels", name)
            yield at(place, "dataset_labels", message, "use it or remove it", "warning")


def citation_key(catalog: Catalog, tasks: Mapping[str, BoundTask]) -> Iterator[Finding]:
    """A warning: two datasets give the same BibTeX key different entries."""
    seen: dict[str, DatasetSpec] = {}
    for dataset in {b.dataset.dataset: b.dataset for b in tasks.values()}.values():
        key = dataset.citation.partition("{")[2].partition(",")[0].strip()
        first = seen.setdefault(key, dataset)
        if " ".join(first.citation.split()) != " ".join(dataset.citation.split()):
            message = f"the key {key!r} has another entry in {first.dataset}/dataset.yaml"
            place = dataset.document.place("citation")
            yield at(place, "citation_key", message, "use the same entry for the same work", "warning")


def suites(catalog: Catalog, tasks: Mapping[str, BoundTask]) -> Iterator[Finding]:
    """A file `suites/<name>.yaml` has a title and lists, once each, the tasks that name the suite, and no
    others."""
    members: dict[str, set[str]] = {}
    for path in sorted((catalog.home.specs / "suites").glob("*.yaml")):
        try:
            document = load_yaml(path)
        except SpecError as error:
            yield from_error(error, "suites", path)
            continue
        members[path.stem] = set(_listed(document))
        if not members[path.stem] or not document.data.get("title"):
            yield at(document.place(), "suites", "a suite has `title` and a list `tasks`")
        yield from _members(path.stem, document, catalog, tasks)
    for bound in tasks.values():
        for i, suite in enumerate(bound.task.suites):
            if bound.task.id not in members.get(suite, set()):
                place = bound.task.place("suites", i)
                yield at(
                    place, "suites", f"suites/{suite}.yaml does not list {bound.task.id}", "add it there"
                )


def _members(
    suite: str, document: Document, catalog: Catalog, tasks: Mapping[str, BoundTask]
) -> Iterator[Finding]:
    listed = _listed(document)
    for i, task in enumerate(listed):
        place = document.place("tasks", i)
        if task not in catalog.task_files:
            yield at(place, "suites", f"there is no task {task!r}", "`vflan list` shows all tasks")
        elif task in listed[:i]:
            yield at(place, "suites", f"{task} is listed twice", "remove one of the two")
        elif task in tasks and suite not in tasks[task].task.suites:
            message = f"{task} does not name the suite {suite!r}"
            yield at(place, "suites", message, f"suites: [{suite}] in the task")


def _listed(document: Document) -> list[str]:
    tasks = document.data.get("tasks") if isinstance(document.data, dict) else None
    return [str(task) for task in tasks] if isinstance(tasks, list) else []


CATALOG_RULES: tuple[CatalogRule, ...] = (duplicate_id, stray_file, dataset_labels, citation_key, suites)
