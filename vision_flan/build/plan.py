"""How many instances each task of a suite gets: the paper's cap, its total, and what raw files permit.

Allocation is water-filling: task i gets min(available_i, level), the level being the lowest at which the
sum reaches the total wanted. With the paper's cap of 10,000 as the start that is the same as: everything of
the tasks with fewer, the cap for the rest, and what is still missing spread evenly over those that have more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vision_flan.build.open_task import open_task
from vision_flan.errors import BadRawError, MissingRawError, Location, SpecError
from vision_flan.report import Reporter
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.model import DEFAULT_LIMIT

#: Instances of the suite `vision_flan` (Vision-Flan paper, arXiv 2402.11690, section 2).
PAPER_SUITE, PAPER_INSTANCES = "vision_flan", 1_664_261


@dataclass(frozen=True)
class Supply:
    """What there is of a task.

    Attributes:
        declared: `available` of the spec, None where nobody knows.
        counted: records in the raw files, None where they are not there.
        limit: the spec's own quota where it is below the paper's.
        note: why the raw files were not counted, if that is worth saying.
    """

    task: str
    category: str
    declared: int | None
    confidence: str
    counted: int | None = None
    limit: int | None = None
    note: str = ""

    def usable(self, cap: int) -> int:
        """Instances to plan with: counted before declared, the cap where neither is known."""
        known = next((n for n in (self.counted, self.declared) if n is not None), cap)
        return known if self.limit is None else min(known, self.limit)


@dataclass(frozen=True)
class Share:
    """A task's part of a plan.

    Attributes:
        available: what the plan reckons with; `basis` is `counted`, `declared` or `unknown`.
        over_cap: instances above the cap.
        reason: why the quota is what it is.
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
    """Who gets what.

    Attributes:
        wanted: instances asked for in all, None for as many as the cap allows.
        level: no task gets more than this.
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
    def missing(self) -> int:
        """Instances wanted that no task can give."""
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
            "quotas": dict(self.quotas),
            "tasks": [asdict(share) for share in self.shares],
        }


def plan(
    supplies: Iterable[Supply],
    *,
    suite: str,
    cap: int = DEFAULT_LIMIT,
    wanted: int | None = None,
    seed: int = 0,
) -> SuitePlan:
    """Give each task its quota.

    Args:
        cap: what a task gets when it has that many; more only where `wanted` asks for it.
        wanted: instances in all; reached exactly whenever the tasks have as many.
        seed: decides which tasks get the last instances that cannot be split evenly.
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

    What the last step of the level cannot split evenly goes to tasks in an order that the seed decides. The
    sum is smaller only when there is not as much.
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
        reason = "everything there is"
    elif quota > cap:
        reason = "the cap, and a part of what is missing to the total"
    else:
        reason = "the cap" if quota == cap else "its part of the total"
    reason += f"; {supply.note}" if supply.note else ""
    return Share(
        supply.task, supply.category, supply.declared, supply.counted, available, basis, supply.confidence,
        quota, max(quota - cap, 0), reason,
    )  # fmt: skip


def choose_tasks(supplies: Iterable[Supply], count: int, per_task: int, seed: int = 0) -> list[Supply]:
    """Tasks by seed, balanced over categories: a category gives its second task when all gave a first.

    Tasks that have `per_task` instances come first; others only when there are not enough of those.
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


def supplies(catalog: Catalog, suite: str, raw: Path | None, report: Reporter) -> list[Supply]:
    """What there is of each task of a suite; counted by the record pass where raw files are.

    Raises:
        SpecError: no such suite, or a task of it has no valid spec.
    """
    found = []
    for name in sorted(catalog.suite(suite)):
        task = catalog.task(name)
        counted, note = (None, "") if raw is None else _count(name, raw, catalog, report)
        limit = task.limit if task.limit is not None and task.limit < DEFAULT_LIMIT else None
        found.append(Supply(task.id, task.category, task.available, task.confidence, counted, limit, note))
    return found


def _count(name: str, raw: Path, catalog: Catalog, report: Reporter) -> tuple[int | None, str]:
    try:
        with open_task(name, raw, catalog, report=report) as opened:
            return opened.candidates.count, ""
    except MissingRawError:
        return None, "no raw files"
    except BadRawError as error:
        report.note(f"{name} is not counted: {error}")
        return None, f"not counted: {error.what}"


def read_quotas(path: Path) -> dict[str, int]:
    """Quotas of a plan that `vflan suite plan --json` wrote.

    Raises:
        SpecError: no such file, or not such a plan.
    """
    try:
        quotas = json.loads(path.read_text("utf-8"))["quotas"]
        if not all(type(count) is int and count >= 0 for count in quotas.values()):
            raise ValueError("a quota is a whole number")
        return {str(task): count for task, count in quotas.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SpecError(
            f"not a plan: {error}",
            where=Location(path),
            hint="vflan suite plan vision_flan --json > plan.json",
        ) from error
