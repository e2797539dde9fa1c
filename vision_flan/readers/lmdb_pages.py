"""Checks the pages of an LMDB file before the library maps it into memory.

The library trusts the file: an offset beyond the end, or a page that is its own child, kills the process or
never returns. So each page of the tree of records is checked here first; values on separate pages
(images, mostly) only need to be inside the file. Format: `mdb.c` of LMDB 0.9, 64-bit machines.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vision_flan.errors import BadRawError, Location
from vision_flan.readers.pixels import Array

_MAGIC = 0xBEEFC0DE
_VERSION = 1
#: A meta page: page header (16 bytes), magic, version, address, map size, then for the tree of free pages and
#: the tree of records: pad (page size in the first), flags, depth, three page counts, entries, root. At the
#: end, the last page and the transaction.
_META = struct.Struct("=QHHHH II QQ " + "IHHQQQQQ" * 2 + "QQ")
_PAGE = struct.Struct("=QHHHH")
_BRANCH, _LEAF, _META_FLAG = 0x01, 0x02, 0x08
#: Flag of a node whose value is on separate pages. Other flags mark trees inside the tree.
_BIG = 0x01
_NODE = 8
_NO_ROOT = (1 << 64) - 1
_DEEPEST = 32


class _Meta(NamedTuple):
    page_size: int
    flags: int
    root: int
    last_page: int
    transaction: int


def check_pages(path: Path) -> None:
    """Refuse a `data.mdb` that the library cannot safely read.

    Raises:
        BadRawError: the file is not LMDB of 64 bits, is cut short, or has a damaged page.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        meta = _newest_meta(descriptor, path)
        size, wanted = os.fstat(descriptor).st_size, (meta.last_page + 1) * meta.page_size
        if size < wanted:
            raise BadRawError(
                f"the LMDB file is cut short: {size:,} of {wanted:,} bytes",
                where=Location(path),
                hint="unpack or download it again",
            )
        if meta.root != _NO_ROOT:
            _Tree(descriptor, meta, path).check()
    finally:
        os.close(descriptor)


def _newest_meta(descriptor: int, path: Path) -> _Meta:
    first = _meta(os.pread(descriptor, _META.size, 0))
    second = _meta(os.pread(descriptor, _META.size, first.page_size)) if first else None
    if first is None or second is None or first.page_size != second.page_size:
        raise BadRawError(
            "not a valid LMDB environment: its first pages are wrong",
            where=Location(path),
            hint="unpack it again",
        )
    newest = second if second.transaction > first.transaction else first
    if newest.flags:
        raise _damaged(path, f"its records have the flags {newest.flags:#x}, which are not read")
    return newest


def _meta(data: bytes) -> _Meta | None:
    if len(data) < _META.size:
        return None
    fields = _META.unpack(data)
    page_size = fields[9]
    whole = fields[2] & _META_FLAG and fields[5:7] == (_MAGIC, _VERSION)
    if not whole or page_size.bit_count() != 1 or not 256 <= page_size <= 1 << 16:
        return None
    return _Meta(page_size, fields[18], fields[24], fields[25], fields[26])


class _Tree:
    """The tree of records, checked page by page from its root."""

    def __init__(self, descriptor: int, meta: _Meta, path: Path) -> None:
        self._descriptor = descriptor
        self._page_size = meta.page_size
        self._last = meta.last_page
        self._path = path
        self._seen = bytearray(meta.last_page // 8 + 1)
        self._pages = [(meta.root, 1)]

    def check(self) -> None:
        while self._pages:
            number, depth = self._pages.pop()
            self._require(2 <= number <= self._last, number, "is not in the file")
            self._require(not self._seen[number >> 3] >> (number & 7) & 1, number, "is reached twice")
            self._require(depth < _DEEPEST, number, "is nested too deep")
            self._seen[number >> 3] |= 1 << (number & 7)
            self._check_page(number, depth)

    def _check_page(self, number: int, depth: int) -> None:
        page = os.pread(self._descriptor, self._page_size, number * self._page_size)
        self._require(len(page) == self._page_size, number, "is not in the file")
        own, _, flags, lower, upper = _PAGE.unpack_from(page)
        self._require(own == number and flags in (_BRANCH, _LEAF), number, "is not a page of records")
        fits = _PAGE.size < lower <= upper <= self._page_size and not lower % 2
        self._require(fits, number, "has a wrong size")
        offsets = np.frombuffer(page, "=u2", (lower - _PAGE.size) // 2, _PAGE.size).astype(np.int64)
        inside = (offsets >= upper) & (offsets <= self._page_size - _NODE) & (offsets % 2 == 0)
        self._require(inside.all(), number, "has a record outside of it")
        words = np.frombuffer(page, "=u2").astype(np.int64)
        low, high, node_flags, key_size = (words[offsets // 2 + at] for at in range(4))
        values = offsets + _NODE + key_size
        self._require((values <= self._page_size).all(), number, "has a key outside of it")
        if flags == _BRANCH:
            self._require(len(offsets) > 1, number, "has one child only")
            children = low | high << 16 | node_flags << 32
            self._pages.extend((child, depth + 1) for child in children.tolist())
        else:
            self._check_values(page, number, values, low | high << 16, node_flags)

    def _check_values(self, page: bytes, number: int, values: Array, sizes: Array, flags: Array) -> None:
        self._require((flags & ~_BIG == 0).all(), number, "contains another tree, which is not supported")
        big = flags == _BIG
        ends = values + np.where(big, 8, sizes)
        self._require((ends <= self._page_size).all(), number, "has a value outside of it")
        if not big.any():
            return
        pointers = values[big][:, None] + np.arange(8)
        pages = np.frombuffer(page, np.uint8)[pointers].view("=u8").ravel()
        self._require(((pages >= 2) & (pages <= self._last)).all(), number, "has a value outside of the file")
        stops = pages.astype(np.int64) * self._page_size + _PAGE.size + sizes[big]
        last = (self._last + 1) * self._page_size
        self._require((stops <= last).all(), number, "has a value outside of the file")

    def _require(self, condition: bool | np.bool, number: int, what: str) -> None:
        if not condition:
            raise _damaged(self._path, f"page {number} {what}")


def _damaged(path: Path, what: str) -> BadRawError:
    return BadRawError(
        f"the LMDB file is damaged: {what}", where=Location(path), hint="unpack or download it again"
    )
