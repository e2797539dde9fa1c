"""Compiling a task on one screen: spec -> raw files -> records -> blocks -> compiled folder.

Candidates are cut into blocks in selection order. A block is the unit of work: one worker makes it, it
becomes one shard, and a resumed build skips it if it is finished. So the shards do not depend on the number
of workers, and work finished before a Ctrl-C or a kill is kept. Nothing appears in the compiled folder
until the whole config is complete.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from vision_flan.build.blocks import Block, BlockMaker, run_blocks
from vision_flan.build.identity import BuildRecord, Identity, identity_of, image_tables, with_sums
from vision_flan.build.inputs import ImageInputs, Seen, check_unchanged
from vision_flan.build.install import finished_config, install, refresh_readme, renew, shards_to_replace
from vision_flan.build.job import Build, Options, Result
from vision_flan.build.locks import WORK_FOLDER, machine_errors, task_lock
from vision_flan.build.outcome import manifest_of
from vision_flan.build.up_to_date import up_to_date
from vision_flan.build.work import BLOCKS, COMPLETE, open_or_reset, tidy
from vision_flan.instances.maker import InstanceMaker
from vision_flan.raw.roots import RawPlaces
from vision_flan.readers.image_refs import ImageStore
from vision_flan.records.store import Candidates, RecordStore
from vision_flan.records.tables import all_readers, load_records, missing_files, open_raw, task_sources
from vision_flan.report import WRITING, Reporter
from vision_flan.spec.catalog import Catalog

__all__ = ["WORK_FOLDER", "Options", "Result", "compile_task"]


def compile_task(
    name: str, raw: RawPlaces, out: Path, catalog: Catalog, options: Options, report: Reporter
) -> Result:
    """Compile one task into `out/<task>/` and refresh the card.

    Args:
        raw: one raw folder, several, or `RawRoots`. Nothing is written there.

    Raises:
        SpecError: the spec is wrong.
        MissingRawError: raw files are missing; says which, where to get them and where to put them.
        BadRawError: a raw file is not in its format, or changes while it is read.
        MachineError: disk full, no permission, another compile of this task is running.
    """
    task = catalog.task(name)
    sources = task_sources(task, catalog)
    with closing(open_raw(sources.dataset, catalog, raw)) as opened:
        problem = missing_files(sources, opened)
        if problem:
            raise problem
        with machine_errors(out), task_lock(out, task.id) as work:
            instruction = catalog.instruction_file(task.id)
            return _compile(Build(task, sources, opened, instruction, options, out, work, report))


def _compile(build: Build) -> Result:
    """Do what is left to do: nothing, an installation that was cut off, or a build."""
    tidy(build.work, build.out, build.task.id)
    identity = identity_of(build)
    record = finished_config(build, identity)
    if record is None and not build.options.force:
        current = up_to_date(build, identity)
        if current:
            return current
    if record is None:
        record = _build(build, identity)
        record.write(build.work / COMPLETE)
    manifest = renew(build, install(build, record))
    refresh_readme(build.out, build.report)
    return Result(manifest, build.out, built=True)


def _build(build: Build, identity: Identity) -> BuildRecord:
    """Make the shards in the work folder."""
    replaces = shards_to_replace(build)
    open_or_reset(build.work, identity)
    if build.options.verify_raw:
        identity = with_sums(identity, build.raw)
    with RecordStore(build.work) as store:
        candidates = load_records(
            build.task, build.sources, build.raw, build.options.seed, store, build.report
        )
        blocks = _make_blocks(build, candidates)
    seen = Seen()
    for block in blocks:
        seen.add(block.seen)
    check_unchanged(build.raw, build.sources, identity.annotations, seen)
    manifest = manifest_of(build, identity, candidates, blocks)
    return BuildRecord(identity.recipe, identity.annotations, seen, manifest.to_json(), replaces)


def _make_blocks(build: Build, candidates: Candidates) -> list[Block]:
    task, sources, options = build.task, build.sources, build.options
    readers = all_readers(sources.dataset)
    images = ImageStore(build.raw, {name: readers[name] for name in image_tables(task, sources)})
    maker = BlockMaker(
        InstanceMaker(task, sources.labels, build.instruction, options.seed, candidates),
        ImageInputs(build.raw, images, options.verify_raw),
        build.work / BLOCKS,
        options.full_check,
        build.report,
    )
    build.report.stage(f"{WRITING} {task.id}", min(build.quota or candidates.count, candidates.count))
    return run_blocks(maker, candidates, build.quota, options.workers)
