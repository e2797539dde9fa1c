"""Whether what a file holds once is used so often that reading it never ends.

Pickles and HDF5 files can name a value in many places: thirty lists that each hold the one before it
twice are a hundred bytes, and a billion items. So what there would be is counted first, each value once.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Collection, Sequence
from typing import Any, Final, cast

import numpy as np

from vision_flan.errors import BadRawError, Location
from vision_flan.readers.pixels import Array
from vision_flan.readers.whole import refuse_bomb

#: Types that hold others.
_NESTS: Final = frozenset((list, tuple, dict, set, frozenset, OrderedDict))
#: Bytes that an item takes at least.
_ITEM: Final = 8
#: Items that take no bytes, and values that are read again, of any file.
_NO_BYTES: Final = 1 << 20
_AGAIN: Final = 10_000


class Again:
    """Counts what an HDF5 file names more than once.

    Args:
        size: bytes of the file.
    """

    def __init__(self, size: int) -> None:
        self._seen: set[int] = set()
        self._left = size // 100 + _AGAIN

    def count(self, item: Any) -> None:
        """A group or a dataset of references is read.

        Raises:
            ValueError: it was read before, as were more values than a file of this size has.
        """
        address = _address(item)
        if address in self._seen:
            self._left -= 1 + (len(item) if hasattr(item, "keys") else item.size)
        self._seen.add(address)
        if self._left < 0:
            raise ValueError("it names the same values again and again")


def _address(item: Any) -> int:
    import h5py

    return int(h5py.h5o.get_info(item.id).addr)


def refuse_unfolding(root: object, packed: int, file: str) -> None:
    """Refuse a value that holds itself, or others so often that they are far larger than the file.

    Args:
        packed: bytes of the file.

    Raises:
        BadRawError: it does.
    """
    if _holds(root):
        refuse_bomb(_unfolded(root, {}, file), packed, "what is in the file", file)


def _unfolded(value: object, sizes: dict[int, int], file: str) -> int:
    """The bytes of a value with all that it holds, at least; `sizes` are those known, -1 above this one."""
    sizes[id(value)] = -1
    items = _items(value)
    size = _ITEM * len(items)
    for item in items:
        if isinstance(item, str | bytes):
            size += len(item)
        elif type(item) in _NESTS or _holds(item):
            known = sizes.get(id(item))
            if known is None:
                known = _unfolded(item, sizes, file)
            elif known < 0:
                raise BadRawError(
                    "a value in it holds itself", where=Location(file), hint="download it again"
                )
            size += known
    sizes[id(value)] = size
    return size


def _holds(value: object) -> bool:
    return type(value) in _NESTS or (isinstance(value, np.ndarray) and value.dtype.hasobject)


def _items(value: object) -> Collection[object]:
    if isinstance(value, dict):
        return [*value, *value.values()]
    if isinstance(value, np.ndarray):
        return cast("list[object]", value.ravel().tolist())
    assert isinstance(value, list | tuple | set | frozenset)
    return value


def refuse_no_characters(array: Array) -> None:
    """Refuse text that holds numbers which are no characters: such a string breaks what reads it.

    Raises:
        ValueError: the array does.
    """
    names = array.dtype.names
    if names:
        for name in names:
            refuse_no_characters(array[name])
    elif array.dtype.kind == "U" and array.size:
        codes = np.ascontiguousarray(array).view(np.dtype("u4").newbyteorder(array.dtype.byteorder))
        if codes.size and int(codes.max()) > 0x10FFFF:
            raise ValueError("text with numbers that are no characters")


def has_no_end(shape: Sequence[int]) -> bool:
    """Whether an array that takes no bytes has more items, or empty rows, than any data set."""
    return math.prod(size or 1 for size in shape) > _NO_BYTES
