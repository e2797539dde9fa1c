"""Blocks of candidates, each made by one worker. Any number of workers gives the same result."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vision_flan.build.inputs import ImageInputs, Seen, changed_while_built, first_change
from vision_flan.build.memory import keep_freed_memory
from vision_flan.dataset.manifest import write_atomically
from vision_flan.dataset.shards import BLOCK_ROWS, ShardFacts, ShardWriter
from vision_flan.instances.maker import Dropped, Instance, InstanceMaker
from vision_flan.records.store import Candidates
from vision_flan.report import Reporter

MISSING_IMAGE = "missing_image"

_REPORT_EVERY = 50
#: Characters of an example: names in records may be long.
_EXAMPLE_LENGTH = 300

Row = dict[str, Any]


@dataclass(frozen=True)
class Block:
    """A finished block.

    Attributes:
        at_most: the number of rows it was limited to, None for no limit.
        shard: its file, with the name it has in the folder of blocks.
        content_bytes: size of images and texts in memory, which `dataset_info` calls num_bytes.
        dropped: reason -> number of candidates dropped, up to the limit.
        examples: reason -> the first candidate dropped for it.
        seen: the image files that were looked up.
    """

    index: int
    at_most: int | None
    shard: ShardFacts
    content_bytes: int
    dropped: dict[str, int]
    examples: dict[str, str]
    seen: Seen = field(default_factory=Seen)

    @classmethod
    def from_json(cls, text: str) -> Block:
        """Read back what `json.dumps(asdict(block))` wrote. Raises ValueError, TypeError or KeyError."""
        data = json.loads(text)
        return cls(**{**data, "shard": ShardFacts(**data["shard"]), "seen": Seen(**data["seen"])})

    def can_reuse_for(self, at_most: int | None) -> bool:
        """Whether the block would come out the same if limited to `at_most` rows."""
        rows = self.shard.rows
        used_all = self.at_most is None or rows < self.at_most
        return self.at_most == at_most or (used_all and (at_most is None or rows < at_most))


class BlockMaker:
    """Makes blocks, and finds those that an earlier run finished.

    Args:
        maker: renders rows.
        inputs: reads images and records their files.
        folder: where blocks are stored until the config is complete.
        full_check: decode every image.
        report: receives rows and bytes as they are written.
    """

    def __init__(
        self,
        maker: InstanceMaker,
        inputs: ImageInputs,
        folder: Path,
        full_check: bool,
        report: Reporter,
    ) -> None:
        self._maker = maker
        self._inputs = inputs
        self._folder = folder
        self._folder.mkdir(exist_ok=True)
        self._full_check = full_check
        self._report = report
        #: Set to make all workers stop.
        self.stop = threading.Event()

    def finished(self, index: int, at_most: int | None) -> Block | None:
        """A block that an earlier run finished, if it would come out the same now."""
        try:
            block = Block.from_json(self._facts_file(index).read_text("utf-8"))
            if not block.can_reuse_for(at_most):
                return None
            with (self._folder / block.shard.path).open("rb") as file:
                whole = hashlib.file_digest(file, "sha256").hexdigest() == block.shard.sha256
        except (OSError, ValueError, TypeError, KeyError):
            return None
        sums = self._inputs.checksums
        if not whole or (sums and not block.seen.sums):
            return None
        return None if first_change(self._inputs.raw, block.seen, checksums=sums) else block

    def make(self, index: int, rows: list[Row], at_most: int | None) -> Block:
        """Render, check and write the rows of a block until `at_most` are written.

        Raises:
            MissingRawError, BadRawError: images disappeared or changed during the build.
        """
        known = self.finished(index, at_most)
        if known:
            self._report.advance(known.shard.rows, known.content_bytes)
            return known
        name = f"{index:05}.parquet"
        temporary = self._folder / f"{name}.tmp"
        watch, drops, progress = self._inputs.watch(), _Drops(), _Progress(self._report)
        with ShardWriter(temporary) as writer:
            for row in rows:
                if self.stop.is_set():
                    raise KeyboardInterrupt
                if progress.rows == at_most:
                    break
                instance = self._maker.make(row, watch.read, full_check=self._full_check)
                if isinstance(instance, Dropped):
                    drops.add(instance, row)
                    continue
                writer.add(instance)
                progress.add(instance)
        progress.report()
        if MISSING_IMAGE in drops.counts:
            self._check_still_there(watch.seen)
        shard = writer.facts(name)
        temporary.replace(self._folder / name)
        block = Block(index, at_most, shard, progress.bytes, dict(drops.counts), drops.examples, watch.seen)
        write_atomically(self._facts_file(index), json.dumps(asdict(block)))
        return block

    def _facts_file(self, index: int) -> Path:
        return self._folder / f"{index:05}.json"

    def _check_still_there(self, seen: Seen) -> None:
        """A missing image may mean that the disk is gone: then other files have changed too."""
        raw = self._inputs.raw
        changed = str(raw.gone() or first_change(raw, seen) or "")
        if changed:
            raise changed_while_built(raw, changed)


class _Drops:
    """How many candidates were dropped for each reason, and the first of each."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, str] = {}

    def add(self, dropped: Dropped, row: Row) -> None:
        self.counts[dropped.reason] += 1
        if dropped.reason not in self.examples:
            record = f"record {row['_key']}"
            text = f"{dropped.detail} ({record})" if dropped.detail else record
            self.examples[dropped.reason] = text[:_EXAMPLE_LENGTH]


class _Progress:
    """Rows and bytes written to a block, reported every few rows."""

    def __init__(self, report: Reporter) -> None:
        self._report = report
        self._reported_rows = self._reported_bytes = 0
        self.rows = self.bytes = 0

    def add(self, instance: Instance) -> None:
        self.rows += 1
        self.bytes += instance.num_bytes
        if self.rows - self._reported_rows >= _REPORT_EVERY:
            self.report()

    def report(self) -> None:
        """Report what was written since the last report."""
        self._report.advance(self.rows - self._reported_rows, self.bytes - self._reported_bytes)
        self._reported_rows, self._reported_bytes = self.rows, self.bytes


def run_blocks(maker: BlockMaker, candidates: Candidates, quota: int | None, workers: int) -> list[Block]:
    """Make blocks in selection order until the quota is full.

    Args:
        quota: rows wanted, None for all.
        workers: blocks made in parallel; the result is the same for any number.

    Returns:
        The blocks in order. It ends after a first block without a single image: the raw folder is wrong.
    """
    keep_freed_memory()
    with ThreadPoolExecutor(workers, thread_name_prefix="block") as pool:

        def submit(index: int, rows: list[Row], at_most: int | None) -> Future[Block]:
            return pool.submit(maker.make, index, _copies(rows), at_most)

        queue = _Queue(candidates, workers, submit)
        try:
            return _collect(maker, queue, quota)
        finally:
            maker.stop.set()
            queue.cancel()


def _collect(maker: BlockMaker, queue: _Queue, quota: int | None) -> list[Block]:
    done: list[Block] = []
    left = quota
    while left is None or left > 0:
        queue.fill(left)
        if not queue.waiting:
            break
        rows, future = queue.waiting.popleft()
        block = future.result()
        if not block.can_reuse_for(left):  # it was started before earlier drop counts were known
            block = maker.make(block.index, _copies(rows), left)
        done.append(block)
        if len(done) == 1 and not block.shard.rows and block.dropped.get(MISSING_IMAGE) == len(rows):
            break
        left = None if left is None else left - block.shard.rows
    return done


class _Queue:
    """Blocks that were started and not yet collected, in selection order."""

    def __init__(
        self,
        candidates: Candidates,
        workers: int,
        submit: Callable[[int, list[Row], int | None], Future[Block]],
    ) -> None:
        self._candidates = candidates
        self._workers = workers
        self._submit = submit
        self._index = 0
        self.waiting: deque[tuple[list[Row], Future[Block]]] = deque()

    def fill(self, left: int | None) -> None:
        """Start blocks until all workers are busy, or the started blocks may fill the quota."""
        while len(self.waiting) < self._workers and self._index * BLOCK_ROWS < self._candidates.count:
            if left is not None and sum(len(rows) for rows, _ in self.waiting) >= left:
                return
            rows = self._candidates.block(self._index * BLOCK_ROWS, BLOCK_ROWS)
            self.waiting.append((rows, self._submit(self._index, rows, left)))
            self._index += 1

    def cancel(self) -> None:
        """Drop blocks that no worker has begun."""
        for _, future in self.waiting:
            future.cancel()


def _copies(rows: list[Row]) -> list[Row]:
    """Rendering adds fields to rows; a block that is made twice starts from the rows as they were read."""
    return [dict(row) for row in rows]
