"""Reader `lmdb`: an LMDB environment, a folder with `data.mdb`, whose values are encoded images."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import pyarrow as pa

from vision_flan.errors import (
    BadRawError,
    Location,
    MachineError,
    MissingRawError,
    SpecError,
    install_command,
)
from vision_flan.raw.folder import RawDataset
from vision_flan.readers.base import BatchReader
from vision_flan.readers.layout import BATCH_ROWS, Parts
from vision_flan.readers.lmdb_pages import check_pages
from vision_flan.readers.reader import TableSpec

_DATA = "/data.mdb"

#: Open environments by path: LMDB allows each to be open once per process, and a table's records and images
#: are read by two readers.
_OPEN: WeakValueDictionary[str, Any] = WeakValueDictionary()
#: The file behind each: device, number, size and time.
_FILES: dict[str, tuple[int, int, int, int]] = {}
_OPENING = threading.Lock()


class LmdbReader(BatchReader):
    """LMDB environments, read without a lock, so the disk may be read-only.

    `file` is the environment's `data.mdb`; `_file` is its folder. Columns: `_key`, the record's key as text,
    and `image`, the reference to its value. Rows are in the order of keys.
    """

    def __init__(self, table: TableSpec) -> None:
        if table.columns.keys() - {"_key"}:
            raise SpecError(
                f"table {table.name!r}: an LMDB has only the columns `_key` and `image`",
                where=table.place,
                hint="drop `columns:`",
            )
        if not table.file.endswith(_DATA):
            raise SpecError(
                f"table {table.name!r}: `file` must be the `data.mdb` of an LMDB environment",
                where=table.place,
                hint=f"write `file: {table.file.rstrip('/')}{_DATA}`",
            )
        super().__init__(table, {"_key": pa.string(), "image": pa.string()})
        self._environments: dict[str, Any] = {}

    def _file_batches(self, raw: RawDataset, file: str, parts: Parts) -> Iterator[pa.RecordBatch]:
        folder = file.removesuffix(_DATA)
        environment = self._environment(raw, folder)
        with environment.begin() as transaction, transaction.cursor() as cursor:
            first = 0
            keys = (self._key_text(key, folder) for key in cursor.iternext(keys=True, values=False))
            while some := list(islice(keys, BATCH_ROWS)):
                refs = [f"@{self._table.name}/{folder}#{key}" for key in some]
                arrays = {"_key": pa.array(some, pa.string()), "image": pa.array(refs, pa.string())}
                yield self._layout.batch(folder, parts, first, arrays, len(some))
                first += len(some)

    def _image(self, raw: RawDataset, locator: str) -> bytes:
        folder, mark, key = locator.partition("#")
        if not mark:
            raise BadRawError(f"image reference {locator!r} has no key", hint="write <folder>#<key>")
        with self._environment(raw, folder).begin() as transaction:
            value = transaction.get(key.encode())
        if value is None:
            raise MissingRawError(f"no record has the key {key!r}", where=Location(folder))
        return bytes(value)

    def _environment(self, raw: RawDataset, folder: str) -> Any:
        """The open environment, shared with the other readers of this process."""
        with _OPENING:
            if folder not in self._environments:
                path = raw.local_path(folder + _DATA)
                if path is None:
                    raise MissingRawError(
                        f"the LMDB environment {folder!r} is still in an archive, or missing",
                        where=Location(raw.root / folder),
                        hint="LMDB is mapped into memory: unpack its archive in the raw folder",
                    )
                self._environments[folder] = open_environment(path.parent)
            return self._environments[folder]

    def _key_text(self, key: bytes, folder: str) -> str:
        try:
            return key.decode()
        except UnicodeDecodeError:
            raise BadRawError(f"the key {key!r} is not text", where=Location(folder)) from None


def open_environment(folder: Path) -> Any:
    """The environment of a folder, shared with others of this process that have it open.

    Raises:
        BadRawError: it is damaged, or was replaced while it was open.
        MachineError: the package lmdb is not installed.
    """
    try:
        import lmdb
    except ImportError:
        raise MachineError("LMDB files need the package lmdb", hint=install_command("lmdb")) from None
    name = str(folder.resolve())
    status = (folder / "data.mdb").stat()
    file = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    environment = _OPEN.get(name)
    if environment is not None and _FILES[name] != file:
        environment = None
        gc.unfreeze()  # a build takes what is there before it out of the search
        gc.collect()  # who had it open may be done with it, and not collected yet
        environment = _OPEN.get(name)
    if environment is not None and _FILES[name] != file:
        raise BadRawError(
            "the LMDB environment was replaced while it was open", where=Location(folder), hint="start again"
        )
    if environment is None:
        check_pages(folder / "data.mdb")
        try:
            environment = lmdb.open(name, readonly=True, lock=False, readahead=False, create=False)
        except lmdb.Error as error:
            raise BadRawError(
                f"not a valid LMDB environment: {error}", where=Location(folder), hint="unpack it again"
            ) from error
        _OPEN[name], _FILES[name] = environment, file
    return environment
