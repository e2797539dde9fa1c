"""A trace of some steps, for https://ui.perfetto.dev or chrome://tracing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile, schedule

from vision_flan.train.config import Config

#: Steps before the traced ones: the first compile and allocate.
SKIPPED = 5


@contextmanager
def profiled(config: Config, device: torch.device, *, is_main: bool) -> Iterator[Callable[[], None]]:
    """Traces `log.profile` steps on rank 0 into `<out>/profile/trace.json`; yields what ends a step."""
    if not config.log.profile or not is_main:
        yield lambda: None
        return
    folder = config.folder / "profile"
    folder.mkdir(parents=True, exist_ok=True)
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device.type == "cuda")
    plan = schedule(wait=SKIPPED - 1, warmup=1, active=config.log.profile, repeat=1)
    with profile(
        activities=activities,
        schedule=plan,
        on_trace_ready=lambda tracer: _write(folder, tracer),
        record_shapes=True,
        profile_memory=True,
    ) as tracer:
        yield tracer.step


def _write(folder: Path, tracer: profile) -> None:
    tracer.export_chrome_trace(str(folder / "trace.json"))
    order = "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
    table = tracer.key_averages().table(sort_by=order, row_limit=40)
    (folder / "operations.txt").write_text(table + "\n", encoding="utf-8")
