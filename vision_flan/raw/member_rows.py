"""Names of an archive's members, of which there may be millions: a third of the memory of a dict."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import xxhash

#: Names up to which a listing is sorted as a list.
_FEW = 100_000
#: Members of a range of hashes that is searched, on average.
_IN_BUCKET = 8


class MemberRows:
    """The position of each member by its name: the n-th that was added has the position n.

    Names lie one after another, and are found by their hashes, which are sorted when the first name is asked
    for. Names that come later, as links do, lie in a dict.
    """

    def __init__(self) -> None:
        self._names, self._ends = bytearray(), array("Q", [0])
        self._late: dict[str, int | None] = {}
        self._sealed = self._is_plain = False
        self._last: tuple[str, int] = ("", -1)

    def add(self, name: str) -> None:
        """The next member; of two of one name the last one counts."""
        if self._sealed:
            raise ValueError("members were asked for before all were added")
        self._names += name.encode("utf-8", "surrogatepass")
        self._ends.append(len(self._names))
        if self._late:
            self._late.pop(name, None)

    def set(self, name: str, row: int | None) -> None:
        """Another name of a member; None: there is none of this name."""
        self._late[name] = row
        self._is_plain = False
        self._last = ("", -1)

    def get(self, name: str) -> int | None:
        """The position of a member, None if there is none of this name."""
        last = self._last
        if last[0] == name and last[1] >= 0:
            return last[1]
        row = self._found(name)
        if row is not None:
            self._last = (name, row)
        return row

    def __getitem__(self, name: str) -> int:
        row = self.get(name)
        if row is None:
            raise KeyError(name)
        return row

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def __iter__(self) -> Iterator[str]:
        """All names, in the order of the archive; links last."""
        self._seal()
        for row, (start, end) in enumerate(pairwise(self._ends)):
            name = self._names[start:end].decode("utf-8", "surrogatepass")
            if self._is_plain or (name not in self._late and self._found(name) == row):
                yield name
        yield from (name for name, row in self._late.items() if row is not None)

    def in_order(self) -> Iterator[str]:
        """All names, sorted by their code points."""
        if len(self._ends) <= _FEW or self._late:
            yield from sorted(self)
            return
        self._seal()
        last = None
        for row in self._sorted_rows():
            name = self._names[self._ends[row] : self._ends[row + 1]].decode("utf-8", "surrogatepass")
            if name != last:
                last = name
                yield name

    def _sorted_rows(self) -> Iterator[int]:
        import pyarrow as pa
        import pyarrow.compute as pc

        buffers = [None, pa.py_buffer(self._ends), pa.py_buffer(self._names)]
        names = pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(self._ends) - 1, buffers)
        rows = np.asarray(pc.array_sort_indices(names))
        for at in range(0, len(rows), _FEW):
            yield from rows[at : at + _FEW].tolist()

    def _found(self, name: str) -> int | None:
        if self._late and name in self._late:
            return self._late[name]
        self._seal()
        wanted = name.encode("utf-8", "surrogatepass")
        value = xxhash.xxh3_64_intdigest(wanted)
        bucket = value >> self._shift
        at = bisect_left(self._hashes, value, self._buckets[bucket], self._buckets[bucket + 1])
        found = None
        while at < len(self._hashes) and self._hashes[at] == value:
            row = self._rows[at]
            if self._names[self._ends[row] : self._ends[row + 1]] == wanted:
                found = row
            at += 1
        return found

    def _seal(self) -> None:
        """Sort the hashes."""
        if self._sealed:
            return
        count, view = len(self._ends) - 1, memoryview(self._names)
        hashes = np.fromiter(
            (xxhash.xxh3_64_intdigest(view[start:end]) for start, end in pairwise(self._ends)),
            np.uint64,
            count,
        )
        rows = np.argsort(hashes, kind="stable").astype(np.uint32)
        hashes = hashes[rows]
        bits = max(count // _IN_BUCKET, 1).bit_length()
        self._shift = 64 - bits
        starts = np.arange(1 << bits, dtype=np.uint64) << np.uint64(self._shift)
        buckets = np.append(np.searchsorted(hashes, starts), count).astype(np.uint32)
        self._is_plain = not self._late and not bool((hashes[1:] == hashes[:-1]).any())
        self._hashes, self._rows, self._buckets = hashes.data, rows.data, buckets.data
        view.release()
        self._sealed = True
