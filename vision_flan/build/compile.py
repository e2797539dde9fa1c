"""The way of a task on one screen: spec -> raw files -> records -> instances -> shards -> manifest -> card.

Candidates are cut into blocks in selection order. A block is the unit of everything: one worker makes it, it
becomes one shard, a resumed build skips it. So the shards do not depend on the number of workers, and what
was finished before a Ctrl-C or a kill stays finished. Nothing appears in the compiled folder before the
whole config is there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from vision_flan.build.blocks import MISSING_IMAGE, Block, BlockMaker, run_blocks
from vision_flan.build.identity import (
    BuildRecord,
    Identity,
    damaged_output,
    facts_of,
    identity_of,
    image_tables,
    keep_checksums,
    renewed,
)
from vision_flan.build.inputs import (
    ImageInputs,
    Seen,
    annotation_files,
    changed_while_built,
    differing,
    first_change,
    image_files,
    raw_files,
)
from vision_flan.build.install import (
    BEGUN,
    BLOCKS,
    COMPLETE,
    INSTALLED,
    can_install,
    clear,
    install,
    show,
    tidy,
)
from vision_flan.build.locks import WORK_FOLDER, machine_errors, task_lock
from vision_flan.dataset.manifest import Manifest, manifest_path, read_manifest, write_atomically
from vision_flan.dataset.shards import ShardFacts
from vision_flan.errors import Location, MissingRawError, SpecError, VflanError
from vision_flan.instances.maker import InstanceMaker
from vision_flan.instances.rendering import read_template
from vision_flan.raw.folder import RawDataset
from vision_flan.readers.image_refs import ImageStore
from vision_flan.records.store import Candidates, RecordStore
from vision_flan.records.tables import (
    TaskSources,
    all_readers,
    how_to_get,
    load_records,
    missing_files,
    next_step,
    open_raw,
    task_sources,
)
from vision_flan.report import Reporter
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.model import TaskSpec

__all__ = ["WORK_FOLDER", "Options", "Result", "compile_task"]


@dataclass(frozen=True)
class Options:
    """How to compile; none of it but `seed`, `limit` and `full_check` may change the shards.

    Attributes:
        limit: quota; "spec" takes the task's own, None takes all.
        workers: threads (reading, hashing and writing release the interpreter lock).
        full_check: decode every image instead of checking header and end.
        force: build even if the config is there and up to date.
        verify_raw: keep checksums of all raw files that are read, and compare with those that are kept.
    """

    seed: int = 0
    limit: int | str | None = "spec"
    workers: int = 2
    full_check: bool = False
    force: bool = False
    verify_raw: bool = False


@dataclass(frozen=True)
class Result:
    """A compiled config; `built` is False when it was already up to date, `renewed` is True where its
    license, title or other facts that decide no byte were not."""

    manifest: Manifest
    folder: Path
    built: bool
    renewed: bool = False


@dataclass(frozen=True)
class Build:
    """One task on its way: what it is made from, where it goes, how.

    Attributes:
        work: folder for what is not finished; this process has its lock.
    """

    task: TaskSpec
    sources: TaskSources
    raw: RawDataset
    instruction: Path
    options: Options
    out: Path
    work: Path
    report: Reporter

    @property
    def quota(self) -> int | None:
        limit = self.options.limit
        return self.task.limit if limit == "spec" else limit  # type: ignore[return-value]


def compile_task(
    name: str, raw_root: Path, out: Path, catalog: Catalog, options: Options, report: Reporter
) -> Result:
    """Compile one task into `out/<task>/` and refresh the card.

    Raises:
        SpecError: the spec is wrong.
        MissingRawError: raw files are not there; says which, from where, and where to put them.
        BadRawError: a raw file is not what its format says, or changes while it is read.
        MachineError: disk full, no permission, another compile of this task runs.
    """
    task = catalog.task(name)
    sources = task_sources(task, catalog)
    with closing(open_raw(sources.dataset, catalog, raw_root)) as raw:
        problem = missing_files(sources, raw)
        if problem:
            raise problem
        with machine_errors(out), task_lock(out, task.id) as work:
            instruction = catalog.instruction_file(task.id)
            return _run(Build(task, sources, raw, instruction, options, out, work, report))


def _run(build: Build) -> Result:
    """Nothing, an installation that was cut off, or a build: whatever is left to do."""
    tidy(build.work, build.out, build.task.id)
    options, work = build.options, build.work
    identity = identity_of(
        build.task, build.sources, build.raw, build.instruction, build.quota,
        options.seed, full_check=options.full_check,
    )  # fmt: skip
    complete = BuildRecord.read(work / COMPLETE)
    if complete is None:
        done = None if options.force else _up_to_date(build, identity)
        if done:
            return done
    elif not _may_install(build, identity, complete):
        complete = None
    if complete is None:
        replaced = _replaced(build)
        _begin(work, identity)
        complete = replace(_build(build, identity), replaces=replaced)
        complete.write(work / COMPLETE)
    manifest = install(work, build.out, complete, build.report)
    current = renewed(manifest, build.task, build.sources)
    if current != manifest:  # the installation was cut off before the facts changed
        _renew(build, current)
    show(build.out, build.report)
    return Result(current, build.out, built=True)


def _up_to_date(build: Build, identity: Identity) -> Result | None:
    """The installed config, with its facts renewed, if it is what would be built now."""
    record = BuildRecord.read(build.work / INSTALLED)
    try:
        manifest = read_manifest(manifest_path(build.out, build.task.id))
    except FileNotFoundError:
        return None
    except VflanError as error:
        build.report.note(f"{build.task.id} is compiled again: its manifest is broken: {error.what}")
        return None
    if record is None:
        build.report.note(
            f"{build.task.id} is compiled again: nothing tells which raw files it was made from"
        )
        return None
    changed = record.stale(identity, build.raw, verify=build.options.verify_raw)
    damaged = None if changed else damaged_output(record, manifest, build.out)
    if changed or damaged:
        why = f"{changed} changed" if changed else f"{damaged} is not as it was installed"
        build.report.note(f"{build.task.id} is compiled again: {why}")
        return None
    current = renewed(manifest, build.task, build.sources)
    is_renewed = current.to_json() != record.manifest
    if is_renewed:
        _renew(build, current)
    show(build.out, build.report)
    return Result(current, build.out, built=False, renewed=is_renewed)


def _renew(build: Build, manifest: Manifest) -> None:
    """Write a manifest whose facts are new. The record goes last: cut off before it, it builds again."""
    record = BuildRecord.read(build.work / INSTALLED)
    write_atomically(manifest_path(build.out, build.task.id), manifest.to_json())
    if record:
        replace(record, manifest=manifest.to_json()).write(build.work / INSTALLED)


def _may_install(build: Build, identity: Identity, complete: BuildRecord) -> bool:
    verify = build.options.verify_raw
    if complete.stale(identity, build.raw, verify=verify) is None and can_install(
        build.work, build.out, complete
    ):
        return True
    (build.work / COMPLETE).unlink()
    return False


def _begin(work: Path, identity: Identity) -> None:
    """Keep the blocks that an interrupted run of the same build finished; clear the rest.

    The record of the installed config stays until another takes its place.
    """
    mark = BuildRecord(identity.recipe, identity.annotations, Seen(), "")
    begun = BuildRecord.read(work / BEGUN)
    if begun is None or begun.identity.change(identity):
        clear(work, keep={"lock", INSTALLED})
        mark.write(work / BEGUN)


def _build(build: Build, identity: Identity) -> BuildRecord:
    task, sources, raw, options = build.task, build.sources, build.raw, build.options
    if options.verify_raw:
        identity = keep_checksums(identity, raw)
    with RecordStore(build.work) as store:
        candidates = load_records(task, sources, raw, options.seed, store, build.report)
        maker = InstanceMaker(task, sources.labels, build.instruction, options.seed, candidates)
        readers = all_readers(sources.dataset)
        images = ImageStore(raw, {name: readers[name] for name in image_tables(task, sources)})
        inputs = ImageInputs(raw, images, options.verify_raw)
        blocks = BlockMaker(maker, inputs, build.work / BLOCKS, options.full_check, build.report)
        quota = build.quota
        build.report.stage(f"writing {task.id}", min(quota or candidates.count, candidates.count))
        finished = run_blocks(blocks, candidates, quota, options.workers)
    seen = Seen()
    for block in finished:
        seen.add(block.seen)
    _check_unchanged(build, identity, seen)
    counts = _counts(build, candidates, finished)
    manifest = _manifest(build, identity, counts, finished, seen)
    return BuildRecord(identity.recipe, identity.annotations, seen, manifest.to_json())


def _check_unchanged(build: Build, identity: Identity, seen: Seen) -> None:
    """Nothing is installed of raw files that were others at the end than at the beginning."""
    raw = build.raw
    if raw.gone() is not None:
        raise changed_while_built(raw, "the folder is gone")
    changed = (
        raw.changed_archive()
        or differing(identity.annotations.stamps, annotation_files(build.sources, raw).stamps)
        or first_change(raw, seen)
    )
    if changed:
        raise changed_while_built(raw, str(changed))


def _counts(build: Build, candidates: Candidates, finished: list[Block]) -> dict[str, object]:
    dropped = Counter(candidates.dropped)
    examples = dict(candidates.examples)
    for block in finished:
        dropped.update(block.dropped)
        examples = block.examples | examples  # the first in selection order stays
    written = sum(block.rows for block in finished)
    if not written:
        raise _nothing_written(build, dropped)
    return {
        "candidates": candidates.total,
        "written": written,
        "dropped": dict(sorted(dropped.items())),
        "examples": dict(sorted(examples.items())),
        "not_needed": candidates.total - written - sum(dropped.values()),
    }


def _nothing_written(build: Build, dropped: Mapping[str, int]) -> VflanError:
    task, dataset = build.task, build.sources.dataset
    reasons = ", ".join(f"{reason}: {count:,}" for reason, count in sorted(dropped.items())) or "no records"
    if dropped.get(MISSING_IMAGE):
        return MissingRawError(
            f"no image of {task.id} was found ({reasons}); {build.raw.looked_in()}\n"
            + how_to_get(dataset, dataset.files),
            where=Location(build.raw.root),
            hint=next_step(dataset),
        )
    return SpecError(
        f"{task.id} yields no instance ({reasons})",
        where=task.place(),
        hint=f"`vflan preview {task.id}` shows what the records look like",
    )


def _replaced(build: Build) -> tuple[str, ...]:
    """Shards that go when the new ones are there: those of the manifest in place, or of the last installation
    where one that was cut off took the manifest away."""
    try:
        return tuple(s.path for s in read_manifest(manifest_path(build.out, build.task.id)).shards)
    except (OSError, VflanError):
        record = BuildRecord.read(build.work / INSTALLED)
        return tuple(record.shards) if record else ()


def _manifest(
    build: Build, identity: Identity, counts: Mapping[str, object], finished: list[Block], seen: Seen
) -> Manifest:
    task = build.task
    blocks = [block for block in finished if block.rows]
    shards = tuple(
        ShardFacts(f"{task.id}/{task.split}-{i:05}-of-{len(blocks):05}.parquet", b.rows, b.bytes, b.sha256)
        for i, b in enumerate(blocks)
    )
    return Manifest(
        task=task.id,
        dataset=task.dataset,
        category=task.category,
        split=task.split,
        counts=counts,
        shards=shards,
        num_bytes=sum(block.content_bytes for block in blocks),
        instruction=read_template(build.instruction).strip(),
        raw_files=raw_files(build.sources, build.raw, identity.annotations),
        images=image_files(seen),
        **facts_of(task, build.sources),
        **identity.recipe,
    )
