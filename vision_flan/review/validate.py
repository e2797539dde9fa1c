"""`vflan validate`: every rule over chosen specs, all findings at once.

A rule is a function; its name is the rule's id, its docstring the rule's manual (docs/spec.md repeats it).
Rules of one task are in `task_rules`, of one dataset in `dataset_rules`, over rendered instances in `lints`;
here are those of files and of the whole catalog.
"""

from __future__ import annotations

import difflib
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from vision_flan.errors import Location, SpecError
from vision_flan.report import Reporter, Silent
from vision_flan.review.bound import BoundTask, bind_task
from vision_flan.review.dataset_rules import DATASET_RULES
from vision_flan.review.form import form
from vision_flan.review.lints import LINTS, similar_instructions
from vision_flan.review.rendered import render_miniatures
from vision_flan.review.task_rules import TASK_RULES
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.findings import Finding, at, from_error
from vision_flan.spec.model import DatasetSpec, TaskSpec, dataset_from, task_from
from vision_flan.spec.schema import check_schema
from vision_flan.spec.text import Document, load_yaml

#: First line of a spec, by which editors complete and check it.
SCHEMA_COMMENT = "# yaml-language-server: $schema=../../vision_flan/spec/{kind}.schema.json"


@dataclass
class Checked:
    """What was checked.

    Attributes:
        bound: tasks whose files are valid, by id, for rules that compare tasks or render them.
        findings: sorted, each once.
    """

    tasks: list[str]
    datasets: list[str]
    bound: dict[str, BoundTask] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def errors(self) -> int:
        return sum(found.severity == "error" for found in self.findings)

    def add(self, findings: Iterable[Finding]) -> None:
        self.findings = sorted({*self.findings, *findings})


def validate(
    catalog: Catalog,
    tasks: Iterable[str] | None = None,
    *,
    rendered: bool = False,
    report: Reporter | None = None,
) -> Checked:
    """Check tasks and their datasets, or with None everything there is.

    Args:
        rendered: also render instances from miniatures, which takes a second or so a dataset.

    Raises:
        SpecError: a name that is no task.
    """
    chosen = sorted(catalog.task_files if tasks is None else {catalog.resolve(name) for name in tasks})
    folders = {catalog.task_files[task].parent.name for task in chosen}
    checked = Checked(chosen, sorted(catalog.dataset_files if tasks is None else folders))
    valid: dict[str, DatasetSpec] = {}
    for slug in checked.datasets:
        document = _document(catalog.dataset_files[slug], "dataset", checked)
        if document:
            valid[slug] = dataset_from(document)
            checked.add(found for rule in DATASET_RULES for found in rule(valid[slug], catalog))
    for task in chosen:
        document = _document(catalog.task_files[task], "task", checked)
        if document:
            _check_task(task_from(document), catalog, valid, checked)
    if tasks is None:
        checked.add(found for rule in CATALOG_RULES for found in rule(catalog, checked))
        checked.add(similar_instructions(checked.bound))
    if rendered:
        for made in render_miniatures(catalog, _renderable(checked), report or Silent()):
            checked.add(found for lint in LINTS for found in lint(checked.bound[made.task], made))
    _forgive(checked)
    return checked


def _renderable(checked: Checked) -> list[str]:
    """Tasks without errors in their own files: the others have said enough."""
    broken = {
        found.file for found in checked.findings if found.severity == "error" and found.rule != "suites"
    }
    return [
        name
        for name, bound in checked.bound.items()
        if not broken & {str(bound.task.document.path), str(bound.instruction_file)}
    ]


def _document(path: Path, kind: str, checked: Checked) -> Document | None:
    """A file that is YAML and passes its schema."""
    try:
        document = load_yaml(path)
    except SpecError as error:
        checked.add([from_error(error, "yaml", path)])
        return None
    found = check_schema(document, kind)
    checked.add(found)
    checked.add(schema_comment(document, kind))
    if found:
        return None
    checked.add(names(document, kind))
    checked.add(form(document, kind))
    return document


def _check_task(task: TaskSpec, catalog: Catalog, datasets: dict[str, DatasetSpec], checked: Checked) -> None:
    if task.dataset not in datasets or task.id != task.document.path.stem:
        return  # said by `names` and by the findings of dataset.yaml
    bound = bind_task(task, catalog)
    checked.bound[task.id] = bound
    checked.add(found for rule in (*TASK_RULES, allow) for found in rule(bound))


def _forgive(checked: Checked) -> None:
    """Leave out what a task breaks on purpose."""
    allowed = {
        (str(path), rule)
        for bound in checked.bound.values()
        for rule in bound.task.allow
        for path in (bound.task.document.path, bound.instruction_file)
    }
    checked.findings = [f for f in checked.findings if (f.file, f.rule) not in allowed]


# --- rules of files


def names(document: Document, kind: str) -> Iterator[Finding]:
    """`dataset` is the name of the folder, a task's `id` the name of its file."""
    path, data = document.path, document.data
    wanted = {"dataset": path.parent.name} | ({"id": path.stem} if kind == "task" else {})
    for key, name in wanted.items():
        if data[key] != name:
            where = "file" if key == "id" else "folder"
            message = f"{key} is {data[key]!r}, the {where} is {name!r}"
            yield at(document.place(key), "names", message, f"{key}: {name}")


def schema_comment(document: Document, kind: str) -> Iterator[Finding]:
    """A warning: the first line names the schema, by which editors complete and check a spec."""
    wanted = SCHEMA_COMMENT.format(kind=kind)
    with document.path.open(encoding="utf-8", errors="replace") as file:
        first = file.readline().strip()
    if first != wanted:
        message = "editors do not know the schema of this file"
        yield at(Location(document.path, 1), "schema_comment", message, f"first line: {wanted}", "warning")


# --- rules of the catalog


def duplicate_id(catalog: Catalog, checked: Checked) -> Iterator[Finding]:
    """A task id is the name of one file."""
    seen: dict[str, Path] = {}
    for path in sorted(catalog.specs.glob("*/*.yaml")):
        if path.name == "dataset.yaml" or path.stem not in catalog.task_files:
            continue
        first = seen.setdefault(path.stem, path)
        if first != path:
            message = f"the task id {path.stem!r} is taken by {first.parent.name}/{first.name}"
            yield at(Location(path), "duplicate_id", message, "rename one of the two")


def stray_file(catalog: Catalog, checked: Checked) -> Iterator[Finding]:
    """Every YAML file beside the specs is a task or a label table that a spec names; every instruction
    belongs to a task."""
    known = {*catalog.task_files.values(), *catalog.dataset_files.values()}
    for bound in checked.bound.values():
        for owner in (bound.task, bound.dataset):
            folder = owner.document.path.parent
            known |= {folder / table for table in owner.labels.values() if isinstance(table, str)}
    for path in sorted(catalog.specs.glob("*/*.yaml")):
        if path in known or path.parent.name == "suites" or path.stem in catalog.task_files:
            continue
        message = "this is no task, and no spec names it as a label table"
        yield at(
            Location(path), "stray_file", message, "a task starts with `id:` and lies beside a dataset.yaml"
        )
    for path in sorted(catalog.instructions.glob("*")):
        if path.suffix != ".j2" or path.stem not in catalog.task_files:
            message = f"there is no task {path.stem!r}"
            yield at(Location(path), "stray_file", message, "rename it to <task id>.j2, or remove it")


def dataset_labels(catalog: Catalog, checked: Checked) -> Iterator[Finding]:
    """A warning: a label table of a dataset that no task uses."""
    used: dict[str, set[str]] = {}
    for bound in checked.bound.values():
        own = used.setdefault(bound.dataset.dataset, set())
        own |= set(bound.label_tables_used()) - set(bound.task.labels)
    for bound in {bound.dataset.dataset: bound for bound in checked.bound.values()}.values():
        dataset = bound.dataset
        for name in set(dataset.labels) - used[dataset.dataset]:
            message = f"no task uses the label table {name!r}"
            place = dataset.document.place("labels", name)
            yield at(place, "dataset_labels", message, "use it or remove it", "warning")


def citation_key(catalog: Catalog, checked: Checked) -> Iterator[Finding]:
    """A warning: two datasets give the same BibTeX key different entries."""
    seen: dict[str, DatasetSpec] = {}
    for dataset in {b.dataset.dataset: b.dataset for b in checked.bound.values()}.values():
        key = dataset.citation.partition("{")[2].partition(",")[0].strip()
        first = seen.setdefault(key, dataset)
        if " ".join(first.citation.split()) != " ".join(dataset.citation.split()):
            message = f"the key {key!r} has another entry in {first.dataset}/dataset.yaml"
            place = dataset.document.place("citation")
            yield at(place, "citation_key", message, "the same work has the same entry", "warning")


def suites(catalog: Catalog, checked: Checked) -> Iterator[Finding]:
    """A file `suites/<name>.yaml` has a title and lists, once each, the tasks that name the suite, and no
    others."""
    members: dict[str, set[str]] = {}
    for path in sorted((catalog.specs / "suites").glob("*.yaml")):
        try:
            document = load_yaml(path)
        except SpecError as error:
            yield from_error(error, "suites", path)
            continue
        data = document.data if isinstance(document.data, dict) else {}
        listed = [str(task) for task in data.get("tasks") or []]
        members[path.stem] = set(listed)
        if not data.get("title") or not listed:
            yield at(document.place(), "suites", "a suite has `title` and a list `tasks`")
        for i, task in enumerate(listed):
            yield from _suite_member(path.stem, task, i, listed, document, catalog, checked)
    for bound in checked.bound.values():
        for i, suite in enumerate(bound.task.suites):
            if bound.task.id not in members.get(suite, set()):
                place = bound.task.place("suites", i)
                yield at(
                    place, "suites", f"suites/{suite}.yaml does not list {bound.task.id}", "add it there"
                )


def _suite_member(
    suite: str, task: str, i: int, listed: list[str], document: Document, catalog: Catalog, checked: Checked
) -> Iterator[Finding]:
    place = document.place("tasks", i)
    if task not in catalog.task_files:
        yield at(place, "suites", f"there is no task {task!r}", "`vflan list` shows all tasks")
    elif task in listed[:i]:
        yield at(place, "suites", f"{task} stands twice")
    elif task in checked.bound and suite not in checked.bound[task].task.suites:
        yield at(
            place, "suites", f"{task} does not name the suite {suite!r}", f"suites: [{suite}] in the task"
        )


def allow(bound: BoundTask) -> Iterator[Finding]:
    """`allow` names rules that there are."""
    known = rules()
    for i, rule in enumerate(bound.task.allow):
        if rule not in known:
            place = bound.task.place("allow", i)
            near = difflib.get_close_matches(rule, known, n=1) or sorted(known)
            yield at(place, "allow", f"there is no rule {rule!r}", f"did you mean {near[0]!r}?")


CatalogRule = Callable[[Catalog, Checked], Iterator[Finding]]

CATALOG_RULES: tuple[CatalogRule, ...] = (duplicate_id, stray_file, dataset_labels, citation_key, suites)

#: What the YAML reader and the JSON Schemas say; `_document` hands it out.
_FORMAT_RULES = {
    "yaml": "A spec is plain YAML in UTF-8: no tags, anchors, duplicate keys or tabs.",
    "schema": "A spec has the keys and values of its JSON Schema; the category is one of the paper's 25.",
}


def rules() -> dict[str, str]:
    """Every rule and its manual, in the order of docs/spec.md."""
    over_specs = (names, schema_comment, form, *TASK_RULES, allow, *DATASET_RULES, *CATALOG_RULES)
    functions = (*over_specs, similar_instructions, *LINTS)
    return _FORMAT_RULES | {rule.__name__: " ".join((rule.__doc__ or "").split()) for rule in functions}


def rules_markdown() -> str:
    """The rules as a table, for docs/spec.md."""
    rows = "\n".join(f"| `{rule}` | {manual} |" for rule, manual in rules().items())
    return f"| rule | what it wants |\n|---|---|\n{rows}\n"


# --- what changed


def changed_tasks(catalog: Catalog, ref: str) -> list[str]:
    """Tasks whose files differ from a git revision: spec, dataset, label tables, instruction.

    Raises:
        SpecError: the specs are in no git checkout, or there is no such revision.
    """
    listings = (
        ["diff", "--name-only", "--relative", "--end-of-options", ref, "--", "."],
        ["ls-files", "--others", "--exclude-standard"],
    )
    changed: set[str] = set()
    for folder in (catalog.specs, catalog.instructions):
        for arguments in listings:
            done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True)
            if done.returncode:
                reason = done.stderr.strip().splitlines() or ["git failed"]
                raise SpecError(
                    reason[0], where=Location(folder), hint="give a revision git knows, such as main"
                )
            changed |= {str(folder / line) for line in done.stdout.splitlines()}
    return [
        task
        for task, path in catalog.task_files.items()
        if str(path) in changed
        or str(catalog.instruction_file(task)) in changed
        or any(str(other) in changed for other in path.parent.glob("*.yaml") if _shared(other, catalog))
    ]


def _shared(path: Path, catalog: Catalog) -> bool:
    """dataset.yaml and label tables: what all tasks of the folder depend on."""
    return catalog.task_files.get(path.stem) != path


def relative_to(findings: Iterable[Finding], folder: Path) -> list[Finding]:
    """Findings with paths below a folder shown from there on, as editors and pull requests want them."""
    root = f"{folder.resolve()}/"
    return [
        replace(found, file=found.file.removeprefix(root), hint=found.hint.replace(root, ""))
        for found in findings
    ]
