"""Arrays as PNG images, and a bounded cache of the arrays they come from."""

from __future__ import annotations

import io
import math
import os
import tempfile
import threading
from collections.abc import Callable, Sequence
from typing import IO, Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from vision_flan.errors import BadRawError, Location, MissingRawError

Array = npt.NDArray[Any]

#: zlib's own default, explicit so that the bytes do not depend on Pillow's.
_COMPRESS_LEVEL = 6
_CACHED_BYTES = 256 << 20
#: The part of the free temporary disk that arrays may take.
_SHARE_OF_FREE = 4
#: Order of the axes -> how to transpose to height, width, channel. CWH is column-major, as in STL-10.
_TO_HWC = {"HWC": (0, 1, 2), "CHW": (1, 2, 0), "CWH": (2, 1, 0), "HW": (0, 1)}


def image_array(values: Array, order: str, file: str, shape: Sequence[int] | None = None) -> Array:
    """Values as an array of height, width and, for color, channel.

    Args:
        values: one image; flat, or in the shape of `order`.
        order: names of the axes, first to last: HWC, CHW, CWH or HW.
        shape: sizes of these axes, if `values` is flat.

    Raises:
        BadRawError: the values do not fill the shape.
    """
    axes = _TO_HWC[order]
    try:
        shaped = values.reshape(tuple(shape)) if shape is not None else values
        return shaped.transpose(axes)
    except ValueError as error:
        raise BadRawError(
            f"an image of shape {list(values.shape)} is not {order} {list(shape or ())}: {error}",
            where=Location(file),
            hint="fix the table's shape and order",
        ) from None


def encode_png(image: Array, file: str) -> bytes:
    """A PNG of 8 bits a channel, gray or RGB; the same bytes for the same values.

    Args:
        image: [height, width] or [height, width, 1 | 3 | 4]; whole numbers of any type within 0..255, or
            booleans (true is white).

    Raises:
        BadRawError: these are not the shape and values of an image.
    """
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    if image.ndim != 2 and not (image.ndim == 3 and image.shape[2] in (3, 4)):
        raise BadRawError(f"an array of shape {list(image.shape)} is not an image", where=Location(file))
    if image.dtype == np.bool_:
        image = image.astype(np.uint8) * 255
    if image.dtype != np.uint8:
        with np.errstate(invalid="ignore"):
            whole = image.astype(np.uint8)
        if not np.array_equal(whole, image):
            raise BadRawError(
                f"an array of {image.dtype} is not an image: values are not whole numbers in 0..255",
                where=Location(file),
            )
        image = whole
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(out, "PNG", compress_level=_COMPRESS_LEVEL)
    return out.getvalue()


class Records(Protocol):
    """An array in memory, or one that is read from a disk a record at a time."""

    @property
    def nbytes(self) -> int: ...

    @property
    def ndim(self) -> int: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any, /) -> Any: ...


def record_of(records: Records, number: int, file: str) -> Array:
    """Record `number` of an array.

    Raises:
        MissingRawError: the array has fewer.
    """
    if number >= len(records):
        raise MissingRawError(
            f"there is no record {number}, the file has {len(records)}",
            where=Location(file),
            hint="check the image reference that the task builds",
        )
    image: Array = np.asarray(records[number])
    return image


class _Sized(Protocol):
    @property
    def nbytes(self) -> int: ...


Kept = TypeVar("Kept", bound=_Sized)


class Cache(Generic[Kept]):
    """Arrays or columns by name, up to a limit: least recently used go first, one always stays.

    Two threads that want the same one wait for one another; those that want others do not.
    """

    def __init__(self, limit: int = _CACHED_BYTES) -> None:
        self._limit = limit
        self._arrays: dict[str, Kept] = {}
        self._loading: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, file: str, load: Callable[[], Kept]) -> Kept:
        """One by its name; `load` is called if it is not kept."""
        with self._lock:
            found = self._kept(file)
            if found is not None:
                return found
            mine = self._loading.setdefault(file, threading.Lock())
        with mine:
            with self._lock:
                found = self._kept(file)
            if found is None:
                try:
                    found = self._keep(file, load())
                finally:
                    with self._lock:
                        self._loading.pop(file, None)
            return found

    def _kept(self, file: str) -> Kept | None:
        found = self._arrays.pop(file, None)
        if found is not None:
            self._arrays[file] = found
        return found

    def _keep(self, file: str, found: Kept) -> Kept:
        with self._lock:
            self._arrays[file] = found
            while len(self._arrays) > 1 and sum(kept.nbytes for kept in self._arrays.values()) > self._limit:
                del self._arrays[next(iter(self._arrays))]
        return found


class ArrayCache(Cache[Records]):
    """Arrays by file. One that is loaded for the second time had to make room before, and would again. So it
    goes to an unnamed temporary file, from which its records are read.

    Images are asked for in random order. So each file is loaded twice at most, however many there are.
    """

    def __init__(self, limit: int = _CACHED_BYTES) -> None:
        super().__init__(limit)
        self._loaded: set[str] = set()
        self._on_disk: dict[str, Records] = {}
        self._disk: IO[bytes] | None = None

    def _kept(self, file: str) -> Records | None:
        found = self._on_disk.get(file)
        return super()._kept(file) if found is None else found

    def _keep(self, file: str, found: Records) -> Records:
        if file not in self._loaded:
            self._loaded.add(file)
            return super()._keep(file, found)
        with self._lock:
            moved = self._moved(found)
            if moved is not None:
                self._on_disk[file] = moved
                return moved
        return super()._keep(file, found)

    def _moved(self, found: Records) -> Records | None:
        """The array on the disk; None if there is no room for it."""
        if not isinstance(found, np.ndarray) or found.dtype.hasobject or not found.ndim:
            return None
        try:
            if self._disk is None:
                self._disk = tempfile.TemporaryFile(prefix="vflan-", buffering=0)  # noqa: SIM115 - kept open
            status = os.fstatvfs(self._disk.fileno())
            if found.nbytes > status.f_bavail * status.f_frsize // _SHARE_OF_FREE:
                return None
            at = self._disk.seek(0, os.SEEK_END)
            left = memoryview(np.ascontiguousarray(found).reshape(-1).view(np.uint8).data)
            while left:
                left = left[self._disk.write(left) :]
        except OSError:
            return None
        return _OnDisk(self._disk, at, found.dtype, found.shape)


class _OnDisk:
    """An array in a file."""

    def __init__(self, file: IO[bytes], at: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        self._file, self._at, self._dtype, self._shape = file, at, dtype, shape
        self._each = dtype.itemsize * math.prod(shape[1:])
        self.ndim = len(shape)
        self.nbytes = self._each * len(self)

    def __len__(self) -> int:
        return self._shape[0]

    def __getitem__(self, index: int | slice) -> Array:
        """A record, or consecutive ones."""
        start, stop, _ = index.indices(len(self)) if isinstance(index, slice) else (index, index + 1, 1)
        count = max(stop - start, 0)
        data = os.pread(self._file.fileno(), count * self._each, self._at + start * self._each)
        found: Array = np.frombuffer(data, self._dtype).reshape((count, *self._shape[1:]))
        return found if isinstance(index, slice) else found[0]
