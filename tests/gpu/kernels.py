"""Where a traced step's time goes on the GPU: kernels by kind, the longest ones, and when none ran."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

#: Kind of a kernel by its name; the first that fits.
KINDS = (
    ("attention", r"flex|flash|fmha|attention"),
    ("matrix products", r"gemm|nvjet|cutlass|cublas|xmma"),
    ("between ranks", r"nccl"),
    ("optimizer and clipping", r"multi_tensor|foreach|adam|lpnorm"),
    ("copies and conversions", r"memcpy|memset|copy|chunk_cat|split_with_sizes|cat"),
    ("fused by the compiler", r"triton"),
)


def kind_of(name: str) -> str:
    """Kind of a kernel."""
    return next((kind for kind, pattern in KINDS if re.search(pattern, name.lower())), "other")


def gaps(spans: Iterable[tuple[float, float, str]]) -> list[tuple[float, str, str]]:
    """When no kernel ran: how long, after which, before which; longest first."""
    found, until, last = [], None, ""
    for start, end, name in sorted(spans):
        if until is not None and start > until:
            found.append((start - until, last, name))
        if until is None or end > until:
            until, last = end, name
    return sorted(found, reverse=True)


def traced(work: Callable[[], None], steps: int, folder: Path) -> list[str]:
    """Lines on `work`, which does `steps` steps; the trace is left in `folder`.

    Times are of one step, in milliseconds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        work()
        torch.cuda.synchronize()
    path = folder / "trace.json"
    profiler.export_chrome_trace(str(path))
    events = json.loads(path.read_bytes())["traceEvents"]
    return summary(
        [
            (event["ts"], event["ts"] + event["dur"], event["name"])
            for event in events
            if event.get("cat") in ("kernel", "gpu_memcpy", "gpu_memset")
        ],
        steps,
    )


def summary(spans: list[tuple[float, float, str]], steps: int, longest: int = 25) -> list[str]:
    """Lines on the kernels of some steps; spans are start, end (microseconds) and name."""
    by_kind: dict[str, float] = defaultdict(float)
    by_name: dict[str, list[float]] = defaultdict(list)
    for start, end, name in spans:
        by_kind[kind_of(name)] += end - start
        by_name[name].append(end - start)
    idle = gaps(spans)
    whole = max(end for _, end, _ in spans) - min(start for start, _, _ in spans)
    unit = 1000 * steps
    lines = [f"step {whole / unit:.1f} ms, no kernel in {sum(gap for gap, _, _ in idle) / unit:.1f} ms"]
    lines += [f"{time / unit:9.2f}  {kind}" for kind, time in sorted(by_kind.items(), key=lambda i: -i[1])]
    lines.append("longest kernels: ms, times, name")
    order = sorted(by_name.items(), key=lambda item: -sum(item[1]))[:longest]
    lines += [f"{sum(times) / unit:9.2f} {len(times) / steps:6.0f}  {name[:110]}" for name, times in order]
    lines.append("longest times without a kernel: ms, after, before")
    lines += [f"{gap / 1000:9.2f}  {after[:50]} | {before[:50]}" for gap, after, before in idle[:8]]
    return lines
