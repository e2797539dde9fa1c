"""Whoever makes a block gets its candidates, however many are read or sent at a time."""

from __future__ import annotations

import pickle

import pyarrow as pa
import pytest

from vision_flan.build import tables
from vision_flan.build.tables import BlockTables, packed, unpacked
from vision_flan.dataset.shards import BLOCK_ROWS

ROWS = pa.table({"n": range(4 * BLOCK_ROWS + 50), "text": ["some text"] * (4 * BLOCK_ROWS + 50)})


class Candidates:
    """As those of a task; counts how often it is asked."""

    asked = 0

    def table(self, start: int, rows: int) -> pa.Table:
        self.asked += 1
        return ROWS.slice(start, rows)


@pytest.mark.parametrize("at_once", [1, 2, 3, 8])
def test_each_block_has_its_rows(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(tables, "_AT_ONCE", at_once)
    candidates = Candidates()
    blocks = BlockTables(candidates)  # type: ignore[arg-type]
    for block in (0, 1, 2, 3, 4, 1):
        assert blocks.of(block).equals(ROWS.slice(block * BLOCK_ROWS, BLOCK_ROWS))
    assert candidates.asked == {1: 6, 2: 4, 3: 3, 8: 1}[at_once]


def test_a_block_that_is_sent_takes_no_other_rows_with_it() -> None:
    block = ROWS.slice(BLOCK_ROWS, BLOCK_ROWS)
    sent = pickle.dumps(packed(block))
    assert len(sent) < 2 * ROWS.nbytes / 4
    assert unpacked([pickle.loads(sent)])[0].equals(block)
