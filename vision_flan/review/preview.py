"""`vflan preview`: one page with the instances of one task, or of a whole suite, for a reviewer to read.

The page is one file without outside parts: styles, script and images are in it. Its content security policy
names the checksum of its only script, so markup in specs or data stays text even if it were not escaped.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vision_flan import children
from vision_flan.errors import VflanError
from vision_flan.miniatures import registry
from vision_flan.raw.roots import RawRoots
from vision_flan.report import Reporter
from vision_flan.review import pages
from vision_flan.review.changed import changed_tasks
from vision_flan.review.shown import Sample, TaskShown, from_dataset, from_records
from vision_flan.review.stored import manifests_of
from vision_flan.review.thumbnails import LARGE, SMALL
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.names import find_configs

#: Instances on a page up to which its images are large.
FEW = 40
#: Instances of a task by default, where a page has few tasks and where it has more.
_ONE, _SEVERAL, _FEW_TASKS = 12, 6, 3
#: Records of a miniature for each instance shown, so that it has drops and rare targets to show.
_RECORDS_EACH = 2


@dataclass(frozen=True)
class Source:
    """Where instances come from: raw files, a compiled folder, or, if both are None, new miniatures."""

    raw: RawRoots | None = None
    dataset: Path | None = None


@dataclass(frozen=True)
class Wanted:
    """What a page is to show.

    Attributes:
        tasks: by id or published name; empty for all of a suite, a change or a compiled folder.
        suite: all its tasks.
        changed: a git revision; tasks whose files differ from it.
        n: instances of a task; None takes fewer where the page has many tasks.
    """

    tasks: tuple[str, ...] = ()
    suite: str | None = None
    changed: str | None = None
    source: Source = Source()
    n: int | None = None
    seed: int = 0

    def names(self, catalog: Catalog) -> list[str]:
        """The tasks by name.

        Raises:
            SpecError: no such suite, or no such revision.
        """
        if self.suite is not None:
            return list(catalog.suite(self.suite))
        if self.changed is not None:
            return changed_tasks(catalog, self.changed)
        return list(self.tasks)


@dataclass(frozen=True)
class Page:
    """A finished page and what is on it."""

    html: str
    tasks: Sequence[TaskShown]

    @property
    def failed(self) -> list[TaskShown]:
        """Tasks of which nothing could be shown."""
        return [task for task in self.tasks if task.error]


def make_page(wanted: Wanted, catalog: Catalog, report: Reporter) -> Page:
    """Read, draw and render what is wanted.

    Raises:
        SpecError: a name that is no task, suite or revision.
        VflanError: the compiled folder holds no config, or not one that is wanted.
    """
    names = wanted.names(catalog)
    count = len(names) or len(catalog.task_files)
    n = wanted.n or (_SEVERAL if count > _FEW_TASKS else _ONE)
    sample = Sample(n, wanted.seed, LARGE if count * n <= FEW else SMALL)
    shown = list(collect(catalog, names, wanted.source, sample, report))
    title = shown[0].task if len(shown) == 1 else f"Preview of {wanted.suite or f'{len(shown)} tasks'}"
    return Page(page(title, shown, wanted.seed), shown)


def collect(
    catalog: Catalog, names: Sequence[str], source: Source, sample: Sample, report: Reporter, jobs: int = 2
) -> Iterator[TaskShown]:
    """What is shown of each task, in the order of the names; one that cannot be read says why.

    Raises:
        SpecError: a name that is no task, or that the compiled folder has no config of.
    """
    if source.dataset is not None:
        yield from _of_folder(catalog, names, source.dataset, sample, report)
        return
    ids = list(dict.fromkeys(catalog.task(name).id for name in names))
    report.stage("reading records", len(ids))
    groups = _by_dataset(catalog, ids)
    if len(groups) < 2 or jobs < 2:
        made = (_group(catalog.specs, catalog.instructions, group, source.raw, sample) for group in groups)
        yield from _in_order(ids, made, report)
        return
    with children.pool(jobs) as pool:
        futures = [
            pool.submit(_group, catalog.specs, catalog.instructions, group, source.raw, sample)
            for group in groups
        ]
        yield from _in_order(ids, (future.result() for future in futures), report)


def page(title: str, tasks: Sequence[TaskShown], seed: int) -> str:
    """The page as HTML; everything from specs and data is escaped."""
    images = [shown.image for task in tasks for shown in task.instances]
    numbers = iter(range(len(images)))
    script = pages.text("preview.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    facts = [task.facts for task in tasks if task.facts]
    return pages.template("preview.html.j2").render(
        title=title,
        tasks=tasks,
        seed=seed,
        numbers=numbers,
        next=next,
        images=json.dumps(images),
        script=script,
        style=pages.text("preview.css"),
        digest=digest,
        choices={
            "category": sorted({fact["category"] for fact in facts}),
            "dataset": sorted({fact["dataset"] for fact in facts}),
            "form": sorted({fact["form"] for fact in facts}),
            "license": sorted({fact["license"] for fact in facts}),
        },
    )


def _of_folder(
    catalog: Catalog, names: Sequence[str], folder: Path, sample: Sample, report: Reporter
) -> Iterator[TaskShown]:
    manifests = manifests_of(folder)
    chosen = find_configs(catalog, names, list(manifests), folder) or list(manifests)
    report.stage("reading shards", len(chosen))
    for name in chosen:
        yield from_dataset(folder, manifests[name], catalog, sample)
        report.advance(1)


def _by_dataset(catalog: Catalog, ids: Iterable[str]) -> list[list[str]]:
    groups: dict[str, list[str]] = {}
    for name in ids:
        groups.setdefault(catalog.task(name).dataset, []).append(name)
    return list(groups.values())


def _in_order(ids: Sequence[str], groups: Iterable[list[TaskShown]], report: Reporter) -> list[TaskShown]:
    made: dict[str, TaskShown] = {}
    for group in groups:
        made |= {shown.task: shown for shown in group}
        report.advance(len(group))
    return [made[name] for name in ids]


def _group(
    specs: Path, instructions: Path, names: list[str], raw: RawRoots | None, sample: Sample
) -> list[TaskShown]:
    """The tasks of one dataset; they share its miniature."""
    catalog = Catalog(specs, instructions)
    if raw is not None:
        return [from_records(catalog, name, raw, str(raw), sample) for name in names]
    dataset = catalog.task(names[0]).dataset
    try:
        with registry.temporary(dataset, _RECORDS_EACH * sample.n, sample.seed) as folder:
            return [from_records(catalog, name, folder, "a miniature", sample) for name in names]
    except VflanError as error:
        return [TaskShown(name, catalog.task(name).title, None, "nowhere", error=error) for name in names]
