"""Tables of raw files, read once for all tasks of a dataset and for the plan.

What a reader made of a table is kept as Parquet with checksums, under a name that is a digest of all that
decides its rows: the declared table, the code of the readers, the versions of libraries, and name, size and
time of each file. So an entry is never out of date, it is only not asked for any more. Entries appear whole,
by renaming; of two processes that want the same table at one time, one reads it and the other waits. The
folder may be removed at any time.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from vision_flan import __version__
from vision_flan import readers as readers_room
from vision_flan.raw.folder import RawDataset
from vision_flan.readers.layout import BATCH_ROWS
from vision_flan.readers.reader import Reader, TableSpec
from vision_flan.versions import deciding_versions

#: The folder of the cache, in the work folder of a compiled folder.
FOLDER = "tables.cache"
#: Bytes of all entries together; the ones that were not used for longest go first.
MOST_BYTES = 16 * 10**9
#: Raw bytes of a table from which it is kept: smaller ones are read as quickly again.
LEAST_BYTES = 2 * 10**6

#: Names in a folder, which are listed for every task anyway; and Parquet, which is what we would write.
_NOT_KEPT = ("files", "parquet")
_SUFFIX = ".parquet"
#: Entries that this process is making.
_READING: set[Path] = set()


class TableCache:
    """Tables in a folder.

    Args:
        folder: where entries are kept; made when the first one is written.
        fresh: read every table again, and replace its entry.
        most, least: see `MOST_BYTES`, `LEAST_BYTES`.
    """

    def __init__(
        self, folder: Path, *, fresh: bool = False, most: int | None = None, least: int | None = None
    ) -> None:
        self._folder = folder
        self._fresh = fresh
        self._most = MOST_BYTES if most is None else most
        self._least = LEAST_BYTES if least is None else least

    def batches(self, table: TableSpec, reader: Reader, raw: RawDataset) -> Iterator[pa.RecordBatch]:
        """The rows of a table, from its entry or from the reader; in both cases the same.

        Raises:
            MissingRawError, BadRawError: what the reader raises.
        """
        stamps = {} if table.reader in _NOT_KEPT else _stamps(table, raw)
        if sum(int(stamp.split(" ", 1)[0]) for stamp in stamps.values()) < self._least:
            yield from reader.batches(raw)
            return
        entry = self._folder / (_digest(table, reader, raw, stamps) + _SUFFIX)
        kept = self._kept(entry, reader)
        if kept is None:
            with self._alone(entry):
                kept = self._kept(entry, reader)  # read by another process, while this one waited
                if kept is None:
                    yield from self._read(table, reader, raw, stamps, entry)
                    return
        with kept:
            yield from kept.iter_batches(BATCH_ROWS)

    def _kept(self, entry: Path, reader: Reader) -> pq.ParquetFile | None:
        return None if self._fresh else _opened(entry, reader.schema())

    @contextmanager
    def _alone(self, entry: Path) -> Iterator[None]:
        """One process at a time reads a table. Where that cannot be had, two write the same entry.

        This process does not wait for itself: a reading that was begun may never be ended.
        """
        if entry in _READING:
            yield
            return
        lock = entry.with_suffix(".lock")
        _READING.add(entry)
        try:
            with ExitStack() as stack:
                with suppress(OSError):
                    self._folder.mkdir(parents=True, exist_ok=True)
                    fcntl.flock(stack.enter_context(lock.open("w")), fcntl.LOCK_EX)
                try:
                    yield
                finally:
                    with suppress(OSError):
                        lock.unlink()  # who waits finds the entry, or reads beside the next one
        finally:
            _READING.discard(entry)

    def _read(
        self, table: TableSpec, reader: Reader, raw: RawDataset, stamps: dict[str, str], entry: Path
    ) -> Iterator[pa.RecordBatch]:
        """Read a table, and keep it if its files have not changed meanwhile."""
        part = entry.with_name(f".{entry.name}.{os.getpid()}.tmp")
        writer = self._writer(part, reader.schema(), stamps)
        try:
            for batch in reader.batches(raw):
                if writer is not None:
                    try:
                        writer.write_batch(batch)
                    except (OSError, pa.ArrowException):  # a full disk: the table is read all the same
                        _closed(writer)
                        writer = None
                yield batch
            if writer is not None and _closed(writer) and _stamps(table, raw) == stamps:
                part.replace(entry)
                self._trim(keep=entry)
        finally:
            with suppress(OSError):
                part.unlink()

    def _writer(self, part: Path, schema: pa.Schema, stamps: dict[str, str]) -> pq.ParquetWriter | None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            raw_bytes = sum(int(stamp.split(" ", 1)[0]) for stamp in stamps.values())
            if shutil.disk_usage(self._folder).free < 4 * raw_bytes:
                return None  # what the build itself needs comes first
            return pq.ParquetWriter(part, schema, compression="lz4", write_page_checksum=True)
        except OSError:
            return None

    def _trim(self, keep: Path) -> None:
        """Remove the entries that were not used for longest, until the others fit."""
        found = []
        for path in self._folder.glob(f"*{_SUFFIX}"):
            with suppress(OSError):
                status = path.stat()
                found.append((status.st_mtime_ns, status.st_size, path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= self._most:
                return
            if path != keep:
                with suppress(OSError):
                    path.unlink()
                total -= size


def _stamps(table: TableSpec, raw: RawDataset) -> dict[str, str]:
    return {path: raw.stamp(path) for path, _ in raw.list(table.file)}


def _digest(table: TableSpec, reader: Reader, raw: RawDataset, stamps: dict[str, str]) -> str:
    facts = [__version__, _code(), _versions(), raw.dataset, table.name, table.reader, table.file]
    parts = [*facts, dict(table.options), str(reader.schema()), sorted(stamps.items())]
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@cache
def _versions() -> list[list[str | None]]:
    """Of libraries; to look them up takes 5 ms, and none changes while a process runs."""
    return [[version.name, version.installed] for version in deciding_versions()]


@cache
def _code() -> str:
    """A digest of the readers' code: a checkout changes under the same version."""
    digest = hashlib.sha256()
    for path in sorted(Path(str(readers_room.__file__)).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _opened(entry: Path, schema: pa.Schema) -> pq.ParquetFile | None:
    """An entry that is whole as far as its footer says; a damaged one is removed, and read again."""
    try:
        file = pq.ParquetFile(entry, page_checksum_verification=True)
    except FileNotFoundError:
        return None
    except (OSError, pa.ArrowException):
        with suppress(OSError):
            entry.unlink()
        return None
    if not file.schema_arrow.equals(schema):
        file.close()
        return None
    with suppress(OSError):
        os.utime(entry)
    return file


def _closed(writer: pq.ParquetWriter) -> bool:
    try:
        writer.close()
    except (OSError, pa.ArrowException):
        return False
    return True
