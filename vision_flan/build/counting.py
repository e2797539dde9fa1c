"""How many records the tasks of a suite have: datasets side by side, the tasks of one by one process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass
from itertools import groupby

from vision_flan.build.engines import EngineSpec, InFlight, Unit, open_engine
from vision_flan.build.fork_server import start_server
from vision_flan.build.open_task import open_task
from vision_flan.errors import MissingRawError, VflanError
from vision_flan.limits import wait_for_others
from vision_flan.raw.roots import RawPlaces
from vision_flan.records.table_cache import TableCache
from vision_flan.report import Reporter, Silent
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.model import TaskSpec

#: Records of a task and why there is no number, "" if that needs no explanation.
Count = tuple[int | None, str]


def count_records(
    tasks: Sequence[TaskSpec],
    raw: RawPlaces,
    catalog: Catalog,
    report: Reporter,
    kept: TableCache,
    jobs: int,
) -> Mapping[str, Count]:
    """Task id -> its records. A task whose raw files are missing or broken has none, and a note.

    Args:
        kept: tables that were read before, and are now.
        jobs: datasets that are counted at one time.
    """
    report.stage("counting records of tasks", len(tasks))
    by_dataset = sorted(tasks, key=lambda task: task.dataset)
    groups = {
        dataset: [task.id for task in some]
        for dataset, some in groupby(by_dataset, lambda task: task.dataset)
    }
    counter = _Counter(raw, catalog, kept)
    at_once = min(jobs, len(groups))
    counted = (
        _side_by_side(groups, counter, at_once)
        if at_once > 1
        else ((dataset, counter.run(some)) for dataset, some in groups.items())
    )
    found: dict[str, Count] = {}
    for dataset, counts in counted:
        report.advance(len(groups[dataset]))
        for note in counts.notes:
            report.note(note)
        found |= counts.found
    return found


@dataclass(frozen=True)
class _Counts:
    """Of the tasks of a dataset, with what a user should know."""

    found: dict[str, Count]
    notes: list[str]


class _Notes(Silent):
    """Keeps what a user should know: what a worker reports may come after its result."""

    def __init__(self) -> None:
        self.kept: list[str] = []

    def note(self, message: str) -> None:
        """Keep it."""
        self.kept.append(message)


@dataclass(frozen=True)
class _Counter:
    """Counts in a worker; its values can be pickled."""

    raw: RawPlaces
    catalog: Catalog
    kept: TableCache

    def run(self, tasks: Sequence[str]) -> _Counts:
        """The records of the tasks of a dataset."""
        notes = _Notes()
        return _Counts({task: self._count(task, notes) for task in tasks}, notes.kept)

    def _count(self, task: str, report: Reporter) -> Count:
        try:
            with open_task(task, self.raw, self.catalog, report=report, kept=self.kept) as opened:
                return opened.candidates.count, ""
        except MissingRawError:
            return None, "no raw files"
        except VflanError as error:
            return _not_counted(task, error, report)


def _not_counted(task: str, error: VflanError, report: Reporter) -> Count:
    report.note(f"{task} is not counted: {error}")
    return None, f"not counted: {error.what}"


def _side_by_side(
    groups: Mapping[str, Sequence[str]], counter: _Counter, jobs: int
) -> Iterator[tuple[str, _Counts]]:
    """The counts of datasets as they come."""
    start_server(whole_tasks=True)
    with open_engine(EngineSpec(jobs=jobs), coordinates=True, apart=True) as engine:
        flight = InFlight(engine)
        waiting = {
            dataset: flight.start(f"the count of {dataset}", counter.run, tasks)
            for dataset, tasks in groups.items()
        }
        while waiting:
            wait_for_others()
            wait([unit.future for unit in waiting.values()], return_when=FIRST_COMPLETED)
            for dataset in [name for name, unit in waiting.items() if unit.future.done()]:
                yield dataset, _taken(flight, waiting.pop(dataset), groups[dataset])


def _taken(flight: InFlight, unit: Unit[_Counts], tasks: Sequence[str]) -> _Counts:
    try:
        return flight.take(unit)
    except VflanError as error:  # its worker crashed, or took more than it may
        notes = _Notes()
        return _Counts({task: _not_counted(task, error, notes) for task in tasks}, notes.kept)
