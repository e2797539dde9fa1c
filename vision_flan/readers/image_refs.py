"""Images by reference: a path of the layout, or a record of a table."""

from __future__ import annotations

from collections.abc import Mapping

from vision_flan.errors import BadRawError
from vision_flan.raw.folder import RawDataset
from vision_flan.readers.reader import Reader


class ImageStore:
    """Opens the references that rows carry; see `vision_flan.readers.reader` for their two kinds."""

    def __init__(self, raw: RawDataset, readers: Mapping[str, Reader]) -> None:
        self._raw = raw
        self._readers = readers
        self._read_bytes = raw.read_bytes

    def read(self, ref: str) -> bytes:
        """The encoded bytes of an image.

        Raises:
            MissingRawError: there is no such file or record.
            BadRawError: the reference leaves the folder, names no table, or its file is damaged.
        """
        if ref[:1] != "@":
            return self._read_bytes(ref)
        table, slash, locator = ref[1:].partition("/")
        reader = self._readers.get(table)
        if reader is None or not slash:
            raise BadRawError(
                f"image reference {ref!r} names no table of this dataset",
                hint=f"write @<table>/<file>#<record>; tables are {', '.join(sorted(self._readers))}",
            )
        return reader.open_image(self._raw, locator)
