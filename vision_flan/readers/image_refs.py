"""Images by reference: a path of the layout, or a record of a table."""

from __future__ import annotations

from collections.abc import Mapping

from vision_flan.errors import BadRawError
from vision_flan.raw.folder import RawDataset
from vision_flan.readers.lmdb_table import LmdbReader
from vision_flan.readers.reader import Reader

#: Most bytes read of an image: one more than the largest allowed image (64 MiB), so that the image check
#: sees that it is too large, and a file of any size costs no more than this.
MOST_BYTES = (64 << 20) + 1


class ImageStore:
    """Reads the images that rows refer to; see `vision_flan.readers.reader` for both kinds of references."""

    def __init__(self, raw: RawDataset, readers: Mapping[str, Reader]) -> None:
        self._raw = raw
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
        return reader.open_image(self._raw, locator)
