"""`vflan validate`: every rule over the chosen specs, all findings at once.

A rule is a function; its name is the rule's id, its docstring the rule's manual (docs/spec.md repeats it).
Each module of rules has one scope: `task_rules`, `instruction_rules`, `dataset_rules`, `catalog_rules`, and
`lints` over rendered instances. The rules of single files are here.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vision_flan.errors import Location, SpecError
from vision_flan.report import Reporter, Silent
from vision_flan.review.bound import BoundTask, bind_task
from vision_flan.review.catalog_rules import CATALOG_RULES, duplicate_id
from vision_flan.review.dataset_rules import DATASET_RULES
from vision_flan.review.instruction_rules import INSTRUCTION_RULES, median_words, similar_instructions
from vision_flan.review.layout import layout
from vision_flan.review.lints import LINTS
from vision_flan.review.rendered import render_miniatures
from vision_flan.review.task_rules import TASK_RULES
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.files import read_text
from vision_flan.spec.findings import Finding, at, from_error
from vision_flan.spec.model import DatasetSpec
from vision_flan.spec.schema import check_schema
from vision_flan.spec.text import Document, load_yaml

#: First line of a spec; editors use it to complete and check the file.
SCHEMA_COMMENT = "# yaml-language-server: $schema=../../vision_flan/spec/{kind}.schema.json"
#: The same for specs outside of a checkout.
SCHEMA_COMMENT_ELSEWHERE = (
    "# yaml-language-server: $schema=https://raw.githubusercontent.com/vision-flan/vision-flan/main/"
    "vision_flan/spec/{kind}.schema.json"
)


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

    @property
    def warnings(self) -> int:
        return len(self.findings) - self.errors

    @property
    def median_words(self) -> float | None:
        """The median length of the checked instructions in words."""
        return median_words(self.bound.values())

    def add(self, findings: Iterable[Finding]) -> None:
        self.findings = sorted({*self.findings, *findings})


def validate(
    catalog: Catalog,
    tasks: Iterable[str] | None = None,
    *,
    rendered: bool = False,
    report: Reporter | None = None,
) -> Checked:
    """Check tasks and their datasets; with None, all of the catalog's last root, and how they fit together.

    Args:
        rendered: also render instances from miniatures; takes about a second per dataset.

    Raises:
        SpecError: unknown task name.
    """
    chosen = sorted(catalog.tasks_at_home if tasks is None else {catalog.resolve(name) for name in tasks})
    folders = {catalog.task_files[task].parent.name for task in chosen}
    folders |= set(catalog.datasets_at_home if tasks is None else ())
    checked = Checked(chosen, sorted(folders))
    valid: dict[str, DatasetSpec] = {}
    for slug in checked.datasets:
        document = _document(catalog.dataset_files[slug], "dataset", checked)
        if document:
            _check_dataset(document, catalog, valid, checked)
    for task in chosen:
        document = _document(catalog.task_files[task], "task", checked)
        if document:
            _check_task(document, catalog, valid, checked)
    if tasks is None:
        checked.add(found for rule in CATALOG_RULES for found in rule(catalog, checked.bound))
        checked.add(similar_instructions(checked.bound))
    else:
        taken = duplicate_id(catalog, checked.bound)
        checked.add(found for found in taken if Path(found.file).stem in chosen)
    if rendered:
        for made in render_miniatures(catalog, _renderable(checked), report or Silent()):
            checked.add(found for lint in LINTS for found in lint(checked.bound[made.task], made))
    _forgive(checked)
    return checked


def _renderable(checked: Checked) -> list[str]:
    """Tasks without errors in their own files; the others already have findings."""
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
    checked.add(layout(document, kind))
    return document


def _check_dataset(
    document: Document, catalog: Catalog, valid: dict[str, DatasetSpec], checked: Checked
) -> None:
    try:
        dataset = catalog.bind_dataset(document)
    except SpecError as error:  # its lender is unknown, or has no valid dataset.yaml
        checked.add([from_error(error, "license", document.path)])
        return
    valid[document.path.parent.name] = dataset
    checked.add(found for rule in DATASET_RULES for found in rule(dataset, catalog))


def _check_task(
    document: Document, catalog: Catalog, datasets: dict[str, DatasetSpec], checked: Checked
) -> None:
    try:
        task = catalog.bind_task(document)
    except SpecError as error:
        checked.add([from_error(error, "license", document.path)])
        return
    if task.dataset not in datasets or task.id != task.document.path.stem:
        return  # `names` or the rules of dataset.yaml report it
    bound = bind_task(task, catalog)
    checked.bound[task.id] = bound
    checked.add(found for rule in (*TASK_RULES, *INSTRUCTION_RULES, allow) for found in rule(bound))


def _forgive(checked: Checked) -> None:
    """Drop findings of rules that a task breaks on purpose."""
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
    """A warning: the first line does not name the schema, which editors need to complete and check a spec."""
    wanted = SCHEMA_COMMENT.format(kind=kind)
    elsewhere = SCHEMA_COMMENT_ELSEWHERE.format(kind=kind)
    first = read_text(document.path).partition("\n")[0].strip()
    if first not in (wanted, elsewhere):
        message = "editors do not know the schema of this file"
        yield at(Location(document.path, 1), "schema_comment", message, f"first line: {wanted}", "warning")


def allow(bound: BoundTask) -> Iterator[Finding]:
    """`allow` names existing rules."""
    known = rules()
    for i, rule in enumerate(bound.task.allow):
        if rule not in known:
            place = bound.task.place("allow", i)
            near = difflib.get_close_matches(rule, known, n=1) or sorted(known)
            yield at(place, "allow", f"there is no rule {rule!r}", f"did you mean {near[0]!r}?")


#: Rules that the YAML reader and the JSON Schemas enforce; `_document` yields their findings.
_FORMAT_RULES = {
    "yaml": "A spec is plain YAML in UTF-8: no tags, anchors, duplicate keys or tabs.",
    "schema": "A spec has the keys and values of its JSON Schema.",
}


def rules() -> dict[str, str]:
    """Every rule and its manual, in the order of docs/spec.md."""
    over_specs = (
        names,
        schema_comment,
        layout,
        *TASK_RULES,
        *INSTRUCTION_RULES,
        allow,
        *DATASET_RULES,
        *CATALOG_RULES,
    )
    functions = (*over_specs, similar_instructions, *LINTS)
    return _FORMAT_RULES | {rule.__name__: " ".join((rule.__doc__ or "").split()) for rule in functions}


def rules_markdown() -> str:
    """The rules as a table, for docs/spec.md."""
    rows = "\n".join(f"| `{rule}` | {manual} |" for rule, manual in rules().items())
    return f"| rule | what it wants |\n|---|---|\n{rows}\n"
