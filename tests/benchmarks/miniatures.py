"""What miniatures of a suite cost to make: `python -m tests.benchmarks.miniatures`.

Each dataset is made in this process with two numbers of records, in the folder for temporary files. The line
through both gives CPU seconds at `--at` records, the most expensive first. With `--profile DATASET` the
functions that take the most time of one dataset are shown instead.
"""

from __future__ import annotations

import cProfile
import pstats
import tempfile
import time
from pathlib import Path

import click

from vision_flan.miniatures import registry
from vision_flan.spec.catalog import Catalog


def cpu_of(dataset: str, n: int, catalog: Catalog) -> tuple[float, int]:
    """CPU seconds, and bytes on the disk."""
    with tempfile.TemporaryDirectory(prefix="vflan-bench-") as folder:
        begun = time.process_time()
        registry.make(dataset, Path(folder), n, 0, catalog=catalog)
        busy = time.process_time() - begun
        return busy, sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


@click.command()
@click.option("--suite", default="vision_flan", show_default=True)
@click.option("--n", "numbers", nargs=2, type=int, default=(60, 360), show_default=True)
@click.option("--at", default=10_000, show_default=True, help="Records to extrapolate to.")
@click.option("--top", default=20, show_default=True, help="Datasets to show.")
@click.option("--profile", metavar="DATASET", help="Show where the time of one dataset goes.")
def main(suite: str, numbers: tuple[int, int], at: int, top: int, profile: str | None) -> None:
    """Measure and print a table."""
    catalog = Catalog.default()
    few, many = numbers
    if profile:
        with cProfile.Profile() as seen:
            cpu_of(profile, many, catalog)
        pstats.Stats(seen).sort_stats("tottime").print_stats(14)
        return
    costs: dict[str, tuple[float, float]] = {}
    for slug in sorted({catalog.task(task).dataset for task in catalog.suite(suite)}):
        (less, _), (more, size) = (cpu_of(slug, n, catalog) for n in (few, many))
        each = max(more - less, 0) / (many - few)
        costs[slug] = (more + each * (at - many), size * at / many)
    click.echo(f"| dataset | CPU s at {at:,} | ms a record | MB |\n|---|---:|---:|---:|")
    ranked = sorted(costs, key=lambda slug: -costs[slug][0])
    for slug in ranked[:top]:
        cpu, mega = costs[slug]
        click.echo(f"| {slug} | {cpu:.0f} | {cpu / at * 1e3:.2f} | {mega / 1e6:.0f} |")
    for name, some in (("others", ranked[top:]), ("datasets", ranked)):
        cpu, mega = (sum(costs[slug][which] for slug in some) for which in (0, 1))
        click.echo(f"| {len(some)} {name} | {cpu:.0f} | | {mega / 1e6:.0f} |")


if __name__ == "__main__":
    main()
