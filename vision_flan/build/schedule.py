"""Which blocks are made when and where, until the quota is full. None of it changes a byte.

What decides bytes is how many blocks are cut into shards together: a run. Its length follows from the first
candidates. A run is made in one piece, straight into its shards, or its blocks are made side by side as parts
and joined; the second writes images twice, so it is for runs that would keep other workers waiting.
"""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pyarrow as pa

from vision_flan.build.blocks import BlockMaker, Made, Span
from vision_flan.build.engines import Engine, InFlight, Inline, Unit
from vision_flan.build.job import Build
from vision_flan.build.memory import ready_for_images
from vision_flan.build.worker import StoredPools, block_maker, job_of, join_parts, make_part, make_shards
from vision_flan.dataset.shards import BLOCK_ROWS, SHARD_BYTES
from vision_flan.records.candidates import Candidates

#: Candidates whose size tells how many blocks fill a shard.
PROBED = 16
#: Most blocks of a run, if the first candidates are small or all dropped.
RUN_BLOCKS = 64
#: Processes are started only for work that takes one process longer than this, in seconds.
WORTH_STARTING = 0.5
#: A run that takes longer is made in parts, so that a killed build loses no more than this.
LOSABLE = 5.0
#: Runs are made in one piece if there are so many for each worker that none waits long at the end.
_RUNS_PER_WORKER = 4


@dataclass(frozen=True)
class Layout:
    """How the blocks of a task are cut into runs.

    Attributes:
        blocks: number of blocks.
        run: blocks of a run.
        seconds: estimated time in one process.
        needed: number of runs if nothing is dropped.
    """

    blocks: int
    run: int
    seconds: float
    needed: int


def layout_of(maker: BlockMaker, candidates: Candidates, quota: int | None) -> Layout:
    """The layout of a task, by its first candidates: a run is to give half of the largest shard."""
    blocks = -(-candidates.count // BLOCK_ROWS)
    wanted = min(candidates.count, quota or candidates.count)
    if blocks <= 1:
        return Layout(blocks, 1, 0.0, blocks)
    rows = candidates.block(0, PROBED)
    begun = time.perf_counter()
    size = maker.bytes_each(rows)
    seconds = (time.perf_counter() - begun) / len(rows) * wanted
    fitting = SHARD_BYTES / 2 / max(size * BLOCK_ROWS, 1)
    run = int(min(max(fitting, 1), RUN_BLOCKS))
    return Layout(blocks, run, seconds, -(-wanted // (run * BLOCK_ROWS)))


class _Tables:
    """The candidates of some blocks, read from the database when they are needed."""

    def __init__(self, candidates: Candidates, span: Span) -> None:
        self._candidates = candidates
        self._span = span

    def __iter__(self) -> Iterator[pa.Table]:
        for block in range(self._span.first, self._span.first + self._span.blocks):
            yield self._candidates.table(block * BLOCK_ROWS, BLOCK_ROWS)


@dataclass(frozen=True)
class _Item:
    """Something in flight: a run, or one block of it."""

    span: Span
    candidates: int
    is_part: bool
    ends_run: bool
    unit: Unit[Made]


class Schedule:
    """Makes the blocks of a task in selection order until the quota is full.

    Args:
        engine: where they are made if that is worth it.
    """

    def __init__(self, build: Build, candidates: Candidates, engine: Engine) -> None:
        self._task = build.task.id
        self._candidates = candidates
        self._quota = build.quota
        self._maker = block_maker(build, candidates)
        self._layout = layout_of(self._maker, candidates, build.quota)
        worth = self._layout.seconds > WORTH_STARTING or (engine.started and self._layout.blocks > 1)
        self._engine = engine if worth else Inline()
        self._here = isinstance(self._engine, Inline)
        self._flight = InFlight(self._engine)
        self._job = job_of(build, uuid.uuid4().hex)
        self._report = build.report
        self._relayed = self._engine.listen(self._task, build.report)
        if not self._here:
            StoredPools(build.work).store(build, candidates)
        self._next = 0  # the first block that is not in flight
        self._waiting: deque[_Item] = deque()

    def run(self) -> list[Made]:
        """The finished runs, in order. It ends after a first run without a single image: the raw folder is
        wrong."""
        try:
            with ready_for_images():
                return self._collect()
        finally:
            self._flight.cancel()

    def _collect(self) -> list[Made]:
        done: list[Unit[Made] | Made] = []
        parts: list[Made] = []
        left = at_start = self._quota
        while left is None or left > 0:
            self._fill(left)
            if not self._waiting:
                break
            item = self._waiting.popleft()
            made = self._flight.take(item.unit)
            if not made.can_reuse_for(left):  # it was started before earlier drop counts were known
                made = self._flight.take(self._start(replace(item.span, at_most=left), item.is_part))
            if not self._relayed:
                self._report.advance(made.rows, made.content_bytes)
            if not item.is_part:
                done.append(made)
            else:
                parts.append(made)
            left = None if left is None else left - made.rows
            if parts and (item.ends_run or left == 0):
                done.append(self._join(parts, at_start))
                parts = []
            if item.ends_run:
                at_start = left
            if made.span.first == 0 and made.found_no_image:
                break
        if parts:
            done.append(self._join(parts, at_start))
        return [made if isinstance(made, Made) else self._flight.take(made) for made in done]

    def _fill(self, left: int | None) -> None:
        """Start work until all workers are busy, or what was started may fill the quota."""
        ahead = 1 if self._here else self._engine.workers + 1
        while len(self._waiting) < ahead and self._next < self._layout.blocks:
            if left is not None and sum(item.candidates for item in self._waiting) >= left:
                return
            self._waiting.append(self._start_next(left))

    def _start_next(self, left: int | None) -> _Item:
        first, length = self._next, self._layout.run
        begins, end = first % length == 0, min(first - first % length + length, self._layout.blocks)
        whole = begins and (self._in_one_piece() or self._maker.may_have_shards(first))
        span = Span(first, end - first if whole else 1, left)
        self._next += span.blocks
        count = min(self._next * BLOCK_ROWS, self._candidates.count) - first * BLOCK_ROWS
        return _Item(span, count, not whole, self._next == end, self._start(span, not whole))

    def _in_one_piece(self) -> bool:
        """Whether runs are made straight into shards; another run's parts do not change that."""
        layout = self._layout
        if layout.run == 1 or layout.seconds > LOSABLE * layout.needed:
            return layout.run == 1
        return self._here or layout.needed >= _RUNS_PER_WORKER * self._engine.workers

    def _start(self, span: Span, is_part: bool) -> Unit[Made]:
        tables = _Tables(self._candidates, span)
        if self._here:
            return self._flight.start("", self._maker.part if is_part else self._maker.shards, span, tables)
        work = make_part if is_part else make_shards
        return self._flight.start(self._name(span), work, self._job, span, tuple(tables))

    def _join(self, parts: list[Made], at_most: int | None) -> Unit[Made]:
        """Start joining the parts of a run, of which the quota may have left fewer."""
        first = parts[0].span.first
        span = Span(first, min(self._layout.run, self._layout.blocks - first), at_most)
        if self._here:
            return self._flight.start("", self._maker.join, span, parts)
        return self._flight.start(self._name(span), join_parts, self._job, span, parts)

    def _name(self, span: Span) -> str:
        last = span.first + span.blocks - 1
        return (
            f"block {span.first} of {self._task}"
            if last == span.first
            else (f"blocks {span.first} to {last} of {self._task}")
        )
