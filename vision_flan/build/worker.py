"""What a worker does with the blocks of a task, in whatever process it runs.

A worker gets a `Job`, which has the spec as it was parsed when the build began, and opens the raw files
itself. It keeps the last few tasks open: the next block is mostly of one of them. It needs no records and
checks no spec, so nothing here loads DuckDB or jsonschema: a worker would wait for them.
"""

from __future__ import annotations

import hashlib
import pickle
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from vision_flan.build.blocks import BlockMaker, Made, Span
from vision_flan.build.facts import BLOCKS, POOLS, SPOOLS
from vision_flan.build.inputs import ImageInputs, first_change_among
from vision_flan.build.job import Options
from vision_flan.build.joining import Joining
from vision_flan.build.locks import machine_errors
from vision_flan.build.looked_up import LookedUp
from vision_flan.build.processes import report_of
from vision_flan.build.spooling import Piece
from vision_flan.build.tables import unpacked
from vision_flan.instances.derive import POOL_ROWS, Pools
from vision_flan.instances.maker import InstanceMaker
from vision_flan.places.place import Place
from vision_flan.raw.folder import RawDataset
from vision_flan.raw.roots import RawPlaces
from vision_flan.readers.image_refs import ImageStore
from vision_flan.readers.reader import TableSpec
from vision_flan.readers.registry import make_reader
from vision_flan.readers.spool import Spools
from vision_flan.records.sources import open_folder
from vision_flan.report import Reporter
from vision_flan.spec.model import DatasetSpec, TaskSpec

#: Tasks that a worker keeps open.
_KEPT = 3


@dataclass(frozen=True)
class Parsed:
    """What makes the instances of a task, as it was when the build began; its values can be pickled.

    Attributes:
        lenders: the specs of datasets that images are borrowed from.
        labels: label tables by name.
        tables: those that may hold images.
        instruction: the .j2 file, and its text.
    """

    task: TaskSpec
    dataset: DatasetSpec
    lenders: tuple[DatasetSpec, ...]
    labels: Mapping[str, Mapping[str, str]]
    tables: tuple[TableSpec, ...]
    instruction: tuple[Path, str]


@dataclass(frozen=True)
class Job:
    """A task for workers, as values that can be pickled.

    Attributes:
        run: differs between two builds, also of the same task.
        parsed: `Parsed`, pickled once and not for every block.
        raw: where the raw files are.
        out, work: the compiled folder and the task's work folder.
    """

    run: str
    task: str
    parsed: bytes
    raw: RawPlaces
    out: Place
    work: Path
    options: Options


@dataclass(frozen=True)
class Making:
    """What makes the blocks of a task, here or in a worker."""

    parsed: Parsed
    raw: RawDataset
    options: Options
    work: Path
    report: Reporter

    def blocks(self, pools: Pools, *, behind: bool = True) -> BlockMaker:
        """See `BlockMaker`."""
        parsed, options = self.parsed, self.options
        file, text = parsed.instruction
        readers = {table.name: make_reader(table) for table in parsed.tables}
        images = ImageStore(self.raw, readers, Spools(self.work / SPOOLS))
        return BlockMaker(
            InstanceMaker(parsed.task, parsed.labels, file, options.seed, pools, text),
            ImageInputs(self.raw, images, options.verify_raw),
            self.work / BLOCKS,
            options.full_check,
            self.report,
            behind,
        )


def make_shards(job: Job, span: Span, tables: Sequence[pa.Buffer]) -> Made:
    """`BlockMaker.shards` in a worker, of tables that were `packed`.

    Raises:
        MachineError: and what `BlockMaker` raises.
    """
    with machine_errors(job.out):
        return _maker(job).shards(span, unpacked(tables))


def make_part(job: Job, span: Span, tables: Sequence[pa.Buffer]) -> Made:
    """`BlockMaker.part` in a worker, likewise. Raises the same errors."""
    with machine_errors(job.out):
        return _maker(job).part(span, unpacked(tables))


def join_parts(job: Job, span: Span, parts: Sequence[Made]) -> Made:
    """`Joining` in a worker, which may be on another machine than this process. Raises the same errors."""
    maker = _maker(job)
    with machine_errors(job.out), closing(Joining(maker.folder, span, behind=maker.behind)) as run:
        for part in parts:
            run.add(part)
        run.end()
        return run.made()


def copy_images(job: Job, piece: Piece) -> None:
    """`Copier.copy` in a worker. Raises MachineError."""
    with machine_errors(job.out):
        _maker(job).copier().copy(piece)


def changed_among(job: Job, images: LookedUp, which: int, of: int) -> str | None:
    """`first_change_among` a share of the images, in a worker. Raises what `RawDataset.stamp` raises."""
    with machine_errors(job.out):
        _maker(job)
        return first_change_among(_open[job.run][0], images.share(which, of))


_open: OrderedDict[str, tuple[RawDataset, BlockMaker]] = OrderedDict()


def _maker(job: Job) -> BlockMaker:
    """The maker of a job; the one that was used longest ago makes room."""
    if job.run not in _open:
        while len(_open) >= _KEPT:
            _, (raw, _) = _open.popitem(last=False)
            raw.close()
        _open[job.run] = _opened(job)
    _open.move_to_end(job.run)
    return _open[job.run][1]


def _opened(job: Job) -> tuple[RawDataset, BlockMaker]:
    parsed: Parsed = pickle.loads(job.parsed)
    raw = open_folder(parsed.dataset, parsed.lenders, job.raw)
    making = Making(parsed, raw, job.options, job.work, report_of(job.task))
    return raw, making.blocks(StoredPools(job.work))


class StoredPools:
    """Values of other records, in the work folder, for workers that have no records."""

    def __init__(self, work: Path) -> None:
        self._folder = work / POOLS

    def store(self, task: TaskSpec, pools: Pools) -> None:
        """Write what the task's derived fields draw from."""
        self._folder.mkdir(exist_ok=True)
        for operation in task.derive.values():
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
