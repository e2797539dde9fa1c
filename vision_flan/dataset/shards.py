"""Parquet shards that `datasets` reads with full features; the same rows give the same bytes.

They are written directly with pyarrow (docs/design.md: two to six times faster than through `datasets`).
Images are not compressed, row groups are small so that streams and the viewer start quickly, and a file ends
before it is too large to move about.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vision_flan.columns import (
    COLUMNS,
    IMAGE,
    OPTIONS,
    OPTIONS_TYPE,
    TEXT_COLUMNS,
    TURN_TYPE,
    TURNS,
    TURNS_TYPE,
    Turn,
    arrow_schema,
)
from vision_flan.dataset.behind import Behind
from vision_flan.dataset.contents import Contents
from vision_flan.dataset.hashed_file import HashedFile
from vision_flan.dataset.image_arrays import VIEWED_IMAGE, image_sizes, view_array
from vision_flan.dataset.row_groups import ROW_GROUP_ROWS, RowGroups
from vision_flan.instances.instance import Instances

#: Candidates per block, the unit of work.
BLOCK_ROWS = 1_000
#: A shard ends with the row group that reaches this size (docs/performance.md, "Shards").
SHARD_BYTES = 256 * 2**20

#: What files say that they hold, and what the rows in memory do.
SCHEMA = arrow_schema()
ROWS = SCHEMA.set(SCHEMA.get_field_index(IMAGE), pa.field(IMAGE, VIEWED_IMAGE))
COMPRESSION = dict.fromkeys(TEXT_COLUMNS, "zstd") | {
    "image.bytes": "none",
    "image.path": "zstd",
    "options.list.element": "zstd",
    **{f"turns.list.element.{name}": "zstd" for name in Turn._fields},
}
#: Columns with repeated values; a dictionary of images would hold them twice.
_DICTIONARY = ["instruction", "target", "task", "category", "source", "options.list.element"]


@cache
def _metadata() -> dict[bytes, bytes]:
    """What `store_schema` would write. Made when it is asked for: with its first buffer Arrow reserves a
    gigabyte of addresses, which a process may not have."""
    return {**SCHEMA.metadata, b"ARROW:schema": base64.b64encode(SCHEMA.serialize())}


@dataclass(frozen=True)
class ShardFacts:
    """A finished shard; `path` is relative to the compiled folder."""

    path: str
    rows: int
    bytes: int
    sha256: str


class _Shard:
    """One Parquet file that is being written."""

    def __init__(self, path: Path, contents: Contents | None, beside: Executor | None) -> None:
        self.path = path
        self.rows = 0
        self._contents = contents
        self.file = HashedFile(path, hashlib.sha256(), beside)
        self._writer = pq.ParquetWriter(
            self.file.sink,
            ROWS,
            compression=COMPRESSION,
            use_dictionary=_DICTIONARY,
            write_statistics=["id", "source_id"],
            write_page_index=True,
            store_schema=False,
        )

    def write(self, batch: pa.RecordBatch) -> None:
        """Append one row group."""
        if self._contents is not None:
            self._contents.add(batch)
        self._writer.write_batch(batch, row_group_size=ROW_GROUP_ROWS)
        self.file.hash_written()
        self.rows += batch.num_rows

    def close(self, *, whole: bool) -> None:
        """Write the footer of a whole shard and close the file."""
        try:
            if whole:
                self._writer.add_key_value_metadata(_metadata())
                self._writer.close()
                self.file.finish()
        finally:
            self._writer.is_open = False  # else it writes a footer into the closed file when it is collected
            self.file.close()

    @property
    def size(self) -> int:
        """Bytes so far, those that wait included."""
        return int(self.file.sink.tell())

    def facts(self, name: str) -> ShardFacts:
        """Rows, size and checksum, with the final name."""
        return ShardFacts(name, self.rows, self.file.bytes, self.file.hexdigest())


class ShardWriter:
    """Writes rows to shards `<name>.0.parquet`, `<name>.1.parquet`, ...; no rows, no file. They come either
    as instances or as record batches.

    Use as a context manager; at its end the shards have their names, `facts` lists them, and `contents` has
    what they hold. A writer that is interrupted leaves files with `.tmp` in their name.

    Args:
        behind: write in a thread of its own while rows are made.
        counts: False leaves `contents` empty, for rows that were counted before.
    """

    def __init__(self, folder: Path, name: str, *, behind: bool = True, counts: bool = True) -> None:
        self._folder = folder
        self._name = name
        self._groups = RowGroups[Instances | pa.RecordBatch](self._row_group)
        self._behind = Behind(apart=behind)  # all below is for its thread, until it is closed
        self._beside = ThreadPoolExecutor(1, "hash") if self._behind.apart else None
        self._open: _Shard | None = None
        self.facts: tuple[ShardFacts, ...] = ()
        self.contents = Contents()
        self._counts = counts

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            self.give_up()

    def finish(self) -> None:
        """Write what is left, and give the last shard its name."""
        self._groups.end()
        self._behind.wait()
        self._end(whole=True)

    def give_up(self) -> None:
        """End the thread, and close the shard that is not finished, if there is one."""
        self._behind.close()
        self._end(whole=False)
        if self._beside is not None:
            self._beside.shutdown()

    def add(self, instances: Instances) -> None:
        """Append rows; row groups are cut as if they came one by one."""
        self._groups.add(instances, list(map(len, instances.images)))

    def add_batch(self, batch: pa.RecordBatch) -> None:
        """Append rows, likewise."""
        self._groups.add(batch, image_sizes(batch))

    def _row_group(self, pieces: list[Instances | pa.RecordBatch]) -> None:
        instances = [piece for piece in pieces if isinstance(piece, Instances)]
        batches = [record_batch(Instances.joined(instances))] if instances else pieces
        self._behind.run(partial(self._write, batches))

    def _write(self, pending: list[pa.RecordBatch]) -> None:
        """Append a row group to the open shard, or to a new one."""
        if self._open is None:
            name = f"{self._name}.{len(self.facts)}.parquet.{os.getpid()}.tmp"
            contents = self.contents if self._counts else None
            self._open = _Shard(self._folder / name, contents, self._beside)
        self._open.write(pa.concat_batches(pending))  # of one too, since Parquet takes no slice of views
        if self._open.size >= SHARD_BYTES:
            self._end(whole=True)

    def _end(self, *, whole: bool) -> None:
        shard, self._open = self._open, None
        if shard is None:
            return
        shard.close(whole=whole)
        if whole:
            name = f"{self._name}.{len(self.facts)}.parquet"
            shard.path.replace(self._folder / name)
            self.facts = (*self.facts, shard.facts(name))


def record_batch(instances: Instances) -> pa.RecordBatch:
    """Instances as an Arrow record batch with the columns of all configs."""
    texts = dict(zip(TEXT_COLUMNS, _text_arrays(instances.texts), strict=True))
    images = [view_array(instances.images), pa.array(instances.paths, pa.string())]
    arrays: dict[str, pa.Array] = {
        IMAGE: pa.StructArray.from_arrays(images, fields=list(VIEWED_IMAGE)),
        OPTIONS: pa.array(instances.options, OPTIONS_TYPE),
        TURNS: _turns_array(instances, [texts["prompt"], texts["target"]]),
        **texts,
    }
    return pa.RecordBatch.from_arrays([arrays[name] for name in COLUMNS], schema=ROWS)


def _text_arrays(columns: Iterable[Sequence[str]]) -> list[pa.Array]:
    return [pa.array(column, pa.string()) for column in columns]


def _turns_array(instances: Instances, first: list[pa.Array]) -> pa.Array:
    """The exchanges of rows, from columns: a dict a turn would cost three times as much.

    Args:
        first: the columns of the first turn, which are most often all there is.
    """
    exchanges = [instances.one(row).turns for row in range(instances.rows)] if instances.later else []
    offsets = np.arange(instances.rows + 1, dtype=np.int32)
    if exchanges:
        np.cumsum([len(turns) for turns in exchanges], out=offsets[1:])
    texts = _text_arrays(zip(*(turn for turns in exchanges for turn in turns), strict=True)) or first
    turns = pa.StructArray.from_arrays(texts, fields=list(TURN_TYPE))
    # not `pa.array`, which loads numpy.ma to learn whether an array has a mask
    ends = pa.Array.from_buffers(pa.int32(), len(offsets), [None, pa.py_buffer(offsets)])
    return pa.ListArray.from_arrays(ends, turns, type=TURNS_TYPE)


def batches_of(path: Path) -> Iterator[pa.RecordBatch]:
    """The record batches of a part, mapped into memory.

    Raises:
        OSError, pa.ArrowException: the file is missing or damaged.
    """
    with pa.memory_map(str(path)) as file:
        reader = pa.ipc.open_file(file)
        for i in range(reader.num_record_batches):
            yield reader.get_batch(i)
