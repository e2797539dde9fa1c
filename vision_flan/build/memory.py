"""Keep freed memory in the process while images stream through it.

glibc returns memory to the system as soon as a group of images is written, and requests it again for the next
one: on photographs the page faults cost more than reading the files (docs/performance.md).
"""

from __future__ import annotations

import ctypes
from functools import cache

# malloc.h
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3

#: Freed memory to keep, and the size from which a buffer is mapped on its own (glibc's maximum), in bytes.
KEPT = 512 * 2**20
OWN_PAGES = 32 * 2**20


@cache
def keep_freed_memory() -> bool:
    """Tell the allocator to keep freed memory; False if it is not glibc's, and nothing changes."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_TRIM_THRESHOLD, KEPT) and mallopt(_M_MMAP_THRESHOLD, OWN_PAGES))
