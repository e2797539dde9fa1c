"""Base64 images of a text file, decoded once into a temporary file."""

from __future__ import annotations

import base64
import binascii
import os
import tempfile
from array import array
from collections.abc import Iterator

import pyarrow as pa

from vision_flan.errors import DamagedFileError, Location, MissingRawError

HINT = "download the file again"


def decoded(cell: str | None, row: int) -> bytes | str:
    """The image of a cell, or what is wrong with it."""
    try:
        return base64.b64decode(cell or "", validate=True) or f"record {row} has no image"
    except (binascii.Error, ValueError) as error:
        return f"record {row}: the image is not base64: {error}"


class ImageSpool:
    """Decoded images of one file, in an unnamed temporary file."""

    def __init__(self, batches: Iterator[pa.RecordBatch], file: str) -> None:
        self._file = file
        self._ends = array("Q", [0])
        self._damaged: dict[int, str] = {}
        self._images = tempfile.TemporaryFile(prefix="vflan-")  # noqa: SIM115 - open as long as the spool
        for batch in batches:
            for cell in batch.column(0):
                image = decoded(cell.as_py(), len(self._ends) - 1)
                if isinstance(image, str):
                    self._damaged[len(self._ends) - 1], image = image, b""
                self._images.write(image)
                self._ends.append(self._ends[-1] + len(image))
        self._images.flush()

    def read(self, row: int) -> bytes:
        if row >= len(self._ends) - 1:
            raise MissingRawError(
                f"there is no record {row}, the file has {len(self._ends) - 1}", where=Location(self._file)
            )
        start, end = self._ends[row], self._ends[row + 1]
        if row in self._damaged:
            raise DamagedFileError(self._damaged[row], where=Location(self._file), hint=HINT)
        return os.pread(self._images.fileno(), end - start, start)
