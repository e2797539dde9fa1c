"""Arrays as PNG images, and a bounded cache of the arrays they come from."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from vision_flan.errors import BadRawError, Location, MissingRawError

Array = npt.NDArray[Any]

#: zlib's own default, explicit so that the bytes do not depend on Pillow's.
_COMPRESS_LEVEL = 6
_CACHED_BYTES = 1 << 30
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


def record_of(records: Array, number: int, file: str) -> Array:
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
    """Arrays or columns by name, up to a gigabyte: least recently used go first, one always stays.

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


class ArrayCache(Cache[Array]):
    """Arrays by file."""
