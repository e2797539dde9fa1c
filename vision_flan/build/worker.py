"""What a worker does with the blocks of a task, in whatever process it runs.

A worker gets a `Job` and opens the spec and the raw files itself. It keeps the last few tasks open: the next
block is mostly of one of them.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from vision_flan.build.blocks import BlockMaker, Made, Span
from vision_flan.build.engines import RAY
from vision_flan.build.identity import image_tables, spec_sha256
from vision_flan.build.inputs import ImageInputs
from vision_flan.build.job import Build, Options
from vision_flan.build.locks import machine_errors
from vision_flan.build.processes import report_of
from vision_flan.build.work import BLOCKS, POOLS, SPOOLS
from vision_flan.errors import SpecError
from vision_flan.instances.derive import POOL_ROWS, Pools
from vision_flan.instances.maker import InstanceMaker
from vision_flan.places.place import Place
from vision_flan.raw.roots import RawPlaces, RawRoots
from vision_flan.readers.image_refs import ImageStore
from vision_flan.readers.spool import Spools
from vision_flan.records.tables import all_readers, open_raw, task_sources
from vision_flan.spec.catalog import Catalog

#: Tasks that a worker keeps open.
_KEPT = 3


@dataclass(frozen=True)
class Job:
    """A task for workers, as values that can be pickled.

    Attributes:
        run: differs between two builds, also of the same task.
        specs, instructions: folders of the catalog.
        raw: where the raw files are.
        out, work: the compiled folder and the task's work folder.
        spec: checksum of the spec that the records were read with.
    """

    run: str
    task: str
    specs: Path
    instructions: Path
    raw: RawPlaces
    out: Place
    work: Path
    options: Options
    spec: str


def job_of(build: Build, run: str) -> Job:
    """The job of a build; full paths for a cluster, whose workers have working folders of their own."""
    catalog, raw, out, work = build.catalog, build.places, build.out, build.work
    if build.options.engine.kind == RAY:
        raw, out, work = absolute(raw), out.absolute(), work.absolute()
        catalog = Catalog(catalog.specs.absolute(), catalog.instructions.absolute())
    return Job(
        run, build.task.id, catalog.specs, catalog.instructions, raw, out, work, build.options,
        spec_sha256(build),
    )  # fmt: skip


def absolute(places: RawPlaces) -> RawRoots:
    """The same places for a process with another working folder."""
    roots = RawRoots.of(places)
    mapped = {
        name: replace(one, paths=tuple(path.absolute() for path in one.paths))
        for name, one in roots.mapped.items()
    }
    scratch = roots.scratch and replace(roots.scratch, folder=roots.scratch.folder.absolute())
    return RawRoots(tuple(root.absolute() for root in roots.roots), mapped, scratch)


def block_maker(build: Build, pools: Pools, *, behind: bool = True) -> BlockMaker:
    """What makes the blocks of a task, here or in a worker; see `BlockMaker`."""
    readers = all_readers(build.sources.dataset)
    tables = image_tables(build.task, build.sources)
    images = ImageStore(build.raw, {name: readers[name] for name in tables}, Spools(build.work / SPOOLS))
    labels, seed = build.sources.labels, build.options.seed
    return BlockMaker(
        InstanceMaker(build.task, labels, build.instruction, seed, pools),
        ImageInputs(build.raw, images, build.options.verify_raw),
        build.work / BLOCKS,
        build.options.full_check,
        build.report,
        behind,
    )


def make_shards(job: Job, span: Span, tables: Sequence[pa.Table]) -> Made:
    """`BlockMaker.shards` in a worker.

    Raises:
        MachineError: and what `BlockMaker` raises.
    """
    with machine_errors(job.out):
        return _maker(job).shards(span, tables)


def make_part(job: Job, span: Span, tables: Sequence[pa.Table]) -> Made:
    """`BlockMaker.part` in a worker. Raises the same errors."""
    with machine_errors(job.out):
        return _maker(job).part(span, tables)


def join_parts(job: Job, span: Span, parts: Sequence[Made]) -> Made:
    """`BlockMaker.join` in a worker. Raises the same errors."""
    with machine_errors(job.out):
        return _maker(job).join(span, parts)


_open: OrderedDict[str, tuple[Build, BlockMaker]] = OrderedDict()


def _maker(job: Job) -> BlockMaker:
    """The maker of a job; the one that was used longest ago makes room."""
    if job.run not in _open:
        while len(_open) >= _KEPT:
            _, (build, _) = _open.popitem(last=False)
            build.raw.close()
        _open[job.run] = _opened(job)
    _open.move_to_end(job.run)
    return _open[job.run][1]


def _opened(job: Job) -> tuple[Build, BlockMaker]:
    catalog = Catalog(job.specs, job.instructions)
    task = catalog.task(job.task)
    sources = task_sources(task, catalog)
    raw = open_raw(sources.dataset, catalog, job.raw)
    report = report_of(job.task)
    build = Build(task, sources, raw, job.raw, catalog, job.options, job.out, job.work, report)
    if spec_sha256(build) != job.spec:
        raw.close()
        raise SpecError(
            "the spec changed during the build", where=task.place(), hint="run the same command again"
        )
    return build, block_maker(build, StoredPools(job.work))


class StoredPools:
    """Values of other records, in the work folder, for workers that have no records."""

    def __init__(self, work: Path) -> None:
        self._folder = work / POOLS

    def store(self, build: Build, pools: Pools) -> None:
        """Write what the task's derived fields draw from."""
        self._folder.mkdir(exist_ok=True)
        for operation in build.task.derive.values():
            if "other" in operation:
                column, differ_in = operation["other"], operation["differ_in"]
                table = pools.others(column, differ_in, POOL_ROWS)
                path = self._file(column, differ_in)
                with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
                    writer.write_table(table)

    def others(self, column: str, differ_in: str, rows: int) -> pa.Table:
        """What `store` wrote."""
        with pa.OSFile(str(self._file(column, differ_in))) as file:
            return pa.ipc.open_file(file).read_all()

    def _file(self, column: str, differ_in: str) -> Path:
        digest = hashlib.sha256(f"{column}\0{differ_in}".encode()).hexdigest()
        return self._folder / f"{digest[:24]}.arrow"
