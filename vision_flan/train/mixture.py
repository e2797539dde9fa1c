"""Which instances a run learns from, and in which order: a pure function of the seed and the step.

Nothing here knows of ranks, workers or restarts, so none of them can change the order. Draws come from
keyed hashes of our own, not from a library's generator, so that an order outlives library versions.
"""

from __future__ import annotations

import fnmatch
import functools
import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vision_flan.errors import VflanError, to_type
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.names import task_ids
from vision_flan.train.config import Source

Indices = npt.NDArray[np.int64]


class MixtureError(VflanError):
    """The mixture asks for tasks that are not there."""


class Ref(NamedTuple):
    """One instance: the place of its task in `Mixture.tasks`, and its row there."""

    task: int
    row: int


def permutation(n: int, *key: object) -> Indices:
    """An order of `range(n)` that depends on `n` and the key alone.

    The numbers are hashed by splitmix64's finalizer (Steele et al. 2014). It is a bijection: no ties.
    """
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    x = np.arange(n, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    x += np.uint64(int.from_bytes(digest, "little"))
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.argsort(x ^ (x >> np.uint64(31))).astype(np.int64)


def choose_tasks(
    source: Source, available: Sequence[str], seed: int, suite: Collection[str] | None = None
) -> list[str]:
    """The tasks a source takes of those available, sorted.

    Args:
        suite: what patterns match; None for all that is available. A task named outright need not be in it.

    Raises:
        MixtureError: a name or pattern that matches nothing, or fewer tasks than `source.tasks`.
    """
    catalog = Catalog.default()
    chosen: set[str] = set()
    for pattern in task_ids(catalog, source.include):
        matched = [name for name in fnmatch.filter(available, pattern) if _in_suite(name, pattern, suite)]
        if not matched:
            raise MixtureError(
                f"no compiled task matches {pattern!r}",
                hint=to_type("vflan", "compile", "--task", pattern),
            )
        chosen.update(matched)
    excluded = task_ids(catalog, source.exclude)
    names = sorted(name for name in chosen if not any(fnmatch.fnmatch(name, p) for p in excluded))
    if not names or len(names) < source.tasks:
        raise MixtureError(
            f"the source wants {source.tasks or 'some'} tasks and {len(names)} of the compiled ones match",
            hint="compile more tasks, or lower `tasks` of the source",
        )
    if source.tasks:
        names = sorted(names[i] for i in permutation(len(names), seed, "tasks")[: source.tasks])
    return names


def _in_suite(name: str, pattern: str, suite: Collection[str] | None) -> bool:
    return suite is None or name == pattern or name in suite


class Mixture:
    """The instances of an epoch, and the samples of each step.

    Args:
        sources: the parts of the mixture.
        sizes: for each source, rows of each task it takes.
        seed: the run's seed.
        held_out: for each source, the rows of a task that are never shown.

    Raises:
        MixtureError: a source with fewer instances than it is to have.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        sizes: Sequence[Mapping[str, int]],
        seed: int,
        held_out: Sequence[Mapping[str, Indices]] = (),
    ) -> None:
        self.seed = seed
        self.tasks: list[tuple[int, str]] = []
        self._parts: list[Indices] = []  # per source, an array of (task, row)
        self._weights = [source.weight for source in sources]
        for number, (source, rows_of) in enumerate(zip(sources, sizes, strict=True)):
            self._parts.append(self._select(number, source, rows_of, held_out[number] if held_out else {}))
        self.length = sum(self._count(part, w) for part, w in zip(self._parts, self._weights, strict=True))
        if not self.length:
            raise MixtureError("the mixture holds no instance", hint="look at `data.sources`")
        self._epoch = functools.lru_cache(maxsize=2)(self._make_epoch)  # a step touches two at most, often

    def _select(
        self, number: int, source: Source, rows_of: Mapping[str, int], held_out: Mapping[str, Indices]
    ) -> Indices:
        """(task, row) of what a source offers, after `per_task` and `total`."""
        parts: list[Indices] = []
        for name, rows in sorted(rows_of.items()):
            order = permutation(rows, self.seed, "rows", name)
            order = order[~np.isin(order, held_out.get(name, ()))][: source.per_task or None]
            parts.append(np.stack([np.full_like(order, len(self.tasks)), np.sort(order)], axis=1))
            self.tasks.append((number, name))
        pool = np.concatenate(parts)
        for key, wanted in (("total", source.total), ("at_least", source.at_least)):
            if len(pool) < wanted:
                raise MixtureError(
                    f"data.sources.{number}.{key} is {wanted:,}, and the source has {len(pool):,} instances",
                    hint="compile more (`--limit` caps a task), or lower it; total=0 takes all there are",
                )
        if source.total:
            pool = pool[np.sort(permutation(len(pool), self.seed, "total", number)[: source.total])]
        return pool

    @staticmethod
    def _count(part: Indices, weight: float) -> int:
        return round(len(part) * weight)

    def _make_epoch(self, epoch: int) -> Indices:
        """All (task, row) of an epoch in their order; a fractional weight shows another part each epoch."""
        shown: list[Indices] = []
        for number, (part, weight) in enumerate(zip(self._parts, self._weights, strict=True)):
            whole, rest = divmod(self._count(part, weight), len(part))
            shown += [part] * whole
            shown.append(part[permutation(len(part), self.seed, "part", epoch, number)[:rest]])
        everything = np.concatenate(shown)
        return everything[permutation(len(everything), self.seed, "epoch", epoch)]

    def step(self, step: int, batch: int) -> list[Ref]:
        """The `batch` samples of a step; epochs follow each other without a gap."""
        refs: list[Ref] = []
        for position in range(step * batch, (step + 1) * batch):
            task, row = self._epoch(position // self.length)[position % self.length]
            refs.append(Ref(int(task), int(row)))
        return refs

    def steps(self, batch: int, epochs: float) -> int:
        """Steps that show `epochs` epochs; the last step is filled from the next epoch."""
        return max(1, -(-round(self.length * epochs) // batch))

    def counts(self) -> list[int]:
        """How many instances each of `tasks` adds to an epoch of weight 1."""
        shown = np.concatenate([part[:, 0] for part in self._parts])
        return [int(n) for n in np.bincount(shown, minlength=len(self.tasks))]
