"""How much memory SQL may use before its tables spill to the disk."""

from __future__ import annotations

from vision_flan.limits import current

#: What DuckDB may use at most of a process's memory; readers and writers need the rest.
_SHARE = 4
#: Bytes it then has at least, and where the process has no limit.
_LEAST, _USUAL = 512 * 2**20, 4 * 2**30


def memory_limit() -> int:
    """Bytes that DuckDB may use at most: a quarter of what this process may take."""
    allowed = current().memory
    return max(_LEAST, allowed // _SHARE) if allowed else _USUAL


def spilling_limit() -> int:
    """Bytes that DuckDB may use before its tables spill, as long as what cannot spill fits into them."""
    return min(current().sql_memory or memory_limit(), memory_limit())
