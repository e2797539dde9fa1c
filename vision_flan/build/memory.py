"""Keeps freed memory in the process while images stream through it.

glibc gives memory back to the system as soon as a group of images is written, and takes it again for the
next: on photographs the page faults cost more than reading the files (docs/performance.md).
"""

from __future__ import annotations

import ctypes
from functools import cache

# malloc.h
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3

#: Freed memory that is kept, and the size from which a buffer gets pages of its own (glibc's most), in bytes.
KEPT = 512 * 2**20
OWN_PAGES = 32 * 2**20


@cache
def keep_freed_memory() -> bool:
    """Ask the allocator to keep what is freed; False where it is not glibc's, and nothing changes."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_TRIM_THRESHOLD, KEPT) and mallopt(_M_MMAP_THRESHOLD, OWN_PAGES))
