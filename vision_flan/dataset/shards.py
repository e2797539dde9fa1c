"""Parquet shards that `datasets` reads with full features; the same rows give the same bytes.

They are written directly with pyarrow (docs/design.md: two to six times faster than through `datasets`).
Images are not compressed, row groups are small so that streams and the viewer start quickly, and
content-defined chunking lets the Hub store only what changed when a config is rebuilt.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vision_flan.columns import (
    COLUMNS,
    IMAGE,
    IMAGE_TYPE,
    OPTIONS,
    OPTIONS_TYPE,
    TEXT_COLUMNS,
    TURN_TYPE,
    TURNS,
    TURNS_TYPE,
    Turn,
    arrow_schema,
)
from vision_flan.instances.maker import Instance

#: Candidates per shard; its rows are those that were not dropped.
BLOCK_ROWS = 1_000
ROW_GROUP_ROWS = 100
ROW_GROUP_BYTES = 256 * 2**20

_SCHEMA = arrow_schema()
COMPRESSION = dict.fromkeys(TEXT_COLUMNS, "zstd") | {
    "image.bytes": "none",
    "image.path": "zstd",
    "options.list.element": "zstd",
    **{f"turns.list.element.{name}": "zstd" for name in Turn._fields},
}
#: Columns with repeated values; a dictionary of images would hold them twice.
_DICTIONARY = ["instruction", "target", "task", "category", "source", "options.list.element"]


@dataclass(frozen=True)
class ShardFacts:
    """A finished shard; `path` is relative to the compiled folder."""

    path: str
    rows: int
    bytes: int
    sha256: str


class ShardWriter:
    """Writes one shard, row group by row group; use as a context manager, then `facts`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # Arrow's own file: a Python file would copy every page while holding the interpreter lock. It is not
        # synced, which would take longer than everything else. A killed process loses nothing; after a power
        # cut, `vflan verify` finds what was lost
        self._file = pa.OSFile(str(path), "wb")
        self._writer = pq.ParquetWriter(
            self._file,
            _SCHEMA,
            compression=COMPRESSION,
            use_dictionary=_DICTIONARY,
            write_statistics=["id", "source_id"],
            write_page_index=True,
            use_content_defined_chunking=True,
            store_schema=True,
        )
        self._pending: list[Instance] = []
        self._pending_bytes = 0
        self._rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._flush()
                self._writer.close()
        finally:
            self._writer.is_open = False  # else it writes a footer into the closed file when it is collected
            self._file.close()

    def add(self, instance: Instance) -> None:
        """Append one row."""
        self._pending.append(instance)
        self._pending_bytes += len(instance.image)
        if len(self._pending) >= ROW_GROUP_ROWS or self._pending_bytes >= ROW_GROUP_BYTES:
            self._flush()

    def facts(self, path: str) -> ShardFacts:
        """Rows, size and checksum of the closed shard, with its final path."""
        with self._path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return ShardFacts(path, self._rows, self._path.stat().st_size, sha256)

    def _flush(self) -> None:
        if self._pending:
            self._writer.write_batch(record_batch(self._pending))
            self._rows += len(self._pending)
            self._pending, self._pending_bytes = [], 0


def record_batch(instances: list[Instance]) -> pa.RecordBatch:
    """Instances as an Arrow record batch in the schema of all configs."""
    image = pa.StructArray.from_arrays(
        [
            _binary_array([instance.image for instance in instances]),
            pa.array([instance.image_path for instance in instances], pa.string()),
        ],
        fields=list(IMAGE_TYPE),
    )
    arrays: dict[str, pa.Array] = {
        IMAGE: image,
        OPTIONS: pa.array([instance.options for instance in instances], OPTIONS_TYPE),
        TURNS: _turns_array([instance.turns for instance in instances]),
    }
    for name, values in zip(TEXT_COLUMNS, zip(*(i.values for i in instances), strict=True), strict=True):
        arrays[name] = pa.array(values, pa.string())
    return pa.RecordBatch.from_arrays([arrays[name] for name in COLUMNS], schema=_SCHEMA)


def _turns_array(exchanges: list[tuple[Turn, ...]]) -> pa.Array:
    """Exchanges as an Arrow array, from columns: a dict a turn would cost three times as much."""
    offsets = np.zeros(len(exchanges) + 1, dtype=np.int32)
    np.cumsum([len(turns) for turns in exchanges], out=offsets[1:])
    texts = [
        pa.array([turn[part] for turns in exchanges for turn in turns], pa.string())
        for part in range(len(Turn._fields))
    ]
    turns = pa.StructArray.from_arrays(texts, fields=list(TURN_TYPE))
    return pa.ListArray.from_arrays(pa.array(offsets), turns, type=TURNS_TYPE)


def _binary_array(values: list[bytes]) -> pa.Array:
    """Bytes as an Arrow array with one copy; `pa.array` grows its buffer, which copies several times."""
    offsets = np.zeros(len(values) + 1, dtype=np.int32)
    np.cumsum([len(value) for value in values], out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(values))]
    return pa.Array.from_buffers(pa.binary(), len(values), buffers)
