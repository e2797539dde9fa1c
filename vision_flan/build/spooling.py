"""Copies the images of coming blocks out of tables, in one pass, before the blocks are made.

See `readers.spool` for why. A spool holds the images of as many blocks as the quota is expected to take, and
an eighth of the free disk at most; a few more passes then read the rest. Spools lie in the work folder of the
task while it is built, two at most. They decide no byte, so a run that was killed leaves nothing to resume:
the next one removes them, and copies what the blocks that are left need.
"""

from __future__ import annotations

import shutil
from array import array
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa

from vision_flan.build.inputs import ImageInputs, stamp
from vision_flan.dataset.shards import BLOCK_ROWS
from vision_flan.instances.maker import InstanceMaker
from vision_flan.readers.image_refs import ImageStore
from vision_flan.readers.spool import Source, remove_spool, write_spool

#: Bytes of a spool at most.
MOST_BYTES = 64 * 10**9
#: The part of the free disk that one may take: shards of the same images come beside it.
_SHARE_OF_FREE = 8


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

    def copy(self, number: int, tables: Iterable[pa.Table], most: int) -> bool:
        """Make a spool of the images of some candidates; False, and none, if none is worth copying.

        Raises:
            OSError: a full disk, no permission.
        """
        wanted = self._wanted(tables)
        if wanted:
            sources = (self._source(name, wanted[name]) for name in sorted(wanted))
            write_spool(self.folder, number, sources, most)
        return bool(wanted)

    def _wanted(self, tables: Iterable[pa.Table]) -> dict[str, array[int]]:
        """Records by file."""
        wanted: dict[str, array[int]] = {}
        for table in tables:
            for ref in self._maker.references_in(table):
                found = self._images.record_of(ref)
                if found is not None:
                    wanted.setdefault(found[0], array("q")).append(found[1])
        return wanted

    def _source(self, name: str, rows: array[int]) -> Source:
        was = stamp(self._raw, self._images.file_of(f"{name}#0"))
        return self._images.source(name, was, np.unique(np.frombuffer(rows, np.int64)).data)


class Spooling:
    """Keeps the images of coming blocks copied.

    Args:
        table: the candidates of a block.
        is_made: whether a block may be finished already.
        blocks: number of blocks of the task.
        each: bytes of a candidate's image, about.
    """

    def __init__(
        self,
        copier: Copier,
        table: Callable[[int], pa.Table],
        is_made: Callable[[int], bool],
        blocks: int,
        each: float,
    ) -> None:
        self._copier = copier
        self._table = table
        self._is_made = is_made
        self._blocks = blocks
        self._each = each
        self._number = self._until = 0
        self.active = copier.useful and blocks > 1

    def reach(self, until: int, left: int | None) -> None:
        """Copy images if those of blocks before `until` are not copied yet.

        Args:
            left: instances still to be made, None for all candidates.

        Raises:
            OSError: a full disk, no permission.
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
        self.active = self._copier.copy(self._number, map(self._table, blocks), room)
        remove_spool(self._copier.folder, self._number - 2)
        self._number += 1

    def close(self) -> None:
        """Remove the spools."""
        shutil.rmtree(self._copier.folder, ignore_errors=True)

    def _room(self) -> int:
        return min(MOST_BYTES, shutil.disk_usage(self._copier.folder.parent).free // _SHARE_OF_FREE)
