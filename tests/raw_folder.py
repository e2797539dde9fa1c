"""A raw folder in tmp_path, a table over it, its rows as dicts: what tests of `raw` and `readers` share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from vision_flan.raw.archives import Archive
from vision_flan.raw.folder import RawDataset
from vision_flan.readers.reader import Reader, TableSpec
from vision_flan.readers.registry import make_reader


class RawFolder:
    """A raw folder that tests fill, and tables over it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.archives: list[Archive] = []

    def write(self, path: str, content: str | bytes) -> Path:
        full = self.root / path
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_bytes(content.encode() if isinstance(content, str) else content)
        return full

    @property
    def raw(self) -> RawDataset:
        return RawDataset(self.root, "toy", self.archives)

    def reader(
        self, reader: str, file: str, columns: dict[str, pa.DataType] | None = None, **options: Any
    ) -> Reader:
        return make_reader(TableSpec("t", reader, file, options, columns or {}))

    def batches(self, reader: Reader) -> list[pa.RecordBatch]:
        found = list(reader.batches(self.raw))
        assert all(batch.schema == reader.schema() for batch in found)
        return found

    def rows(
        self, reader: str, file: str, columns: dict[str, pa.DataType] | None = None, **options: Any
    ) -> list[Any]:
        made = self.reader(reader, file, columns, **options)
        return [row for batch in self.batches(made) for row in batch.to_pylist()]
