"""The candidates of a task, block by block, as whoever makes a block gets them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from vision_flan.dataset.shards import BLOCK_ROWS

if TYPE_CHECKING:  # which loads DuckDB, and no worker needs
    from vision_flan.records.candidates import Candidates

#: Blocks that are read at a time: a query of a thousand rows takes five times as long as its rows.
_AT_ONCE = 8


class BlockTables:
    """Reads the candidates of blocks from the database, several blocks at a time.

    Args:
        candidates: all rows in selection order.
    """

    def __init__(self, candidates: Candidates) -> None:
        self._candidates = candidates
        self._first = 0
        self._read: pa.Table | None = None

    def of(self, block: int) -> pa.Table:
        """The candidates of one block.

        Raises:
            MachineError: over the memory limit, with no space to spill.
        """
        first = block - block % _AT_ONCE
        if self._read is None or first != self._first:
            self._read = self._candidates.table(first * BLOCK_ROWS, _AT_ONCE * BLOCK_ROWS)
            self._first = first
        return self._read.slice((block - first) * BLOCK_ROWS, BLOCK_ROWS)


def packed(table: pa.Table) -> pa.Buffer:
    """A table for another process. Pickled, a part of a table would take the rest with it."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def unpacked(tables: Iterable[pa.Buffer]) -> Sequence[pa.Table]:
    """Tables that were `packed`."""
    return [pa.ipc.open_stream(table).read_all() for table in tables]
