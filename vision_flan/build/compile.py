"""Compiling a task on one screen: spec -> raw files -> records -> blocks -> compiled folder.

Candidates are cut into blocks in selection order, and runs of blocks into shards. A block is the unit of
work, and a resumed build skips those that are finished. So the shards do not depend on where they are made,
and work finished before a Ctrl-C or a kill is kept. Nothing appears in the compiled folder until the whole
config is complete.
"""

from __future__ import annotations

import os
from contextlib import closing, nullcontext
from pathlib import Path
from threading import Thread

from vision_flan.build.engines import Engine, open_engine
from vision_flan.build.identity import BuildRecord, Identity, identity_of, with_sums
from vision_flan.build.inputs import check_unchanged
from vision_flan.build.install import finished_config, install, refresh_readme, renew, shards_to_replace
from vision_flan.build.job import Build, Options, Result
from vision_flan.build.leave_out import without_dropped
from vision_flan.build.locks import WORK_FOLDER, machine_errors, task_lock, work_folder
from vision_flan.build.looked_up import Gathering
from vision_flan.build.memory import ready_for_images
from vision_flan.build.outcome import manifest_of
from vision_flan.build.schedule import Schedule
from vision_flan.build.up_to_date import up_to_date
from vision_flan.build.work import COMPLETE, IMAGES, open_or_reset, tidy
from vision_flan.dataset.card import prepare as prepare_card
from vision_flan.dataset.manifest import manifest_path
from vision_flan.dataset.shards import BLOCK_ROWS
from vision_flan.places.place import Place
from vision_flan.raw.roots import RawPlaces, RawRoots
from vision_flan.records.store import RecordStore
from vision_flan.records.table_cache import FOLDER, TableCache
from vision_flan.records.tables import load_records, missing_files, open_raw, task_sources
from vision_flan.report import WRITING, Reporter
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.model import TaskSpec

__all__ = ["WORK_FOLDER", "Options", "Result", "compile_task"]


def compile_task(
    name: str,
    raw: RawPlaces,
    out: Place,
    catalog: Catalog,
    options: Options,
    report: Reporter,
    engine: Engine | None = None,
) -> Result:
    """Compile one task into `out/<task>/` and refresh the card.

    Args:
        raw: one raw folder, several, or `RawRoots`. Nothing is written there.
        engine: shared with other tasks; None opens the one of `options` for this task.

    Raises:
        SpecError: the spec is wrong.
        MissingRawError: raw files are missing; says which, where to get them and where to put them.
        BadRawError: a raw file is not in its format, or changes while it is read.
        MachineError: disk full, no permission, another compile of this task is running.
    """
    raw = RawRoots.for_build(raw, work_folder(out))
    task = catalog.task(name)
    with open_engine(options.engine) if engine is None else nullcontext(engine) as workers:
        if _may_be_long(task, options):
            workers.prepare()  # before there are locks, and threads of DuckDB
            if isinstance(out, Path) and not os.path.exists(manifest_path(out, task.id)):  # noqa: PTH110 - never fails
                workers.expect_work()
        sources = task_sources(task, catalog)
        with closing(open_raw(sources.dataset, catalog, raw)) as opened:
            problem = missing_files(sources, opened)
            if problem:
                raise problem
            with machine_errors(out), task_lock(out, task.id) as work:
                build = Build(task, sources, opened, raw, catalog, options, out, work, report)
                return _compile(build, workers)


def _may_be_long(task: TaskSpec, options: Options) -> bool:
    """Whether a build may have more than one block."""
    quota = options.quota_of(task)
    return quota is None or quota > BLOCK_ROWS


def _compile(build: Build, engine: Engine) -> Result:
    """Do what is left to do: nothing, an installation that was cut off, or a build."""
    tidy(build.work, build.out, build.task.id)
    identity = identity_of(build)
    record = finished_config(build, identity)
    if record is None and not build.options.force:
        current = up_to_date(build, identity)
        if current:
            return current
    if record is None:
        with ready_for_images():
            record = _build(build, identity, engine)
        record.write(build.work / COMPLETE)
    manifest = renew(build, install(build.work, build.out, record, build.report))
    refresh_readme(build.out, build.report)
    return Result(manifest, build.out, built=True)


def _build(build: Build, identity: Identity, engine: Engine) -> BuildRecord:
    """Make the shards in the work folder."""
    replaces = shards_to_replace(build.out, build.task.id)
    open_or_reset(build.work, identity)
    if build.options.verify_raw:
        identity = with_sums(identity, build.raw)
    if _may_be_long(build.task, build.options):
        engine.expect_work()
    with RecordStore(build.work) as store:
        fresh = build.options.force or build.options.verify_raw  # trust no size and time
        kept = TableCache(work_folder(build.out) / FOLDER, fresh=fresh)
        candidates = load_records(
            build.task, build.sources, build.raw, build.options.seed, store, build.report, kept
        )
        gathering = Gathering(store)
        schedule = Schedule(build, candidates, engine, gathering)
        build.report.stage(
            f"{WRITING} {build.task.id}", min(build.quota or candidates.count, candidates.count)
        )
        Thread(target=prepare_card, name="card", daemon=True).start()  # while images are read
        blocks = schedule.run()
        images, counted = gathering.finish(build.work / IMAGES)
    check_unchanged(build.raw, build.sources, identity.annotations, lambda: schedule.first_change(images))
    manifest = without_dropped(build, manifest_of(build, identity, candidates, blocks, counted))
    return BuildRecord(identity.recipe, identity.annotations, images, manifest.to_json(), replaces)
