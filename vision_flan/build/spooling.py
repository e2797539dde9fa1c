"""Copies the images of coming blocks out of tables, in one pass, before the blocks are made.

See `readers.spool` for why. The spools of a pass hold the images of as many blocks as the quota is expected
to take, and an eighth of the free disk at most; a few more passes then read the rest. A pass is cut into
pieces where a file can be read from, as a row group, and each job copies some of them, into a spool each.
Spools lie in the work folder of the task while it is built, those of two passes at most. They decide no byte,
so a run that was killed leaves nothing to resume: the next one removes them, and copies what the blocks that
are left need.
"""

from __future__ import annotations

import shutil
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from vision_flan.build.inputs import ImageInputs, stamp
from vision_flan.dataset.shards import BLOCK_ROWS
from vision_flan.instances.maker import InstanceMaker
from vision_flan.readers.image_refs import ImageStore
from vision_flan.readers.spool import remove_spools, spool_name, write_spool

#: Bytes of a pass at most.
MOST_BYTES = 64 * 10**9
#: The part of the free disk that one may take: shards of the same images come beside it.
_SHARE_OF_FREE = 8
#: Pieces of a pass for each job, so that all end at about the same time; in all, as each process opens all of
#: them; and images that are worth a piece.
_PIECES_A_JOB, _MOST_PIECES, PIECE_ROWS = 2, 64, 500


class Wanted(NamedTuple):
    """Images to copy from one file.

    Attributes:
        file: as references begin with it: `@table/file`.
        stamp: of the file, from before any piece of it is read.
        rows: its records, sorted.
    """

    file: str
    stamp: str
    rows: array[int]


class Piece(NamedTuple):
    """What becomes one spool.

    Attributes:
        name: of the spool.
        most: bytes of images at most.
    """

    name: str
    wanted: tuple[Wanted, ...]
    most: int


class Copier:
    """Copies the images that candidates refer to.

    Args:
        maker: knows the references.
        inputs: reads images.
        folder: of the spools.
    """

    def __init__(self, maker: InstanceMaker, inputs: ImageInputs, folder: Path) -> None:
        self._maker = maker
        self._images: ImageStore = inputs.images
        self._raw = inputs.raw
        self.folder = folder
        self.useful = self._images.may_copy()

    def wanted(self, tables: Iterable[pa.Table]) -> list[Wanted]:
        """The images of some candidates that are worth copying, by file."""
        found: dict[str, array[int]] = {}
        for table in tables:
            for ref in self._maker.references_in(table):
                record = self._images.record_of(ref)
                if record is not None:
                    found.setdefault(record[0], array("q")).append(record[1])
        return [self._of_file(file, found[file]) for file in sorted(found)]

    def pieces(self, number: int, wanted: Sequence[Wanted], jobs: int, most: int) -> list[Piece]:
        """The pieces of a pass, about equal in images.

        Args:
            number: of the pass.
            most: bytes of all together.
        """
        rows = sum(len(one.rows) for one in wanted)
        count = min(jobs * _PIECES_A_JOB, _MOST_PIECES, rows // PIECE_ROWS) if jobs > 1 else 1
        cut = list(self._cut(wanted, -(-rows // max(count, 1))))
        share = most / max(rows, 1)
        return [
            Piece(spool_name(number, at), parts, int(share * sum(len(part.rows) for part in parts)))
            for at, parts in enumerate(cut)
        ]

    def copy(self, piece: Piece) -> None:
        """Make a spool in the folder, which is there.

        Raises:
            OSError: a full disk, no permission.
        """
        sources = (self._images.source(*one) for one in piece.wanted)
        write_spool(self.folder, piece.name, sources, piece.most)

    def _of_file(self, file: str, rows: array[int]) -> Wanted:
        was = stamp(self._raw, self._images.file_of(f"{file}#0"))
        return Wanted(file, was, array("q", np.unique(np.frombuffer(rows, np.int64)).tobytes()))

    def _cut(self, wanted: Iterable[Wanted], least: int) -> Iterator[tuple[Wanted, ...]]:
        """Cut where a file can be read by itself from, as soon as there are so many rows."""
        parts: list[Wanted] = []
        size = 0
        for one in wanted:
            begun = 0
            for start in (*self._images.entries(one.file), None):
                end = len(one.rows) if start is None else bisect_left(one.rows, start)
                if end > begun and (start is None or size + end - begun >= least):
                    parts.append(one._replace(rows=one.rows[begun:end]))
                    size, begun = size + end - begun, end
                if size >= least:
                    yield tuple(parts)
                    parts, size = [], 0
        if parts:
            yield tuple(parts)


class Spooling:
    """Keeps the images of coming blocks copied.

    Args:
        table: the candidates of a block.
        is_made: whether a block may be finished already.
        copy_all: copies pieces, several at a time.
        jobs: pieces that are copied at one time.
        blocks: number of blocks of the task.
        each: bytes of a candidate's image, about.
    """

    def __init__(
        self,
        copier: Copier,
        table: Callable[[int], pa.Table],
        is_made: Callable[[int], bool],
        copy_all: Callable[[Sequence[Piece]], None],
        jobs: int,
        blocks: int,
        each: float,
    ) -> None:
        self._copier = copier
        self._table = table
        self._is_made = is_made
        self._copy_all, self._jobs = copy_all, jobs
        self._blocks = blocks
        self._each = each
        self._number = self._until = 0
        self.active = copier.useful and blocks > 1

    def reach(self, until: int, left: int | None) -> None:
        """Copy images if those of blocks before `until` are not copied yet.

        Args:
            left: instances still to be made, None for all candidates.

        Raises:
            OSError, MachineError: a full disk, no permission.
        """
        if not self.active or until <= self._until:
            return
        room = self._room()
        first, rest = self._until, self._blocks - self._until
        wanted = rest if left is None else -(-left // BLOCK_ROWS) + 1
        # as many as before, if too many dropped: the number of passes stays small
        wanted = min(max(wanted, until - first, first), rest, int(room / (max(self._each, 1) * BLOCK_ROWS)))
        self._until = max(until, first + wanted)
        blocks = [block for block in range(first, self._until) if not self._is_made(block)]
        if wanted <= 1 or len(blocks) <= 1:
            return  # a block reads its own images in one pass too
        self._copy(self._copier.wanted(map(self._table, blocks)), room)

    def close(self) -> None:
        """Remove the spools. Who is still writing one finds the folder gone."""
        shutil.rmtree(self._copier.folder, ignore_errors=True)

    def _copy(self, wanted: Sequence[Wanted], room: int) -> None:
        self.active = bool(wanted)
        if wanted:
            self._copier.folder.mkdir(exist_ok=True)
            self._copy_all(self._copier.pieces(self._number, wanted, self._jobs, room))
        remove_spools(self._copier.folder, self._number - 2)
        self._number += 1

    def _room(self) -> int:
        return min(MOST_BYTES, shutil.disk_usage(self._copier.folder.parent).free // _SHARE_OF_FREE)
