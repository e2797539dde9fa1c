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
from concurrent.futures import Future, ThreadPoolExecutor
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
        kept = _Kept(writer) if writer is not None else None
        try:
            for batch in reader.batches(raw):
                if kept is not None:
                    kept.add(batch)
                yield batch
            if kept is not None and kept.close() and _stamps(table, raw) == stamps:
                part.replace(entry)
                self._trim(keep=entry)
        finally:
            if kept is not None:
                kept.close()
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


class _Kept:
    """The rows of a table, written by a thread while the next ones are read."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer
        self._thread = ThreadPoolExecutor(1, "keep")
        self._last: Future[None] | None = None
        self._is_whole = True

    def add(self, batch: pa.RecordBatch) -> None:
        """Write rows, after those before; after an error, such as a full disk, nothing more."""
        self._is_whole = self._is_whole and self._done()
        if self._is_whole:
            self._last = self._thread.submit(self._writer.write_batch, batch)

    def close(self) -> bool:
        """Close the file. Returns whether all rows are there; a second time too."""
        self._is_whole = self._done() and self._is_whole
        with suppress(RuntimeError):  # it is closed
            self._last = self._thread.submit(self._writer.close)
        self._is_whole = self._done() and self._is_whole
        self._thread.shutdown()
        return self._is_whole

    def _done(self) -> bool:
        """Wait for what the thread does. Returns whether it could."""
        last, self._last = self._last, None
        try:
            if last is not None:
                last.result()
        except (OSError, pa.ArrowException):
            return False
        return True


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
