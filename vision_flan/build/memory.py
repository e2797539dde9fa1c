"""What makes a process quick at streaming images: what it does with memory, and what it need not load.

glibc returns memory to the system as soon as a group of images is written, and requests it again for the next
one: on photographs the page faults cost more than reading the files. The garbage collector would go through
all modules again and again. pyarrow loads pandas to learn whether a list is one of its own
(docs/performance.md).
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

import pyarrow as pa

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


@contextmanager
def ready_for_images() -> Iterator[None]:
    """Keep freed memory from here on; meanwhile nothing that is there is searched for garbage."""
    keep_freed_memory()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


class _NoPandas(MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name == "pandas":
            raise ModuleNotFoundError("not needed here", name=name)
        return None


@cache
def go_without_pandas() -> None:
    """Let pyarrow's first look for pandas fail, which saves the 0.3 s of loading it.

    For processes of our own only: pyarrow looks again when a table is asked for as a data frame, but takes a
    Series in a list's place for any other sequence.
    """
    if "pandas" in sys.modules:
        return
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.array([])
    finally:
        sys.meta_path.remove(finder)
