"""What is there of a suite: raw files, compiled configs, each task's next step. Nothing is written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from vision_flan.build.facts import BLOCKS
from vision_flan.build.identity import BuildRecord, damaged_output, identity_of
from vision_flan.build.job import Build, Options
from vision_flan.build.locks import work_folder
from vision_flan.build.work import installed_record
from vision_flan.dataset.manifest import Manifest, manifest_path, read_manifest
from vision_flan.errors import BadRawError, MissingRawError, VflanError, to_type
from vision_flan.places.place import Place
from vision_flan.raw.fetch import is_unpacked
from vision_flan.raw.folder import RawDataset
from vision_flan.raw.patterns import Pattern
from vision_flan.raw.roots import RawPlaces, RawRoots
from vision_flan.records.sources import TaskSources
from vision_flan.records.tables import missing_files, open_raw, task_sources
from vision_flan.report import Reporter, Silent
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.model import DatasetSpec, TaskSpec, UpstreamFile

_FIELD = re.compile(r"[{][{%#]")


class RawState(StrEnum):
    """What is there of a task's raw files."""

    THERE = "there"
    INCOMPLETE = "incomplete"  # some files, or an archive that is cut short or in parts
    MISSING = "missing"


class BuildState(StrEnum):
    """What is there of a task's config."""

    BUILT = "built"
    OUTDATED = "out of date"
    STARTED = "started"  # some blocks are finished: the next run goes on from there
    NOT_BUILT = "not built"


@dataclass(frozen=True)
class TaskStatus:
    """One task of a suite.

    Attributes:
        raw_note: which raw files are not there, "" if all are.
        build_note: why a config is out of date or cannot be compared.
        instances: of the config that is there.
        next: the command that brings the task on, "" if there is nothing to do.
    """

    task: str
    dataset: str
    raw: RawState
    raw_note: str
    build: BuildState
    build_note: str
    instances: int | None
    next: str


def suite_status(
    tasks: Sequence[str], raw: RawPlaces, out: Place, catalog: Catalog, report: Reporter
) -> Iterator[TaskStatus]:
    """The status of tasks, dataset by dataset: an archive is opened once for all tasks of its dataset.

    A config is compared with what a build would make with its own seed, limit and image check.

    Raises:
        SpecError: there is no such task, or its spec is not valid.
    """
    roots = RawRoots.for_build(raw, work_folder(out), read_only=True)
    specs = [catalog.task(name) for name in tasks]
    by_dataset: dict[str, list[TaskSpec]] = {}
    for task in specs:
        by_dataset.setdefault(task.dataset, []).append(task)
    report.stage("looking at raw files and configs", len(specs))
    found = {}
    for same in by_dataset.values():
        for status in _of_dataset(same, roots, out, catalog):
            found[status.task] = status
            report.advance(1)
    yield from (found[task.id] for task in specs)


def _of_dataset(tasks: list[TaskSpec], roots: RawRoots, out: Place, catalog: Catalog) -> Iterator[TaskStatus]:
    dataset = catalog.dataset_of(tasks[0])
    try:
        opened = open_raw(dataset, catalog, roots)
    except MissingRawError as error:
        for task in tasks:
            yield _status(task, RawState.MISSING, _first_line(error), *_without_raw(task, out), roots, out)
        return
    with closing(opened) as raw:
        for task in tasks:
            sources = task_sources(task, catalog)
            state, note = _raw_state(task, sources, raw, catalog)
            if state is RawState.THERE:
                build = _build_state(task, sources, raw, out, catalog)
            else:
                build = _without_raw(task, out)
            yield _status(task, state, note, *build, roots, out)


def _raw_state(
    task: TaskSpec, sources: TaskSources, raw: RawDataset, catalog: Catalog
) -> tuple[RawState, str]:
    try:
        problem = missing_files(sources, raw)
        if problem is not None:
            some = any(next(iter(raw.list(str(t["file"]))), None) for t in sources.dataset.tables.values())
            return RawState.INCOMPLETE if some else RawState.MISSING, _first_line(problem)
    except BadRawError as error:
        return RawState.INCOMPLETE, error.what
    missing = _missing_images(task, sources.dataset, raw, catalog)
    return (RawState.INCOMPLETE, f"not there: {', '.join(missing)}") if missing else (RawState.THERE, "")


def _missing_images(task: TaskSpec, dataset: DatasetSpec, raw: RawDataset, catalog: Catalog) -> list[str]:
    """Upstream's files with this task's images that are neither there nor unpacked, as far as can be told
    from the literal start of the images' paths; and downloads that are not finished."""
    starts = [_FIELD.split(template, maxsplit=1)[0] for template in task.image]
    missing = []
    lenders = [catalog.dataset(slug) for slug in dataset.borrows if slug in catalog.dataset_files]
    for spec in (dataset, *lenders):
        folders = [part.root for part in (raw, *raw.borrowed) if part.dataset == spec.dataset]
        if any(folder.is_file() for folder in folders):
            continue
        for file in spec.files:
            if any(_has(start, file) for start in starts) and not _is_there(file, folders):
                missing.append(file.path if spec is dataset else f"{spec.dataset}/{file.path}")
    return missing


def _has(start: str, file: UpstreamFile) -> bool:
    """Whether a file of upstream has the images whose paths start like this."""
    return bool(start) and any(start.startswith(p) or p.startswith(start) for p in file.provides)


def _is_there(file: UpstreamFile, folders: Sequence[Path]) -> bool:
    pattern = file.path if "*" in file.path else Pattern(file.path).literal
    return any(
        any(folder.glob(pattern)) or all(is_unpacked(folder, prefix) for prefix in file.provides)
        for folder in folders
    )


def _without_raw(task: TaskSpec, out: Place) -> tuple[BuildState, str, int | None]:
    """The state of a config that cannot be compared with its raw files."""
    try:
        manifest = read_manifest(manifest_path(out, task.id))
    except FileNotFoundError:
        return _unfinished(work_folder(out) / task.id)
    except VflanError as error:
        return BuildState.OUTDATED, f"its manifest is broken: {error.what}", None
    return BuildState.BUILT, "cannot be compared with its raw files", manifest.rows


def _unfinished(work: Path) -> tuple[BuildState, str, int | None]:
    blocks = len(list((work / BLOCKS).glob("*.json")))
    return (
        (BuildState.STARTED, f"finished blocks: {blocks}", None)
        if blocks
        else (BuildState.NOT_BUILT, "", None)
    )


def _build_state(
    task: TaskSpec, sources: TaskSources, raw: RawDataset, out: Place, catalog: Catalog
) -> tuple[BuildState, str, int | None]:
    state, note, rows = _without_raw(task, out)
    if rows is None:
        return state, note, rows
    manifest = read_manifest(manifest_path(out, task.id))
    options = Options(manifest.seed, manifest.limit, full_check=manifest.image_check == "full")
    work = work_folder(out) / task.id
    why = _outdated(Build(task, sources, raw, raw.root, catalog, options, out, work, Silent()), manifest)
    return (BuildState.OUTDATED, why, rows) if why else (BuildState.BUILT, "", rows)


def _outdated(build: Build, manifest: Manifest) -> str:
    record = BuildRecord.read(installed_record(build.out, build.task.id))
    if record is None:
        return "there is no record of the raw files it was made from"
    changed = record.stale(identity_of(build), build.raw, verify=False)
    if changed:
        return f"{changed} changed"
    damaged = damaged_output(record, manifest, build.out)
    return f"{damaged} is not as it was installed" if damaged else ""


def _status(
    task: TaskSpec, raw: RawState, raw_note: str, build: BuildState, build_note: str, instances: int | None,
    roots: RawRoots, out: Place,
) -> TaskStatus:  # fmt: skip
    given = [word for root in roots.roots for word in ("--raw", root)]
    if raw is not RawState.THERE:
        step = "" if build is BuildState.BUILT else to_type("vflan", "fetch", task.dataset, *given)
    elif build is BuildState.BUILT:
        step = ""
    else:
        step = to_type("vflan", "compile", "--task", task.id, *given, "--out", out)
    return TaskStatus(task.id, task.dataset, raw, raw_note, build, build_note, instances, step)


def _first_line(error: VflanError) -> str:
    return error.what.splitlines()[0]
