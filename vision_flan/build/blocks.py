"""Blocks of candidates become shards. Whoever makes them, and in whatever order, the bytes are the same.

A worker makes either a run of blocks, straight into shards, or one block, into a part; parts are joined to
the same shards. `schedule` decides which.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

import pyarrow as pa

from vision_flan.build.facts import SPOOLS, is_whole, write_facts
from vision_flan.build.inputs import ImageInputs, Seen, Watch, changed_while_built, first_change
from vision_flan.build.spooling import Copier
from vision_flan.dataset.contents import Contents
from vision_flan.dataset.parts import PartWriter, part_checksum
from vision_flan.dataset.shards import ShardFacts, ShardWriter
from vision_flan.instances.maker import GROUP_ROWS, Dropped, InstanceMaker, Instances
from vision_flan.report import Reporter

MISSING_IMAGE = "missing_image"

_REPORT_EVERY = 50
#: Characters of an example: names in records may be long.
_EXAMPLE_LENGTH = 300

#: Candidates of some blocks.
Tables = Iterable[pa.Table]


@dataclass(frozen=True)
class Span:
    """Blocks `first` to `first + blocks - 1`, or fewer if `at_most` rows are full before (None: no limit)."""

    first: int
    blocks: int
    at_most: int | None


@dataclass(frozen=True)
class Made:
    """Finished blocks.

    Attributes:
        rows: instances written.
        shards: their files, with the names they have in the folder of blocks; none for a part.
        part: checksum of the part, "" for shards.
        content_bytes: size of images and texts in memory, which `dataset_info` calls num_bytes.
        dropped: reason -> number of candidates dropped, up to the limit.
        examples: reason -> the first candidate dropped for it.
        seen: the image files that were looked up.
        contents: what the rows hold.
    """

    span: Span
    rows: int
    shards: tuple[ShardFacts, ...]
    part: str
    content_bytes: int
    dropped: dict[str, int]
    examples: dict[str, str]
    seen: Seen = field(default_factory=Seen)
    contents: Contents = field(default_factory=Contents)

    @classmethod
    def read(cls, path: Path) -> Made:
        """Read back what `write` wrote. Raises OSError, ValueError, TypeError or KeyError."""
        data = json.loads(path.read_text("utf-8"))
        shards = tuple(ShardFacts(**shard) for shard in data["shards"])
        typed = {
            "span": Span(**data["span"]),
            "shards": shards,
            "seen": Seen(**data["seen"]),
            "contents": Contents.from_json(data["contents"]),
        }
        return cls(**{**data, **typed})

    def write(self, path: Path) -> None:
        """Write the facts atomically. They are not synced, as shards are not: `read` and the checksums find
        out what a power cut left."""
        write_facts(path, {**vars(self), "contents": self.contents.to_json()}, sync=False)

    def can_reuse_for(self, at_most: int | None) -> bool:
        """Whether the same blocks would come out the same if limited to `at_most` rows."""
        limit = self.span.at_most
        used_all = limit is None or self.rows < limit
        return limit == at_most or (used_all and (at_most is None or self.rows < at_most))

    @property
    def found_no_image(self) -> bool:
        """Whether every candidate was dropped because its image is missing."""
        return not self.rows and set(self.dropped) == {MISSING_IMAGE}


class BlockMaker:
    """Makes blocks, and finds those that an earlier run finished.

    Args:
        maker: renders rows.
        inputs: reads images and records their files.
        folder: where blocks are stored until the config is complete.
        full_check: decode every image.
        report: receives rows and bytes as they are written.
        behind: shards are written in a thread of its own.
    """

    def __init__(
        self,
        maker: InstanceMaker,
        inputs: ImageInputs,
        folder: Path,
        full_check: bool,
        report: Reporter,
        behind: bool = True,
    ) -> None:
        self._maker = maker
        self._inputs = inputs
        self.folder = folder
        self._full_check = full_check
        self._report = report
        self.behind = behind

    def probe(self, table: pa.Table) -> tuple[float, float]:
        """Bytes that a candidate adds to a shard, and the seconds it takes without what is read ahead; on
        average, dropped ones included. Nothing is written."""
        watch, count = self._inputs.watch(), max(table.num_rows, 1)
        coming = watch.ahead([table], self._maker.references_in, None)
        first = list(islice(coming, 1))
        begun = time.perf_counter()
        size = sum(
            made.num_bytes
            for piece in chain(first, coming)
            for made in self._maker.make_all(piece, watch.read, full_check=self._full_check)
        )
        return size / count, (time.perf_counter() - begun) / count

    def copier(self) -> Copier:
        """What copies the images of coming blocks out of tables."""
        return Copier(self._maker, self._inputs, self.folder.with_name(SPOOLS))

    def may_have(self, block: int, run: int) -> bool:
        """Whether an earlier run finished a block, alone or in the run that begins with `run`."""
        return self.may_have_shards(run) or facts_file(self.folder, block, part=True).exists()

    def may_have_shards(self, first: int) -> bool:
        """Whether an earlier run finished shards from this block on; they may be of no use."""
        return facts_file(self.folder, first, part=False).exists()

    def shards(self, span: Span, tables: Tables) -> Made:
        """Make blocks straight into shards.

        Raises:
            MissingRawError, BadRawError: images disappeared or changed during the build.
        """
        writer = ShardWriter(self.folder, f"{span.first:05}", behind=self.behind)
        return self._finished(span, part=False) or self._make(span, tables, writer)

    def part(self, span: Span, tables: Tables) -> Made:
        """Make one block into a part. Raises the same errors."""
        return self._finished(span, part=True) or self._make(
            span, tables, PartWriter(part_file(self.folder, span))
        )

    def _finished(self, span: Span, *, part: bool) -> Made | None:
        """Blocks that an earlier run finished, if they would come out the same now."""
        try:
            made = Made.read(facts_file(self.folder, span.first, part=part))
            if made.span.blocks != span.blocks or not made.can_reuse_for(span.at_most):
                return None
            if part:
                whole = part_checksum(part_file(self.folder, span)) == made.part
            else:
                whole = all(is_whole(self.folder / shard.path, shard.sha256) for shard in made.shards)
        except (OSError, ValueError, TypeError, KeyError):
            return None
        sums = self._inputs.checksums
        if not whole or (sums and not made.seen.sums):
            return None
        if first_change(self._inputs.raw, made.seen, checksums=sums):
            return None
        self._report.advance(made.rows, made.content_bytes)
        return made

    def _make(self, span: Span, tables: Tables, writer: ShardWriter | PartWriter) -> Made:
        watch, drops, progress = self._inputs.watch(), _Drops(), _Progress(self._report)
        with writer:
            for instances in self._instances(span, tables, watch, progress):
                writer.add(instances)
                drops.add(instances.dropped)
                progress.add(instances)
                del instances  # the next images are read into the same memory
        progress.report()
        if MISSING_IMAGE in drops.counts:
            self._check_still_there(watch.seen)
        part = writer.checksum if isinstance(writer, PartWriter) else ""
        shards = () if isinstance(writer, PartWriter) else writer.facts
        made = Made(
            span,
            progress.rows,
            shards,
            part,
            progress.bytes,
            dict(drops.counts),
            drops.examples,
            watch.seen,
            writer.contents,
        )
        made.write(facts_file(self.folder, span.first, part=bool(part)))
        return made

    def _instances(
        self, span: Span, tables: Tables, watch: Watch, progress: _Progress
    ) -> Iterator[Instances]:
        """What comes of the candidates, a group at a time: none is looked at that the limit does not need."""
        for piece in watch.ahead(tables, self._maker.references_in, span.at_most):
            start = 0
            while start < piece.num_rows:
                left = GROUP_ROWS if span.at_most is None else span.at_most - progress.rows
                if not left:
                    return
                group = piece.slice(start, min(left, GROUP_ROWS))
                start += group.num_rows
                yield from self._maker.make_all(group, watch.read, full_check=self._full_check)

    def _check_still_there(self, seen: Seen) -> None:
        """A missing image may mean that the disk is gone: then other files have changed too."""
        raw = self._inputs.raw
        changed = str(raw.gone() or first_change(raw, seen) or "")
        if changed:
            raise changed_while_built(raw, changed)


def facts_file(folder: Path, first: int, *, part: bool) -> Path:
    """Where the facts of blocks are: of a part, or of the shards that begin with a block."""
    return folder / (f"{first:05}.part.json" if part else f"{first:05}.json")


def part_file(folder: Path, span: Span) -> Path:
    """Where the rows of a part are."""
    return folder / f"{span.first:05}.arrow"


class _Drops:
    """How many candidates were dropped for each reason, and the first of each."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, str] = {}

    def add(self, candidates: Iterable[tuple[str, Dropped]]) -> None:
        for key, dropped in candidates:
            self.counts[dropped.reason] += 1
            if dropped.reason not in self.examples:
                record = f"record {key}"
                text = f"{dropped.detail} ({record})" if dropped.detail else record
                self.examples[dropped.reason] = text[:_EXAMPLE_LENGTH]


class _Progress:
    """Rows and bytes written to a block, reported every few rows."""

    def __init__(self, report: Reporter) -> None:
        self._report = report
        self._reported_rows = self._reported_bytes = 0
        self.rows = self.bytes = 0

    def add(self, instances: Instances) -> None:
        self.rows += instances.rows
        self.bytes += instances.num_bytes
        if self.rows - self._reported_rows >= _REPORT_EVERY:
            self.report()

    def report(self) -> None:
        """Report what was written since the last report."""
        self._report.advance(self.rows - self._reported_rows, self.bytes - self._reported_bytes)
        self._reported_rows, self._reported_bytes = self.rows, self.bytes
