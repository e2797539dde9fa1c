"""Blocks of candidates, made by one worker each, in parallel, with the same result as one by one."""

from __future__ import annotations

import json
import threading
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vision_flan.build.memory import keep_freed_memory
from vision_flan.dataset.manifest import write_atomically
from vision_flan.dataset.shards import BLOCK_ROWS, ShardWriter
from vision_flan.instances.maker import Dropped, InstanceMaker
from vision_flan.records.store import Candidates
from vision_flan.report import Reporter

MISSING_IMAGE = "missing_image"

_REPORT_EVERY = 50


@dataclass(frozen=True)
class Block:
    """A finished block.

    Attributes:
        file: its shard, in the folder of blocks.
        at_most: rows after which it was to stop, None for no end.
        content_bytes: images and texts in memory, which `dataset_info` calls num_bytes.
        dropped: reason -> candidates dropped before it stopped.
    """

    index: int
    file: str
    at_most: int | None
    rows: int
    bytes: int
    sha256: str
    content_bytes: int
    dropped: dict[str, int]

    def is_as_if_made_for(self, at_most: int | None) -> bool:
        """Whether the block would be the same had it been told to stop after `at_most` rows."""
        ran_out = self.at_most is None or self.rows < self.at_most
        return self.at_most == at_most or (ran_out and (at_most is None or self.rows < at_most))


class BlockMaker:
    """Makes blocks, and finds those that an earlier run finished.

    Args:
        maker: renders rows.
        read: gives the bytes behind a reference to an image.
        folder: where blocks are kept until the config is complete.
        full_check: decode every image.
        report: told of rows and bytes as they are done.
    """

    def __init__(
        self,
        maker: InstanceMaker,
        read: Callable[[str], bytes],
        folder: Path,
        full_check: bool,
        report: Reporter,
    ) -> None:
        self._maker = maker
        self._read = read
        self._folder = folder
        self._folder.mkdir(exist_ok=True)
        self._full_check = full_check
        self._report = report
        self.stop = threading.Event()

    def finished(self, index: int) -> Block | None:
        """A block that an earlier run finished."""
        try:
            block = Block(**json.loads((self._folder / f"{index:05}.json").read_text()))
            whole = (self._folder / block.file).stat().st_size == block.bytes
        except (OSError, ValueError, TypeError):
            return None
        return block if whole else None

    def make(self, index: int, rows: list[dict[str, Any]], at_most: int | None) -> Block:
        """Render, check and write the rows of a block until `at_most` are written."""
        known = self.finished(index)
        if known and known.is_as_if_made_for(at_most):
            self._report.advance(known.rows, known.content_bytes)
            return known
        dropped: Counter[str] = Counter()
        name = f"{index:05}.parquet"
        temporary = self._folder / f"{name}.tmp"
        content = 0
        with ShardWriter(temporary) as writer:
            content = self._write(rows, at_most, writer, dropped)
        facts = writer.facts(name)
        temporary.replace(self._folder / name)
        block = Block(index, name, at_most, facts.rows, facts.bytes, facts.sha256, content, dict(dropped))
        write_atomically(self._folder / f"{index:05}.json", json.dumps(asdict(block)))
        return block

    def _write(
        self, rows: list[dict[str, Any]], at_most: int | None, writer: ShardWriter, dropped: Counter[str]
    ) -> int:
        content = told = written = told_rows = 0
        for row in rows:
            if self.stop.is_set():
                raise KeyboardInterrupt
            if at_most is not None and written >= at_most:
                break
            instance = self._maker.make(row, self._read, full_check=self._full_check)
            if isinstance(instance, Dropped):
                dropped[instance.reason] += 1
                continue
            writer.add(instance)
            written += 1
            content += instance.num_bytes
            if written - told_rows >= _REPORT_EVERY:
                self._report.advance(written - told_rows, content - told)
                told, told_rows = content, written
        self._report.advance(written - told_rows, content - told)
        return content


def run_blocks(maker: BlockMaker, candidates: Candidates, quota: int | None, workers: int) -> list[Block]:
    """Make blocks in selection order until the quota is full.

    Args:
        quota: rows wanted, None for all.
        workers: blocks in the making at one time; the result is the same for any number.

    Returns:
        The blocks in order. Stops after a first block without a single image: the raw folder is wrong.
    """
    keep_freed_memory()
    done: list[Block] = []
    waiting: deque[tuple[list[dict[str, Any]], Future[Block]]] = deque()
    start = index = 0
    with ThreadPoolExecutor(workers, thread_name_prefix="block") as pool:
        try:
            while start < candidates.count or waiting:
                left = None if quota is None else quota - sum(block.rows for block in done)
                if left is not None and left <= 0:
                    break
                while len(waiting) < workers and start < candidates.count:
                    rows = candidates.block(start, BLOCK_ROWS)
                    waiting.append((rows, pool.submit(maker.make, index, _copies(rows), left)))
                    start, index = start + BLOCK_ROWS, index + 1
                rows, future = waiting.popleft()
                block = future.result()
                if not block.is_as_if_made_for(left):
                    # it was begun when less was known of the blocks before it
                    block = maker.make(block.index, _copies(rows), left)
                done.append(block)
                if len(done) == 1 and not block.rows and block.dropped.get(MISSING_IMAGE) == len(rows):
                    break
        except BaseException:
            maker.stop.set()
            raise
        finally:
            maker.stop.set()
            for _, future in waiting:
                future.cancel()
    return done


def _copies(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rendering adds fields to rows; a block that is made twice starts from what was read."""
    return [dict(row) for row in rows]
