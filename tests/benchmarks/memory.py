"""The memory that a process takes at most.

`ru_maxrss` of a child begins with the peak of the process that started it: a benchmark that makes its files
and then measures in a process of its own would see the memory of the making. `VmHWM` begins anew.
"""

from __future__ import annotations

import resource
from pathlib import Path


def own_peak() -> int:
    """Bytes of memory that this process has taken at most."""
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "VmHWM":
            return int(value.split()[0]) << 10
    raise OSError("the kernel does not say VmHWM")


def peak_gib() -> float:
    """GiB of the largest process among this one and its children that ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10
    return max(own_peak(), children) / 2**30
