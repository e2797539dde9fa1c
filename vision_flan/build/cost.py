"""What a build will read, write and take: from a few real records on this machine, before it is started.

Each task whose raw files are there is opened as a build opens it, and the first of its candidates, which the
selection has shuffled, are made into instances: their images are read, checked and composed. What that took
and gave is multiplied. The tasks share a few seconds; those that get none are taken for the average of the
others. Writing is measured once, on instances of all tasks.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from vision_flan.build.cores import usable_cores
from vision_flan.build.inputs import annotation_files, is_listing, size_of
from vision_flan.build.open_task import OpenTask, open_task
from vision_flan.build.plan import SuitePlan
from vision_flan.dataset.shards import ShardWriter
from vision_flan.errors import MissingRawError, VflanError
from vision_flan.instances.maker import Instance, Instances
from vision_flan.raw.roots import RawPlaces
from vision_flan.records.table_cache import TableCache
from vision_flan.records.tables import open_raw, task_sources
from vision_flan.report import Reporter
from vision_flan.spec.catalog import Catalog

#: Seconds that all tasks together may take to make instances, and candidates of one task.
PROBE_SECONDS, PROBED = 5.0, 48
#: How many times its even share of what is left a task may take: most take less. And its fewest candidates.
_GENEROUS, _FEWEST = 2, 4
#: Bytes of instances that are written to measure that.
_WRITTEN = 64 << 20


@dataclass(frozen=True)
class TaskCost:
    """One task of a plan.

    Attributes:
        instances: its quota.
        images: image files, or records with an image, that are read; dropped candidates included.
        reads: bytes of annotations and images.
        writes: bytes of shards.
        seconds: in one process.
        basis: `measured`, or `average` of the other tasks, or why it is not known.
        is_known: whether there is an estimate.
    """

    task: str
    instances: int
    images: int
    reads: int
    writes: int
    seconds: float
    basis: str
    is_known: bool = True


@dataclass(frozen=True)
class SuiteCost:
    """All tasks of a plan.

    Attributes:
        jobs: processes that the minutes are for.
    """

    tasks: tuple[TaskCost, ...]
    jobs: int

    @property
    def totals(self) -> dict[str, float]:
        """Images, bytes and minutes; what has no basis counts as nothing."""
        seconds = sum(task.seconds for task in self.tasks)
        return {
            "instances": sum(task.instances for task in self.tasks),
            "images": sum(task.images for task in self.tasks),
            "bytes_to_read": sum(task.reads for task in self.tasks),
            "bytes_to_write": sum(task.writes for task in self.tasks),
            "minutes_in_one_process": round(seconds / 60, 2),
            "minutes": round(seconds / 60 / self.jobs, 2),
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {**self.totals, "jobs": self.jobs, "tasks": [asdict(task) for task in self.tasks]}


@dataclass(frozen=True)
class _Probe:
    """A task's sample: candidates, instances they gave, and what that took; zeros if there was no time."""

    annotations: int
    open_seconds: float  # to read the records and put them in order
    candidates: int = 0
    instances: int = 0
    images: int = 0
    image_bytes: int = 0
    written: int = 0
    seconds: float = 0.0


class _Sample:
    """Instances of all tasks, to measure what writing takes."""

    def __init__(self) -> None:
        self.instances: list[Instance] = []
        self.bytes = 0

    def add(self, instance: Instance) -> None:
        """Keep it, as long as there is room."""
        if self.bytes < _WRITTEN:
            self.instances.append(instance)
            self.bytes += instance.num_bytes

    def seconds_a_byte(self) -> float:
        """What it takes to encode, hash and write a byte."""
        if not self.bytes:
            return 0.0
        with tempfile.TemporaryDirectory(prefix="vflan-") as folder:
            began = time.perf_counter()
            with ShardWriter(Path(folder), "probe") as writer:
                writer.add(Instances.of(self.instances))
            return (time.perf_counter() - began) / self.bytes


class _Counted:
    """Reads images and counts them."""

    def __init__(self, read: Callable[[str], bytes]) -> None:
        self._read = read
        self.images = self.bytes = 0

    def read(self, ref: str) -> bytes:
        """The bytes of an image."""
        data = self._read(ref)
        self.images += 1
        self.bytes += len(data)
        return data


def cost_of(
    plan: SuitePlan,
    raw: RawPlaces,
    catalog: Catalog,
    report: Reporter,
    kept: TableCache,
    jobs: int | None = None,
) -> SuiteCost:
    """Measure a plan's tasks.

    Args:
        kept: tables that were read to count the records; a build keeps them too.
        jobs: processes to expect; None for the cores this process may use.
    """
    probes: dict[str, _Probe] = {}
    unknown: dict[str, str] = {}
    sample, left = _Sample(), PROBE_SECONDS
    report.stage("measuring", len(plan.shares))
    for done, share in enumerate(sorted(plan.shares, key=lambda share: -share.quota)):
        mine = _GENEROUS * left / (len(plan.shares) - done)
        try:
            probe = _probe(share.task, plan.seed, raw, catalog, kept, mine, sample)
        except MissingRawError:
            unknown[share.task] = "no raw files"
        except VflanError as error:
            unknown[share.task] = error.what
        else:
            probes[share.task] = probe
            left -= probe.seconds
        report.advance(1)
    a_byte, average = sample.seconds_a_byte(), _together(probes.values())
    tasks = []
    for share in plan.shares:
        if share.task in unknown:
            tasks.append(TaskCost(share.task, share.quota, 0, 0, 0, 0.0, unknown[share.task], False))
        else:
            tasks.append(_cost(share.task, share.quota, probes[share.task], average, a_byte))
    return SuiteCost(tuple(tasks), jobs or usable_cores())


def _probe(
    task: str,
    seed: int,
    raw: RawPlaces,
    catalog: Catalog,
    kept: TableCache,
    left: float,
    sample: _Sample,
) -> _Probe:
    began = time.perf_counter()
    with open_task(task, raw, catalog, seed, kept=kept) as opened:
        rows = opened.rows(PROBED)  # which puts the records in order
        probe = _Probe(_annotation_bytes(task, raw, catalog), time.perf_counter() - began)
        return probe if left <= 0 else _made(probe, opened, rows, seed, left, sample)


def _made(
    probe: _Probe, opened: OpenTask, rows: Sequence[dict[str, Any]], seed: int, left: float, sample: _Sample
) -> _Probe:
    """Make candidates until the time is over."""
    maker, counted = opened.maker(seed), _Counted(opened.read)
    for row in rows[:1]:  # what the first one costs more than others, opening archives, is no measure of them
        maker.make(dict(row), opened.read, full_check=False)
    tried = made = written = 0
    began = time.perf_counter()
    for row in rows:
        instance = maker.make(row, counted.read, full_check=False)
        tried += 1
        if isinstance(instance, Instance):
            made += 1
            written += instance.num_bytes
            sample.add(instance)
        if tried >= _FEWEST and time.perf_counter() - began > left:
            break
    seconds = time.perf_counter() - began
    return replace(
        probe,
        candidates=tried,
        instances=made,
        images=counted.images,
        image_bytes=counted.bytes,
        written=written,
        seconds=seconds,
    )


def _annotation_bytes(task: str, raw: RawPlaces, catalog: Catalog) -> int:
    sources = task_sources(catalog.task(task), catalog)
    with open_raw(sources.dataset, catalog, raw) as opened:
        stamps = annotation_files(sources, opened).stamps
    return sum(size_of(stamp) for path, stamp in stamps.items() if not is_listing(path))


def _together(probes: Collection[_Probe]) -> _Probe:
    """All samples as one."""
    facts = [
        (one.candidates, one.instances, one.images, one.image_bytes, one.written, one.seconds)
        for one in probes
    ]
    return _Probe(0, 0.0, *(sum(column) for column in zip(*facts, strict=True))) if facts else _Probe(0, 0.0)


def _cost(task: str, quota: int, probe: _Probe, average: _Probe, a_byte: float) -> TaskCost:
    """A task's sample, multiplied."""
    taken, basis = (probe, "measured") if probe.instances else (average, "average")
    if not taken.instances:
        return TaskCost(
            task, quota, 0, probe.annotations, 0, probe.open_seconds, "no instance was made", False
        )
    times = quota / taken.instances
    written = round(taken.written * times)
    return TaskCost(
        task,
        quota,
        round(taken.images * times),
        probe.annotations + round(taken.image_bytes * times),
        written,
        probe.open_seconds + taken.seconds * times + written * a_byte,
        basis,
    )
