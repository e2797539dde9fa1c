"""Parts: the rows of one block in an Arrow file, from which shards are joined.

Where shards hold many blocks, blocks are made side by side and written here first; joining maps them into
memory. They exist in the work folder only.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import xxhash

from vision_flan.dataset.contents import Contents
from vision_flan.dataset.hashed_file import HashedFile
from vision_flan.dataset.row_groups import RowGroups
from vision_flan.dataset.shards import ROWS, record_batch
from vision_flan.instances.instance import Instances


class PartWriter:
    """Writes one file; use as a context manager, then `checksum`, and `contents` for what it holds."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        self._groups = RowGroups[Instances](self._row_group)
        self.contents = Contents()

    def __enter__(self) -> Self:
        self._file = HashedFile(self._temporary, xxhash.xxh3_128())
        self._writer = pa.ipc.new_file(self._file.sink, ROWS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._groups.end()
                self._writer.close()
                self._file.finish()
        finally:
            self._file.close()
        if kind is None:
            self._temporary.replace(self._path)

    def add(self, instances: Instances) -> None:
        """Append rows."""
        self._groups.add(instances, list(map(len, instances.images)))

    @property
    def checksum(self) -> str:
        """XXH3 of the closed file; it guards against a power cut, not against people."""
        return self._file.hexdigest()

    def _row_group(self, pieces: list[Instances]) -> None:
        batch = record_batch(Instances.joined(pieces))
        self.contents.add(batch)
        self._writer.write_batch(batch)
        self._file.hash_written()


def part_checksum(path: Path) -> str:
    """XXH3 of a part.

    Raises:
        OSError: it cannot be read.
    """
    digest = xxhash.xxh3_128()
    with path.open("rb", buffering=0) as file:
        while data := file.read(2**20):
            digest.update(data)
    return digest.hexdigest()
