"""The image files that a build looked up, of which there may be millions: sorted, and kept in a file.

They go through memory a piece at a time, as they are gathered, when each is looked at once more, when the
manifest counts them, and when the next build asks whether they are as they were.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from vision_flan.build.facts import encoded, write_lines
from vision_flan.build.inputs import NOT_THERE, Seen, SizesDigest
from vision_flan.errors import Location, VflanError
from vision_flan.places.place import Place

if TYPE_CHECKING:  # which loads DuckDB, and no worker needs
    from vision_flan.records.sorted_names import Named
    from vision_flan.records.store import RecordStore

#: Files in a piece.
PIECE = 2_000
#: Files that are gathered in memory before they go to the database.
HELD = 100_000
#: In the place of a checksum that is not kept.
_NO_SUM = "-"


class DamagedRecordError(VflanError):
    """A file does not have the pieces it should have."""


def _damaged(file: Place, what: str) -> DamagedRecordError:
    return DamagedRecordError(
        f"the record of image files is damaged: {what}",
        where=Location(str(file)),
        hint="compile the task again with --force",
    )


@dataclass(frozen=True)
class LookedUp:
    """Files with their stamps, sorted by path, in pieces: each a line of JSON.

    Attributes:
        file: where the lines are; None for no files.
        before: lines before them.
        pieces: the number of lines.
    """

    file: Place | None = None
    before: int = 0
    pieces: int = 0

    def __iter__(self) -> Iterator[Seen]:
        return self.share(0, 1)

    def share(self, which: int, of: int) -> Iterator[Seen]:
        """Every `of`-th piece, from `which` on: what one of several processes looks at.

        Raises:
            DamagedRecordError: the file is cut short, or not what it was.
        """
        for line in islice(self.lines(), which, None, of):
            try:
                yield _decoded(line)
            except (ValueError, TypeError) as error:
                raise _damaged(self.file or Path(), str(error)) from error

    def lines(self) -> Iterator[bytes]:
        """The pieces as they are in the file. Raises DamagedRecordError."""
        if self.file is None:
            return
        found = 0
        with self.file.open("rb") as file:
            for line in islice(file, self.before, None):
                found += 1
                yield line
        if found != self.pieces:
            raise _damaged(self.file, f"it has {found} pieces of {self.pieces}")


def _decoded(line: bytes) -> Seen:
    try:
        return msgspec.json.decode(line, type=Seen)
    except msgspec.MsgspecError:
        return Seen(**json.loads(line))  # a name that is not UTF-8


class Gathering:
    """Gathers what finished blocks looked up, in the order of the blocks.

    Args:
        store: sorts what is too much for memory.
    """

    def __init__(self, store: RecordStore) -> None:
        self._names = store.names()
        self._held = Seen()
        self._in_database = False

    def add(self, seen: Seen) -> None:
        """Take over the files of further blocks.

        Of two stamps of one file the first stays: it changed between two blocks, which is to be noticed.
        """
        self._held.add(seen)
        seen.stamps.clear()
        seen.sums.clear()
        if len(self._held.stamps) >= HELD:
            self._names.add(list(_rows(self._held)))
            self._held, self._in_database = Seen(), True

    def finish(self, path: Path) -> tuple[LookedUp, dict[str, object]]:
        """Write the files to a file of the work folder.

        Returns:
            The files; and for the manifest: how many there are and how many are missing, and a checksum of
            paths and sizes. No times, which differ between machines.
        """
        if self._in_database:
            if self._held.stamps:
                self._names.add(list(_rows(self._held)))
            rows = self._names.in_order(PIECE)
        else:
            rows = _rows(self._held, sorted(self._held.stamps))  # names sort twice as fast as rows
        facts = _Facts()
        pieces = write_lines(path, facts.counted(rows))
        return LookedUp(path, 0, pieces), facts.of_manifest()


def _rows(seen: Seen, paths: Iterable[str] | None = None) -> Iterator[Named]:
    """Rows of the files, in an order of their paths."""
    stamps, sum_of = seen.stamps, seen.sums.get
    return ((path, stamps[path], sum_of(path, _NO_SUM)) for path in (stamps if paths is None else paths))


class _Facts:
    """What the manifest says of the image files, counted while they are written."""

    def __init__(self) -> None:
        self._there = self._missing = 0
        self._sizes = SizesDigest()

    def counted(self, rows: Iterator[Named]) -> Iterator[bytes]:
        """The same files as lines."""
        while some := list(islice(rows, PIECE)):
            there = [(path, stamp.partition(" ")[0]) for path, stamp, _ in some if stamp not in NOT_THERE]
            self._sizes.add(there)
            self._there += len(there)
            self._missing += len(some) - len(there)
            sums = {path: known for path, _, known in some if known != _NO_SUM}
            yield encoded(Seen({path: stamp for path, stamp, _ in some}, sums)) + b"\n"

    def of_manifest(self) -> dict[str, object]:
        """Once all are written."""
        return {"files": self._there, "missing": self._missing, "sha256": self._sizes.finish()}
