"""Images by reference: a path of the layout, or a record of a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from vision_flan.errors import BadRawError, VflanError
from vision_flan.raw.folder import RawDataset
from vision_flan.readers.layout import split_locator
from vision_flan.readers.lmdb_table import LmdbReader
from vision_flan.readers.parquet_table import ParquetReader
from vision_flan.readers.reader import Reader, ReadsInOrder
from vision_flan.readers.spool import Source, Spools

#: Most bytes read of an image: one more than the largest allowed image (64 MiB), so that the image check
#: sees that it is too large, and a file of any size costs no more than this.
MOST_BYTES = (64 << 20) + 1


class Place(NamedTuple):
    """Where an image lies in a file that is quick to read only from front to back.

    Attributes:
        file: the file; of a table's records with the table's name before it.
        at: its place there: the number of a record, or an offset.
    """

    ref: str
    file: str
    at: int


class ImageStore:
    """Reads the images that rows refer to; see `vision_flan.readers.reader` for both kinds of references.

    Args:
        spools: where some of them were copied to.
    """

    def __init__(self, raw: RawDataset, readers: Mapping[str, Reader], spools: Spools | None = None) -> None:
        self._raw = raw
        self.spools = spools
        self._readers = readers
        self._read_bytes = raw.read_bytes

    def file_of(self, ref: str) -> str:
        """The file that contains an image: the reference itself, or the file whose record it names."""
        if ref[:1] != "@":
            return ref
        table, _, locator = ref[1:].partition("/")
        if isinstance(self._readers.get(table), LmdbReader):
            return locator.partition("#")[0] + "/data.mdb"
        file, mark, record = locator.rpartition("#")
        return file if mark and record.isdecimal() else locator

    def read_stamped(self, ref: str) -> tuple[bytes | None, str]:
        """The bytes of a file of the layout that is an image, None for a missing one, and its stamp
        (`RawDataset.read_stamped`)."""
        return self._raw.read_stamped(ref, MOST_BYTES)

    def read(self, ref: str) -> bytes:
        """The encoded bytes of an image.

        Raises:
            MissingRawError: there is no such file or record.
            BadRawError: the reference leaves the folder, names no table, or its file is damaged.
        """
        if ref[:1] != "@":
            return self._read_bytes(ref, MOST_BYTES)
        table, slash, locator = ref[1:].partition("/")
        reader = self._readers.get(table)
        if reader is None or not slash:
            raise BadRawError(
                f"image reference {ref!r} names no table of the task",
                hint=f"write @<table>/<file>#<record>; its tables are {', '.join(sorted(self._readers))}",
            )
        copied = self.spools.read(ref) if self.spools else None
        if copied is not None:
            return copied
        return reader.open_image(self._raw, locator)

    def place_of(self, ref: str) -> Place | None:
        """Where an image lies, if it is quicker to read it together with its neighbors; None for most.

        Raises:
            BadRawError: the reference leaves the folder, or has no record.
        """
        if ref[:1] != "@":
            found = self._raw.packed_at(ref)
            return Place(ref, *found) if found else None
        table, _, locator = ref[1:].partition("/")
        reader = self._readers.get(table)
        if not isinstance(reader, ParquetReader) or not reader.has_images:
            return None
        if self.spools and self.spools.has(ref):
            return None
        file, row = split_locator(locator)
        return Place(ref, f"@{table}/{file}", row)

    def may_copy(self) -> bool:
        """Whether there are tables whose images are worth copying, see `spool`."""
        return any(map(_in_order, self._readers.values()))

    def record_of(self, ref: str) -> tuple[str, int] | None:
        """File, as references begin with it, and record of an image that is worth copying; else None."""
        name = ref.rpartition("#")[0]
        table = ref[1:].partition("/")[0] if ref[:1] == "@" else ""
        if not _in_order(self._readers.get(table)):
            return None
        try:
            return name, split_locator(ref)[1]
        except BadRawError:
            return None

    def source(self, name: str, stamp: str, rows: Sequence[int]) -> Source:
        """Sorted records of a file, for `write_spool`."""
        table, _, file = name[1:].partition("/")
        reader = self._readers[table]
        assert isinstance(reader, ReadsInOrder)
        images = reader.images_in_order(self._raw, file, rows)
        return Source(name, stamp, _while_readable(images), reader.image_hint)

    def entries(self, name: str) -> Sequence[int]:
        """Records of a file, as references begin with it, from which on it can be read by itself."""
        table, _, file = name[1:].partition("/")
        reader = self._readers[table]
        assert isinstance(reader, ReadsInOrder)
        try:
            return reader.entries(self._raw, file)
        except VflanError:  # who wants its images says so
            return ()

    def in_order(self, places: Sequence[Place]) -> Iterator[tuple[str, bytes]]:
        """Images of one file that have a place, sorted by it. Those that cannot be read are left out.

        Raises:
            MissingRawError, BadRawError: the file as a whole cannot be read.
        """
        file = places[0].file
        if file[:1] == "@":
            table, _, name = file[1:].partition("/")
            reader = self._readers[table]
            assert isinstance(reader, ParquetReader)
            refs = {place.at: place.ref for place in places}
            for row, image in reader.images_in_order(self._raw, name, list(refs)):
                if isinstance(image, bytes):
                    yield refs[row], image
            return
        for place in places:
            try:
                yield place.ref, self._read_bytes(place.ref, MOST_BYTES)
            except VflanError:
                continue


def _in_order(reader: Reader | None) -> bool:
    return isinstance(reader, ReadsInOrder) and reader.has_images


def _while_readable(images: Iterator[tuple[int, bytes | str]]) -> Iterator[tuple[int, bytes | str]]:
    """Images as far as the file can be read; what is wrong with it is an error where more are wanted."""
    with suppress(VflanError):
        yield from images
