"""Images of many rows at once, in the order in which they lie in their files.

Rows come in random order. A file on a disk does not mind. A row group of Parquet does, which is read as a
whole for any image in it; and a packed archive, which is unpacked from its last restart point to the image.
So the images that a chunk of rows refers to are read front to back before the rows are made, and held. A row
whose image is not held reads it by itself; what is wrong with a file is an error only then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import pyarrow as pa

from vision_flan.errors import VflanError
from vision_flan.readers.image_refs import ImageStore, Place

#: Bytes of images held at one time, and rows of a chunk: a block.
MOST_BYTES, MOST_ROWS = 256 << 20, 1000
#: Rows that are looked at first; if none has an image whose place matters, no other is looked at.
_FIRST_ROWS = 16


class Ahead:
    """Reads images ahead of the rows that need them.

    Args:
        images: where references lead.
    """

    def __init__(self, images: ImageStore) -> None:
        self._images = images
        self._held: Mapping[str, bytes] = {}

    def tables(
        self,
        tables: Iterable[pa.Table],
        refs_in: Callable[[pa.Table], Iterable[str]],
        at_most: int | None,
        before: Callable[[str], None],
    ) -> Iterator[pa.Table]:
        """The same rows, in pieces whose images are held, as far as their place matters and they fit.

        Args:
            refs_in: the references of rows that are known before they are made.
            at_most: rows that will be taken if none is dropped; None for all.
            before: called with each reference before its file is read.
        """
        wanted, matters = _FIRST_ROWS, True
        try:
            for table in tables:
                start = 0
                while start < table.num_rows and matters:
                    piece = table.slice(start, wanted)
                    self._held = self._read(refs_in(piece), before)
                    matters = bool(self._held)
                    if matters:
                        yield piece
                        start += piece.num_rows
                        at_most = None if at_most is None else at_most - piece.num_rows
                        wanted = self._rows_that_fit(piece.num_rows, at_most)
                if start < table.num_rows:
                    yield table.slice(start)
        finally:
            self._held = {}

    def held(self, ref: str) -> bytes | None:
        """The bytes of an image that was read ahead."""
        return self._held.get(ref)

    def _rows_that_fit(self, before: int, at_most: int | None) -> int:
        """Rows of the next chunk, by the sizes of this one; few at the end of a quota."""
        each = max(sum(map(len, self._held.values())) / before, 1)
        rows = min(int(MOST_BYTES / 2 / each), MOST_ROWS)
        return max(_FIRST_ROWS, rows if at_most is None else min(rows, at_most))

    def _read(self, refs: Iterable[str], before: Callable[[str], None]) -> dict[str, bytes]:
        files: dict[str, list[Place]] = {}
        for ref in dict.fromkeys(refs):
            try:
                place = self._images.place_of(ref)
            except VflanError:
                continue
            if place is not None:
                files.setdefault(place.file, []).append(place)
        held: dict[str, bytes] = {}
        room = MOST_BYTES
        for file in sorted(files):
            places = sorted(files[file], key=lambda place: place.at)
            for place in places:
                before(place.ref)
            try:
                for ref, data in self._images.in_order(places):
                    held[ref] = data
                    room -= len(data)
                    if room < 0:
                        return held
            except VflanError:
                continue
        return held
