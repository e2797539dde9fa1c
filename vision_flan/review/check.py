"""`vflan check --since REF`: what a pull request has to pass, over the tasks that it changes.

Each check is a function of a `Change` that yields findings; `CHECKS` lists them in the order of the report.
To add one, write such a function and list it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from vision_flan.build.open_task import open_task
from vision_flan.columns import TEXT_COLUMNS
from vision_flan.errors import Location, VflanError
from vision_flan.instances.maker import Dropped, Instance
from vision_flan.miniatures import registry
from vision_flan.miniatures.truth import disagreements, read_truth
from vision_flan.report import Reporter
from vision_flan.review.catalog_rules import duplicate_id, stray_file, suites
from vision_flan.review.changed import changed_files, tasks_of_files
from vision_flan.review.diff import Diff, DiffOptions, diff_revision
from vision_flan.review.instruction_rules import Wording, similar_texts, written_in
from vision_flan.review.placeholders import of_dataset, of_task
from vision_flan.review.relabeled import changed_labels
from vision_flan.review.revision import catalog_at, commit_of
from vision_flan.review.validate import Checked, validate
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.findings import Finding, at
from vision_flan.spec.names import tasks_of

#: Records of a generated miniature that are compared with their truth, and differences that are reported.
RECORDS, SHOWN = 40, 5


@dataclass
class Change:
    """What differs from a revision.

    Attributes:
        files: files of specs, instructions and miniatures that differ.
        ref: the revision that it will be merged into.
    """

    catalog: Catalog
    files: frozenset[Path]
    report: Reporter
    ref: str

    @cached_property
    def datasets(self) -> tuple[str, ...]:
        """Datasets with a changed task, dataset.yaml or miniature."""
        found = {
            self.catalog.task_files[task].parent.name for task in tasks_of_files(self.catalog, self.files)
        }
        for path in self.files:
            for slug in self.catalog.dataset_files:
                made = (self.catalog.home.miniatures / slug) in path.parents
                generated = path.parent.name == "datasets" and path.stem.removeprefix("_") == slug
                if made or generated or path == self.catalog.dataset_files[slug]:
                    found.add(slug)
        return tuple(sorted(found))

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """All tasks of these datasets."""
        return tuple(task for slug in self.datasets for task in tasks_of(self.catalog, slug))

    @cached_property
    def checked(self) -> Checked:
        """The rules of `vflan validate`, also over rendered instances."""
        return validate(self.catalog, self.tasks, rendered=True, report=self.report)


Check = Callable[[Change], Iterator[Finding]]


@dataclass(frozen=True)
class CheckResult:
    """What the checks found.

    Attributes:
        steps: name of each check -> its findings.
        diff: what the change does to instances of miniatures; None if it was not asked for.
    """

    tasks: tuple[str, ...]
    datasets: tuple[str, ...]
    steps: dict[str, list[Finding]] = field(default_factory=dict)
    diff: Diff | None = None

    @property
    def findings(self) -> list[Finding]:
        """All findings, sorted."""
        return sorted({found for findings in self.steps.values() for found in findings})

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return sum(found.severity == "error" for found in self.findings)


def check(
    catalog: Catalog,
    ref: str,
    report: Reporter,
    checks: Sequence[Check] = (),
    compared: DiffOptions | None = None,
) -> CheckResult:
    """Run every check over what differs from a git revision.

    Args:
        ref: what the change will be merged into; commits that it got meanwhile are no change.
        checks: by default `CHECKS`.
        compared: also compare the instances before and after the change.

    Raises:
        SpecError: the specs are not in a git checkout, or there is no such revision.
    """
    change = Change(catalog, frozenset(changed_files(catalog, ref, own_only=True)), report, ref)
    diff = _compared(catalog, ref, report, compared) if compared is not None else None
    result = CheckResult(change.tasks, change.datasets, diff=diff)
    for one in checks or CHECKS:
        report.stage(one.__name__)
        result.steps[one.__name__] = sorted(set(one(change))) if change.files else []
    return result


def _compared(catalog: Catalog, ref: str, report: Reporter, options: DiffOptions) -> Diff:
    """Instances as they are now, and as they were where this branch left the revision."""
    found = diff_revision(catalog, commit_of(catalog, ref, where_left=True), options, report)
    found.before = ref
    return found


def valid(change: Change) -> Iterator[Finding]:
    """The rules of `vflan validate`, those over rendered instances and over all specs too."""
    yield from change.checked.findings
    texts = {
        name: Wording(path.parent.name, change.catalog.instruction_file(name), "")
        for name, path in change.catalog.task_files.items()
    }
    texts = {name: known._replace(text=written_in(known.file)) for name, known in texts.items()}
    yield from similar_texts(texts, set(change.tasks))
    touched = {str(path) for path in change.files}
    touched |= {str(change.catalog.task_files[task]) for task in change.tasks}
    for rule in (duplicate_id, stray_file, suites):
        yield from (found for found in rule(change.catalog, change.checked.bound) if found.file in touched)


def no_placeholders(change: Change) -> Iterator[Finding]:
    """License, citation, homepage and titles are not those that `vflan new` writes."""
    for bound in change.checked.bound.values():
        yield from of_task(bound)
        yield from of_dataset(bound.dataset)


def relabeled(change: Change) -> Iterator[Finding]:
    """Labels that have another name than before: warnings, for a reviewer to compare with upstream's list."""
    with catalog_at(change.catalog, commit_of(change.catalog, change.ref, where_left=True)) as before:
        yield from changed_labels(change.catalog, before, change.datasets)


def has_miniature(change: Change) -> Iterator[Finding]:
    """Every dataset has a miniature of one kind: a generator, or files cut from real ones."""
    generated = set(registry.generators())
    for slug in change.datasets:
        place = Location(change.catalog.dataset_files[slug])
        is_cut = change.catalog.miniature_folder(slug) is not None
        if is_cut and slug in generated:
            hint = f"remove one: {change.catalog.miniature_folder(slug)} or the generator"
            yield at(place, "miniature", f"{slug} has two miniatures, a generator and a cut one", hint)
        elif not is_cut and slug not in generated:
            hint = f"vflan miniature cut {slug} --raw DIR"
            yield at(place, "miniature", f"{slug} has no miniature", hint)


def as_expected(change: Change) -> Iterator[Finding]:
    """What each task makes of its miniature is what the miniature's truth says."""
    known = set(registry.available(change.catalog))
    for slug in change.datasets:
        if slug not in known:
            continue  # `has_miniature` says so
        try:
            with tempfile.TemporaryDirectory(prefix="vflan-") as folder:
                registry.make(slug, Path(folder), RECORDS, 1, catalog=change.catalog)
                for task in tasks_of(change.catalog, slug):
                    yield from _unexpected(change.catalog, task, Path(folder))
        except VflanError as error:
            yield at(Location(change.catalog.dataset_files[slug]), "expected", error.what, error.hint)


def _unexpected(catalog: Catalog, task: str, raw: Path) -> Iterator[Finding]:
    place = Location(catalog.task_files[task])
    hint = "fix the task, or write down what it makes now: vflan miniature expect"
    if not (raw / ".truth" / f"{task}.jsonl").is_file():
        yield at(place, "expected", "its miniature does not say what becomes of its records", hint)
        return
    with open_task(task, raw, catalog) as opened:
        maker = opened.maker(0)
        made = [
            maker.make(row, opened.read, full_check=False) for row in opened.rows(opened.candidates.count)
        ]
    rows: list[Mapping[str, object]] = [
        _row(instance) for instance in made if not isinstance(instance, Dropped)
    ]
    wrong = list(disagreements(rows, read_truth(raw, task)))
    for message in wrong[:SHOWN]:
        yield at(place, "expected", message, hint)


def _row(instance: Instance) -> dict[str, object]:
    turns = [{"user": turn.user, "assistant": turn.assistant} for turn in instance.turns]
    texts = dict(zip(TEXT_COLUMNS, instance.values, strict=True))
    return {**texts, "turns": turns, "image": {"bytes": instance.image}}


CHECKS: tuple[Check, ...] = (valid, no_placeholders, relabeled, has_miniature, as_expected)
