"""Where the time of a compile goes: `python -m tests.benchmarks.steps`, microseconds of CPU time an image.

One process without a second thread, files in the folder for temporary files. The functions below are timed
while they run, without what others of them take that they call. The timers cost a few percent themselves.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click

from tests.benchmarks.compile import vflan, write_corpus
from vision_flan.build import schedule
from vision_flan.dataset import hashed_file, shards
from vision_flan.dataset.behind import Behind
from vision_flan.dataset.contents import Contents
from vision_flan.instances import maker
from vision_flan.readers.image_refs import ImageStore
from vision_flan.records.candidates import Candidates

#: Step -> the functions that do it, as owner and name.
STEPS: dict[str, list[tuple[Any, str]]] = {
    "read, with size and time": [(ImageStore, "read_stamped")],
    "header check": [(maker, "check_image")],
    "text and the row itself": [(maker.InstanceMaker, "_render"), (maker.InstanceMaker, "_instances")],
    "rows from DuckDB to Python": [(Candidates, "table")],
    "Arrow": [(shards, "record_batch")],
    "distinct images, tokens": [(Contents, "add")],
    "Parquet and kernel write": [(shards._Shard, "write"), (shards._Shard, "close")],
    "SHA-256": [(hashed_file.HashedFile, "_hash")],
    "size and time looked up again": [(schedule.Schedule, "first_change")],
    "blocks, stamps, progress": [(schedule.Schedule, "run")],
}


class Clock:
    """CPU seconds of steps, each without those that it calls."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = dict.fromkeys(STEPS, 0.0)
        self._inner = [0.0]

    def timed(self, step: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, whose time counts for a step."""

        def measured(*arguments: Any, **named: Any) -> Any:
            self._inner.append(0.0)
            begun = time.thread_time()
            try:
                return work(*arguments, **named)
            finally:
                took = time.thread_time() - begun
                self.seconds[step] += took - self._inner.pop()
                self._inner[-1] += took

        return measured


@contextmanager
def measuring(clock: Clock) -> Iterator[None]:
    """Times the steps, without a second thread."""
    with ExitStack() as stack:
        stack.enter_context(patch.object(shards, "Behind", lambda apart: Behind(apart=False)))
        for step, functions in STEPS.items():
            for owner, name in functions:
                stack.enter_context(patch.object(owner, name, clock.timed(step, getattr(owner, name))))
        yield


@click.command()
@click.option("--large", default=2_000, show_default=True, help="JPEGs of 99 kB.")
@click.option("--small", default=10_000, show_default=True, help="PNGs of 2 kB.")
def main(large: int, small: int) -> None:
    """Measure and print a table."""
    found: dict[str, dict[str, float]] = {}
    for kind, count in (("large", large), ("small", small)):
        with tempfile.TemporaryDirectory(prefix="vflan-bench-") as folder:
            root, clock = Path(folder), Clock()
            write_corpus(root, kind, count)
            vflan(1)(root, root / "warm")
            begun = time.process_time()
            with measuring(clock):
                vflan(1)(root, root / "out")
            whole = time.process_time() - begun
            clock.seconds["before and after"] = whole - sum(clock.seconds.values())
            found[kind] = {step: seconds / count * 1e6 for step, seconds in clock.seconds.items()}
    click.echo("| | 99 kB | 2 kB |\n|---|---:|---:|")
    for step in (*STEPS, "before and after"):
        click.echo(f"| {step} | {found['large'][step]:.0f} | {found['small'][step]:.0f} |")
    click.echo(f"| sum | {sum(found['large'].values()):.0f} | {sum(found['small'].values()):.0f} |")


if __name__ == "__main__":
    main()
