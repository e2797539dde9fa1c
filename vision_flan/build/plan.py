"""How many instances each task of a suite gets: the paper's cap, its total, and what the raw files hold.

Allocation is water-filling: task i gets min(available_i, level), where level is the lowest at which the sum
reaches the total wanted. In terms of the paper's cap of 10,000: tasks with fewer instances give all of them,
the others give the cap, and the rest of the total is spread evenly over the tasks that have more.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vision_flan.build.counting import count_records
from vision_flan.build.locks import work_folder
from vision_flan.errors import Location, SpecError
from vision_flan.places.place import Place
from vision_flan.raw.roots import RawPlaces, RawRoots
from vision_flan.records.table_cache import FOLDER, TableCache
from vision_flan.report import Reporter
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.model import DEFAULT_LIMIT

#: Instances of the suite `vision_flan` (Vision-Flan paper, arXiv 2402.11690, section 2).
PAPER_SUITE, PAPER_INSTANCES = "vision_flan", 1_664_261


@dataclass(frozen=True)
class Supply:
    """How many instances a task has.

    Attributes:
        declared: `available` of the spec, None if unknown.
        counted: records in the raw files, None without raw files.
        limit: the spec's own limit, if it is below the paper's cap.
        note: why the raw files were not counted, "" if that needs no explanation.
    """

    task: str
    category: str
    declared: int | None
    confidence: str
    counted: int | None = None
    limit: int | None = None
    note: str = ""

    def usable(self, cap: int) -> int:
        """Instances to plan with: the count, else the declared number, else the cap."""
        known = next((n for n in (self.counted, self.declared) if n is not None), cap)
        return known if self.limit is None else min(known, self.limit)


@dataclass(frozen=True)
class Share:
    """One task's share of a plan.

    Attributes:
        available: instances the plan assumes; `basis` is `counted`, `declared` or `unknown`.
        over_cap: instances above the cap.
        reason: what determined the quota.
    """

    task: str
    category: str
    declared: int | None
    counted: int | None
    available: int
    basis: str
    confidence: str
    quota: int
    over_cap: int
    reason: str


@dataclass(frozen=True)
class SuitePlan:
    """The quotas of a suite's tasks.

    Attributes:
        wanted: total instances requested, None for as many as the cap allows.
        level: maximum quota of a task.
    """

    suite: str
    seed: int
    cap: int
    wanted: int | None
    level: int
    shares: tuple[Share, ...]

    @property
    def quotas(self) -> Mapping[str, int]:
        """Task -> instances."""
        return {share.task: share.quota for share in self.shares}

    @property
    def total(self) -> int:
        return sum(share.quota for share in self.shares)

    @property
    def explained(self) -> str:
        """How the total comes about, in one line, and how that differs from the paper's."""
        whole = sum(share.quota == share.available <= self.cap for share in self.shares)
        over = sum(share.quota > self.cap for share in self.shares)
        given = f"{whole} tasks give all they have, {len(self.shares) - whole - over} the cap of {self.cap:,}"
        more = f", {over} up to {self.level:,} to reach the total" if over else ""
        line = f"{self.total:,} = {given}{more}"
        if self.wanted != PAPER_INSTANCES:
            return line
        strict = sum(min(share.available, self.cap) for share in self.shares)
        return f"{line}; the paper draws from more splits; --cap {self.cap} alone gives {strict:,} here"

    @property
    def missing(self) -> int:
        """Instances requested that no task can supply."""
        return max((self.wanted or 0) - self.total, 0)

    def to_dict(self) -> dict[str, Any]:
        """Plain data; `read_quotas` reads `quotas` back."""
        return {
            "suite": self.suite,
            "seed": self.seed,
            "cap": self.cap,
            "wanted": self.wanted,
            "total": self.total,
            "missing": self.missing,
            "level": self.level,
            "explained": self.explained,
            "quotas": dict(self.quotas),
            "tasks": [asdict(share) for share in self.shares],
        }


@dataclass(frozen=True)
class PlanOptions:
    """What to plan.

    Attributes:
        cap: maximum instances per task, None for the paper's 10,000.
        instances: total instances; None for the paper's total if nothing else is restricted in the paper's
            suite, otherwise for as many as the cap allows.
        tasks: number of tasks to choose, None for all.
        seed: decides which tasks are chosen, and which get instances that cannot be split evenly.
    """

    cap: int | None = None
    instances: int | None = None
    tasks: int | None = None
    seed: int = 0


def plan_suite(
    name: str,
    raw: RawPlaces | None,
    catalog: Catalog,
    options: PlanOptions,
    report: Reporter,
    kept: TableCache | None = None,
    jobs: int = 1,
) -> SuitePlan:
    """The quotas of a suite's tasks.

    Args:
        jobs: processes that count records.
        kept: tables that were read before; None keeps them for this plan only.
        raw: count the records of tasks whose raw files are here; None uses the declared numbers.

    Raises:
        SpecError: no such suite, or one of its tasks has no valid spec.
    """
    with tempfile.TemporaryDirectory(prefix="vflan-") as folder:
        found = supplies(catalog, name, raw, report, kept or TableCache(Path(folder)), jobs)
    cap = options.cap or DEFAULT_LIMIT
    if options.tasks is not None:
        found = choose_tasks(found, options.tasks, cap, options.seed)
    wanted = options.instances
    unrestricted = wanted is None and options.cap is None and options.tasks is None
    if unrestricted and name == PAPER_SUITE:
        wanted = PAPER_INSTANCES
    return allocate(found, suite=name, cap=cap, wanted=wanted, seed=options.seed)


def quotas_of(
    suite: str, raw: RawPlaces, out: Place, catalog: Catalog, seed: int, report: Reporter, jobs: int = 1
) -> Mapping[str, int]:
    """The quotas of a suite that has a total to reach, as the paper's has. For other suites none: each task's
    own limit applies.

    Args:
        out: the compiled folder; tables that are read to count their records are kept for the build.
        jobs: processes that count records.
    """
    if suite != PAPER_SUITE:
        return {}
    kept = TableCache(work_folder(out) / FOLDER)
    places = RawRoots.for_build(raw, work_folder(out))
    return plan_suite(suite, places, catalog, PlanOptions(seed=seed), report, kept, jobs).quotas


def allocate(
    supplies: Iterable[Supply],
    *,
    suite: str,
    cap: int = DEFAULT_LIMIT,
    wanted: int | None = None,
    seed: int = 0,
) -> SuitePlan:
    """Give each task its quota.

    Args:
        cap: maximum instances per task; exceeded only if `wanted` requires it.
        wanted: total instances; reached exactly if the tasks have that many.
        seed: decides which tasks get the last instances, which cannot be split evenly.
    """
    rows = sorted(supplies, key=lambda supply: supply.task)
    available = {supply.task: supply.usable(cap) for supply in rows}
    if wanted is None:
        quotas, level = {task: min(count, cap) for task, count in available.items()}, cap
    else:
        quotas, level = water_fill(available, wanted, seed)
    shares = tuple(_share(supply, available[supply.task], quotas[supply.task], cap) for supply in rows)
    return SuitePlan(suite, seed, cap, wanted, level, shares)


def water_fill(available: Mapping[str, int], wanted: int, seed: int = 0) -> tuple[dict[str, int], int]:
    """Quotas min(available, level) whose sum is `wanted`, and the level.

    Instances that cannot be split evenly go to tasks in an order that depends on the seed. The sum is smaller
    only if fewer are available.
    """
    level = _level(sorted(available.values()), wanted)
    quotas = {task: min(count, level) for task, count in available.items()}
    left = wanted - sum(quotas.values())
    more = [task for task, count in available.items() if count > level]
    for task in sorted(more, key=lambda task: _order(seed, task))[:left]:
        quotas[task] += 1
    return quotas, level + (1 if left and more else 0)


def _level(counts: Sequence[int], wanted: int) -> int:
    """The highest whole level at which the sum of min(count, level) is not above `wanted`."""
    left = wanted
    for i, count in enumerate(counts):
        tasks = len(counts) - i
        if count * tasks > left:
            return left // tasks
        left -= count
    return counts[-1] if counts else 0


def _order(seed: int, *names: str) -> str:
    return hashlib.md5("\x1f".join((str(seed), *names)).encode(), usedforsecurity=False).hexdigest()


def _share(supply: Supply, available: int, quota: int, cap: int) -> Share:
    basis = (
        "counted" if supply.counted is not None else "declared" if supply.declared is not None else "unknown"
    )
    if supply.limit is not None and quota == supply.limit:
        reason = "the limit of the spec"
    elif basis == "unknown":
        reason = "availability unknown: the cap is assumed"
    elif quota == available:
        reason = "all that is available"
    elif quota > cap:
        reason = "the cap plus a share of what the total lacks"
    else:
        reason = "the cap" if quota == cap else "its share of the total"
    reason += f"; {supply.note}" if supply.note else ""
    return Share(
        supply.task, supply.category, supply.declared, supply.counted, available, basis, supply.confidence,
        quota, max(quota - cap, 0), reason,
    )  # fmt: skip


def choose_tasks(supplies: Iterable[Supply], count: int, per_task: int, seed: int = 0) -> list[Supply]:
    """Choose tasks by seed, balanced over categories: round by round, one task from each category.

    Tasks with at least `per_task` instances come first; others are taken only if there are too few of them.
    """
    rich: dict[str, list[Supply]] = {}
    poor: dict[str, list[Supply]] = {}
    for supply in supplies:
        pool = rich if supply.usable(per_task) >= per_task else poor
        pool.setdefault(supply.category, []).append(supply)
    return (_in_turn(rich, seed) + _in_turn(poor, seed))[:count]


def _in_turn(pools: Mapping[str, list[Supply]], seed: int) -> list[Supply]:
    drawn = {
        category: sorted(tasks, key=lambda supply: _order(seed, supply.task))
        for category, tasks in sorted(pools.items(), key=lambda item: _order(seed, item[0]))
    }
    rounds = max((len(tasks) for tasks in drawn.values()), default=0)
    return [tasks[i] for i in range(rounds) for tasks in drawn.values() if i < len(tasks)]


def supplies(
    catalog: Catalog, suite: str, raw: RawPlaces | None, report: Reporter, kept: TableCache, jobs: int = 1
) -> list[Supply]:
    """The supply of each task of a suite, counted by reading the records if there are raw files.

    Args:
        jobs: processes that count; the tasks of a dataset are one's, since they read the same tables.

    Raises:
        SpecError: no such suite, or one of its tasks has no valid spec.
    """
    tasks = [catalog.task(name) for name in sorted(catalog.suite(suite))]
    counts = {} if raw is None else count_records(tasks, raw, catalog, report, kept, jobs)
    found = []
    for task in tasks:
        counted, note = counts.get(task.id, (None, ""))
        limit = task.limit if task.limit is not None and task.limit < DEFAULT_LIMIT else None
        found.append(Supply(task.id, task.category, task.available, task.confidence, counted, limit, note))
    return found


def read_quotas(path: Path) -> dict[str, int]:
    """The quotas in a plan written by `vflan suite plan --json`.

    Raises:
        SpecError: the file is missing or not such a plan.
    """
    try:
        quotas = json.loads(path.read_text("utf-8"))["quotas"]
        if not all(type(count) is int and count >= 0 for count in quotas.values()):
            raise ValueError("a quota must be a whole number")
        return {str(task): count for task, count in quotas.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SpecError(
            f"not a plan: {error}",
            where=Location(path),
            hint="vflan suite plan vision_flan --json > plan.json",
        ) from error
