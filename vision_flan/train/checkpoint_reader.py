"""Reads a checkpoint's files as data: neither its index nor its values can run code or name another file.

A run's folder may be somebody else's. PyTorch reads the index of a distributed checkpoint, and every value
that is no tensor, by pickle, which runs what it names.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import torch
import torch.distributed.checkpoint.metadata as stored
from torch.distributed.checkpoint import filesystem
from torch.distributed.checkpoint._traverse import set_element
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.planner import LoadPlan, LoadPlanner, ReadItem
from torch.distributed.checkpoint.state_dict_loader import load
from torch.futures import Future

from vision_flan.errors import Location, VflanError

#: Bytes of an index, which has a few hundred for each tensor of each rank, and of a value that is no tensor.
MOST_INDEX = 256 * 2**20
MOST_VALUE = 2**20
#: Bytes around a tensor's values: its name, type and shape.
_AROUND = 2**16
#: What an optimizer has beside its tensors.
_PLAIN = (bool, int, float, str, tuple, list, type(None))
_DATA_FILE = re.compile(r"__[0-9]+_[0-9]+\.distcp")
_INDEX_CLASSES = (
    stored.Metadata,
    stored.StorageMeta,
    stored.MetadataIndex,
    stored.TensorStorageMetadata,
    stored.BytesStorageMetadata,
    stored.TensorProperties,
    stored.ChunkStorageMetadata,
    stored._MEM_FORMAT_ENCODING,
    filesystem._StorageInfo,
    torch.Size,
)
_NAMES: dict[tuple[str, str], object] = {(kind.__module__, kind.__name__): kind for kind in _INDEX_CLASSES}
_NAMES["torch", "Size"] = torch.Size


class CheckpointError(VflanError):
    """A checkpoint does not fit the run, or none is whole."""


def read_into(state: dict[str, object], folder: Path) -> None:
    """Fill a state with the values of a checkpoint; every rank calls it.

    Raises:
        CheckpointError: it is damaged, is of another model, or holds what only code would read.
    """
    reader = _Reader(folder)
    reader.read_index()
    try:
        load(state, storage_reader=reader, planner=_Planner())
    except (CheckpointException, RuntimeError, ValueError) as error:
        cause = _cause(error)
        if isinstance(cause, CheckpointError):
            raise cause from error
        if isinstance(cause, pickle.UnpicklingError):
            raise refused("one of its values is no plain data: to read it would run code", folder) from error
        said = (str(cause).splitlines() or [type(cause).__name__])[0]
        raise CheckpointError(
            f"the checkpoint does not fit this run: {said}",
            where=Location(folder),
            hint="give another `out`, or the recipe the checkpoint was made with",
        ) from error


def _cause(error: BaseException) -> BaseException:
    """What the first rank that failed ran into."""
    failures = error.failures if isinstance(error, CheckpointException) else {}
    first = next(iter(failures.values()), None)
    return first[0] if first else error


def refused(what: str, path: Path) -> CheckpointError:
    """An error of a checkpoint that is not as the trainer writes it."""
    return CheckpointError(
        f"not a checkpoint of the trainer: {what}", where=Location(path), hint="give another `out`"
    )


class _Unpickler(pickle._Unpickler):
    """Makes what an index holds, and nothing else. In Python, since C's takes the memory a file asks for."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _NAMES:
            return _NAMES[module, name]
        if module == "pathlib" and name.endswith("Path"):
            return _nowhere
        if (module, name) == ("torch.serialization", "_get_layout"):
            return _layout
        dtype = getattr(torch, name, None) if module == "torch" else None
        if isinstance(dtype, torch.dtype):
            return dtype
        raise pickle.UnpicklingError(f"it names {module}.{name}, which is code")


def _nowhere(*_: object) -> None:
    """The folder in which an index was written, which is another one by now."""


def _layout(name: object) -> torch.layout:
    if name != "torch.strided":
        raise pickle.UnpicklingError(f"it has tensors of the layout {name!r:.40}")
    return torch.strided


class _Reader(FileSystemReader):  # type: ignore[misc,unused-ignore]
    """The files of a checkpoint; each is a regular one, beside the index, and no larger than it must be."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.folder = folder
        self._index = stored.Metadata({})

    def read_metadata(self, *_: Any, **__: Any) -> stored.Metadata:
        """The index, as it was read."""
        return self._index

    def read_index(self) -> None:
        """Read the index; apart from `load`, which keeps no error of it.

        Raises:
            CheckpointError: it is not as the trainer writes it.
        """
        path = self.folder / ".metadata"
        if _size(path) > MOST_INDEX:
            raise refused("its index is too large", path)
        try:
            found: stored.Metadata = _Unpickler(io.BytesIO(path.read_bytes())).load()
            files = {str(info.relative_path) for info in found.storage_data.values()}
        except Exception as error:  # a damaged pickle raises whatever it runs into
            raise refused(f"{type(error).__name__}: {error}"[:200], path) from error
        for name in files:
            if not _DATA_FILE.fullmatch(name):
                raise refused(f"its index names the file {name!r:.80}", path)
            _size(self.folder / name)
        found.storage_meta = stored.StorageMeta(load_id=self.load_id)
        self._index = found

    def read_data(self, plan: LoadPlan, planner: LoadPlanner) -> Future[None]:
        """The values, as `planner` wants them."""
        for item in plan.items:
            info = self.storage_data[item.storage_index]
            whole = self._index.state_dict_metadata[item.storage_index.fqn]
            most = (
                _bytes_of(whole) + _AROUND if isinstance(whole, stored.TensorStorageMetadata) else MOST_VALUE
            )
            path = self.folder / info.relative_path
            if info.transform_descriptors:
                raise refused("its values are packed", path)
            if not 0 <= info.offset <= info.offset + info.length <= _size(path) or info.length > most:
                raise refused(f"its index has other sizes than {item.storage_index.fqn}", path)
        return super().read_data(plan, planner)

    def _slice_file(self, file: IO[bytes], sinfo: filesystem._StorageInfo) -> IO[bytes]:
        """A value's part of a file; nothing in it inflates."""
        part: IO[bytes] = super()._slice_file(file, sinfo)
        path = self.folder / sinfo.relative_path
        try:
            packed = any(_is_packed(_Part(file, sinfo.offset, sinfo.length)))
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise refused(f"a value is damaged: {error}", path) from error
        if packed:
            raise refused("its values are packed", path)
        part.seek(0)
        return part


def _bytes_of(tensor: stored.TensorStorageMetadata) -> int:
    size: int = math.prod(tensor.size) * tensor.properties.dtype.itemsize
    return size


class _Part(io.RawIOBase):
    """Bytes of a file, as a file; PyTorch's own does not read backwards, as zipfile does."""

    def __init__(self, file: IO[bytes], start: int, length: int) -> None:
        self._file, self._start, self._length, self._at = file, start, length, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + (0, self._at, self._length)[whence])
        return self._at

    def readinto(self, view: memoryview) -> int:  # type: ignore[override]
        self._file.seek(self._start + self._at)
        found = self._file.read(max(0, min(len(view), self._length - self._at)))
        view[: len(found)] = found
        self._at += len(found)
        return len(found)


def _is_packed(part: _Part) -> Iterator[bool]:
    with zipfile.ZipFile(part) as opened:
        for member in opened.infolist():
            yield member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size


class _Planner(DefaultLoadPlanner):  # type: ignore[misc,unused-ignore]
    """Loads values that are no tensors, such as a learning rate, as plain data."""

    def load_bytes(self, read_item: ReadItem, value: io.BytesIO) -> None:
        """Put one value into the state."""
        name = read_item.dest_index.fqn
        found = torch.load(value, weights_only=True)
        if isinstance(self.state_dict[name], torch.Tensor) or not isinstance(found, _PLAIN):
            raise ValueError(f"its {name} is a {type(found).__name__}")  # noqa: TRY004
        set_element(self.original_state_dict, self.mappings[name], found)


def _size(path: Path) -> int:
    """The size of a regular file.

    Raises:
        CheckpointError: it is not there, or it is a link, a pipe or a device.
    """
    try:
        facts = path.lstat()
    except OSError as error:
        raise refused(f"{error.strerror}", path) from error
    if not stat.S_ISREG(facts.st_mode):
        raise refused("a link or a pipe in place of a file", path)
    return facts.st_size
