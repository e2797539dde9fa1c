"""Which blocks are made when and where, until the quota is full. None of it changes a byte.

What decides bytes is how many blocks are cut into shards together: a run. Its length follows from the first
candidates. A run is made in one piece, straight into its shards, or its blocks are made side by side as parts
and joined; the second writes images twice, so it is for runs that would keep other workers waiting. Of few
jobs this process is one: it makes a block whenever the next one in order is not done. Parts are joined as
they come: between two blocks, or, of many jobs, in threads of this process.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from vision_flan.build.blocks import BlockMaker, Made, Span
from vision_flan.build.cores import usable_cores
from vision_flan.build.engines import Engine, InFlight, Inline, Unit
from vision_flan.build.inputs import first_change_among
from vision_flan.build.job import Build
from vision_flan.build.joining import Joining, Runs
from vision_flan.build.looked_up import Gathering, LookedUp
from vision_flan.build.parsed import job_of, making_of
from vision_flan.build.spooling import Piece, Spooling
from vision_flan.build.tables import BlockTables, packed
from vision_flan.build.worker import (
    StoredPools,
    changed_among,
    copy_images,
    join_parts,
    make_part,
    make_shards,
)
from vision_flan.dataset.shards import BLOCK_ROWS, SHARD_BYTES
from vision_flan.records.candidates import Candidates

#: Candidates whose size tells how many blocks fill a shard.
PROBED = 16
#: Most blocks of a run, if the first candidates are small or all dropped.
RUN_BLOCKS = 64
#: Processes are started only for work that takes one process longer than this, in seconds.
WORTH_STARTING = 0.5
#: Seconds to encode, hash and write a byte, beside what making a row takes.
_WRITING = 1.2e-9
#: A run that takes longer is made in parts, so that a killed build loses no more than this.
LOSABLE = 5.0
#: Runs are made in one piece if there are so many for each worker that none waits long at the end.
_RUNS_PER_WORKER = 4
#: Jobs that make parts as fast as one thread joins them.
_MAKING_TO_JOINING = 4


@dataclass(frozen=True)
class Layout:
    """How the blocks of a task are cut into runs.

    Attributes:
        blocks: number of blocks.
        each: bytes that a candidate adds to a shard.
        run: blocks of a run.
        seconds: estimated time in one process.
        needed: number of runs if nothing is dropped.
    """

    blocks: int
    each: float
    run: int
    seconds: float
    needed: int


def layout_of(maker: BlockMaker, candidates: Candidates, quota: int | None) -> Layout:
    """The layout of a task, by its first candidates: a run is to give half of the largest shard."""
    blocks = -(-candidates.count // BLOCK_ROWS)
    wanted = min(candidates.count, quota or candidates.count)
    candidates.expect(wanted)
    if blocks <= 1:
        return Layout(blocks, 0.0, 1, 0.0, blocks)
    size, seconds = maker.probe(candidates.table(0, PROBED))
    fitting = SHARD_BYTES / 2 / max(size * BLOCK_ROWS, 1)
    run = int(min(max(fitting, 1), RUN_BLOCKS))
    seconds = (seconds + size * _WRITING) * wanted
    return Layout(blocks, size, run, seconds, -(-wanted // (run * BLOCK_ROWS)))


@dataclass(frozen=True)
class _Item:
    """Something that was started: a run, or one block of it."""

    span: Span
    candidates: int
    is_part: bool
    ends_run: bool
    unit: Unit[Made]

    @property
    def in_flight(self) -> bool:
        return not self.unit.future.done()


class Schedule:
    """Makes the blocks of a task in selection order until the quota is full.

    Args:
        engine: where they are made if that is worth it.
        gathering: gets the files that they looked up.
    """

    def __init__(self, build: Build, candidates: Candidates, engine: Engine, gathering: Gathering) -> None:
        self._task = build.task.id
        self._candidates = candidates
        self._tables = BlockTables(candidates)
        self._quota = build.quota
        making = making_of(build)
        self._layout = layout_of(making.blocks(candidates), candidates, build.quota)
        worth = self._layout.seconds > WORTH_STARTING or (engine.started and self._layout.blocks > 1)
        self._engine = engine if worth else Inline()
        self._engine.start()
        self._all_here = isinstance(self._engine, Inline)
        free_core = (1 if self._all_here else self._jobs) < usable_cores()
        self._maker = making.blocks(candidates, behind=free_core)
        self._flight = InFlight(self._engine)
        self._job = job_of(build, making)
        self._report, self._raw = build.report, build.raw
        self._relayed = self._engine.listen(self._task, build.report)
        joining, to_joining = (self._joining, _MAKING_TO_JOINING) if self._relayed else (None, 1)
        self._runs = Runs(joining, self._join, gathering, 1 + self._jobs // to_joining)
        if not self._all_here:
            StoredPools(build.work).store(build.task, candidates)
        self._next = 0  # the first block that is not started
        self._waiting: deque[_Item] = deque()
        self._copier = self._maker.copier()
        layout, copiers = self._layout, 1 if self._all_here else self._jobs
        self._spooling = Spooling(
            self._copier, self._tables.of, self._may_have, self._copy, copiers, layout.blocks, layout.each
        )
        if self._spooling.active:
            build.report.stage(f"copying images of {self._task}")
            try:
                self._spooling.reach(1, self._quota)
            except BaseException:
                self._end()
                raise

    def run(self) -> list[Made]:
        """The finished runs, in order. It ends after a first run without a single image: the raw folder is
        wrong."""
        try:
            return self._collect()
        finally:
            self._end()

    def first_change(self, images: LookedUp) -> str | None:
        """The first of the image files that has changed since it was looked up. If there are many, all jobs
        of this machine look; another's may see a shared disk as it was a moment ago.

        Raises:
            BadRawError, MachineError: as `RawDataset.stamp`.
        """
        jobs = min(1 if self._all_here or not self._relayed else self._jobs, max(images.pieces, 1))
        name, job = f"the second look at the images of {self._task}", self._job
        others = [self._flight.start(name, changed_among, job, images, at, jobs) for at in range(1, jobs)]
        here = first_change_among(self._raw, images.share(0, jobs))
        found = [here, *map(self._flight.take, others)]
        return next(filter(None, found), None)

    def _collect(self) -> list[Made]:
        left = at_start = self._quota
        run = self._run_of(0, left)
        while left is None or left > 0:
            self._fill(left)
            if self._engine.helped and self._may_start(left) and not self._next_is_done():
                self._waiting.append(self._start_next(left, here=True))
                continue
            if not self._waiting:
                break
            item = self._waiting.popleft()
            if item.span.first % self._layout.run == 0:
                at_start = left
            made = self._made(item, left)
            left = None if left is None else left - made.rows
            run = self._run_of(item.span.first, at_start)
            if item.is_part:
                self._runs.add_part(made, run)
            else:
                self._runs.add(made)
            if item.ends_run:
                self._runs.end(run)
            if made.span.first == 0 and made.found_no_image:
                break
        self._runs.end(run)
        return self._runs.all()

    def _made(self, item: _Item, left: int | None) -> Made:
        made = self._flight.take(item.unit)
        if not made.can_reuse_for(left):  # it was started before earlier drop counts were known
            made = self._flight.take(self._start(replace(item.span, at_most=left), item.is_part))
        if not self._relayed:
            self._report.advance(made.rows, made.content_bytes)
        return made

    def _run_of(self, block: int, at_most: int | None) -> Span:
        first = block - block % self._layout.run
        return Span(first, min(self._layout.run, self._layout.blocks - first), at_most)

    def _fill(self, left: int | None) -> None:
        """Start work until all workers are busy, or what was started may fill the quota."""
        if self._all_here:
            if not self._waiting and self._may_start(left):
                self._waiting.append(self._start_next(left, here=True))
            return
        if self._engine.helped and not self._engine.started:
            return
        ahead, last = 1 + self._engine.workers, self._layout.blocks
        if self._engine.helped:  # this process looks only between two blocks, and takes the last one
            ahead, last = 2 * self._engine.workers, last - 1
        while sum(item.in_flight for item in self._waiting) < ahead and self._may_start(left):
            if self._next >= last:
                return
            self._waiting.append(self._start_next(left, here=False))

    def _next_is_done(self) -> bool:
        return bool(self._waiting) and not self._waiting[0].in_flight

    def _may_start(self, left: int | None) -> bool:
        """Whether there is a block left, and what was started may not fill the quota."""
        if self._next >= self._layout.blocks:
            return False
        return left is None or sum(item.candidates for item in self._waiting) < left

    def _start_next(self, left: int | None, *, here: bool) -> _Item:
        first, length = self._next, self._layout.run
        begins, end = first % length == 0, min(first - first % length + length, self._layout.blocks)
        whole = begins and (self._in_one_piece() or self._maker.may_have_shards(first))
        span = Span(first, end - first if whole else 1, left)
        self._next += span.blocks
        self._spooling.reach(self._next, left)
        count = min(self._next * BLOCK_ROWS, self._candidates.count) - first * BLOCK_ROWS
        return _Item(span, count, not whole, self._next == end, self._start(span, not whole, here=here))

    def _end(self) -> None:
        """Start nothing more, and leave no copy of an image."""
        self._runs.close()
        self._flight.cancel()
        self._spooling.close()

    def _copy(self, pieces: Sequence[Piece]) -> None:
        """Copy pieces of a pass, in all jobs of this task."""
        left, started = deque(pieces), deque[Unit[None]]()
        while left or started:
            while left and self._takes_more(started):
                piece = left.popleft()
                name = f"the copy of images of {self._task}"
                started.append(self._flight.start(name, copy_images, self._job, piece))
            if left and (self._all_here or self._engine.helped):
                self._copier.copy(left.popleft())
            else:
                self._flight.take(started.popleft())

    def _takes_more(self, started: Collection[Unit[None]]) -> bool:
        """Whether workers can begin on more pieces soon."""
        if self._all_here or (self._engine.helped and not self._engine.started):
            return False
        return sum(not unit.future.done() for unit in started) <= self._engine.workers

    def _may_have(self, block: int) -> bool:
        return self._maker.may_have(block, block - block % self._layout.run)

    def _in_one_piece(self) -> bool:
        """Whether runs are made straight into shards; another run's parts do not change that."""
        layout = self._layout
        if layout.run == 1 or layout.seconds > LOSABLE * layout.needed:
            return layout.run == 1
        return self._all_here or layout.needed >= _RUNS_PER_WORKER * self._jobs

    @property
    def _jobs(self) -> int:
        return self._engine.workers + self._engine.helped

    def _start(self, span: Span, is_part: bool, *, here: bool = False) -> Unit[Made]:
        tables = map(self._tables.of, range(span.first, span.first + span.blocks))
        if here or self._all_here:
            return self._flight.do("", self._maker.part if is_part else self._maker.shards, span, tables)
        work = make_part if is_part else make_shards
        return self._flight.start(self._name(span), work, self._job, span, tuple(map(packed, tables)))

    def _joining(self, run: Span) -> Joining:
        """What joins a run here: as one of the jobs between two blocks, else in threads."""
        apart = not (self._all_here or self._engine.helped)
        return Joining(self._maker.folder, run, behind=self._maker.behind or apart, apart=apart)

    def _join(self, run: Span, parts: Sequence[Made]) -> Callable[[], Made]:
        """Start joining the parts of a run, of which the quota may have left fewer, in a worker."""
        unit = self._flight.start(self._name(run), join_parts, self._job, run, parts)
        return lambda: self._flight.take(unit)

    def _name(self, span: Span) -> str:
        last = span.first + span.blocks - 1
        return (
            f"block {span.first} of {self._task}"
            if last == span.first
            else (f"blocks {span.first} to {last} of {self._task}")
        )
