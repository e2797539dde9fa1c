"""How a compile grows faster with more jobs: `python -m tests.benchmarks.scaling --jobs 1,2,4,8,16`.

One task of images as files, like those of `tests.benchmarks.compile`, which also has what each run does. Give
it a folder in memory (`--folder /dev/shm`), or the disk is what limits it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import click

from tests.benchmarks import compile as benchmark


def print_one(root: str, jobs: str) -> None:
    """Measure one run in this process and print the figures."""
    benchmark.RUNS[jobs] = ("os", benchmark.vflan(int(jobs)))
    benchmark.print_one(root, jobs)


_ONE = "import sys; from tests.benchmarks.scaling import print_one; print_one(*sys.argv[1:])"


def table(root: Path, jobs: list[str], rounds: int) -> None:
    """Print the best of some rounds with each number of jobs."""
    images = benchmark.images_of(root)
    size = sum(path.stat().st_size for path in images) / len(images)
    click.echo(f"{len(images):,} images of {size / 1000:.0f} kB, {os.cpu_count()} cores, best of {rounds}")
    click.echo("| jobs | seconds | times as fast | CPU seconds | instances/s |\n|---:|---:|---:|---:|---:|")
    first = 0.0
    for number in jobs:
        done = [benchmark.measured(root, number, _ONE) for _ in range(rounds)]
        best = min((one for one in done if one), key=lambda one: one["seconds"], default=None)
        if best is None:
            click.echo(f"| {number} | failed | | | |")
            continue
        first = first or best["seconds"]
        click.echo(
            f"| {number} | {best['seconds']:.2f} | {first / best['seconds']:.2f} | {best['cpu']:.1f} | "
            f"{len(images) / best['seconds']:,.0f} |"
        )


@click.command()
@click.option("--large", default=40_000, show_default=True, help="JPEGs of 99 kB; 0 for none.")
@click.option("--small", default=80_000, show_default=True, help="PNGs of 2 kB; 0 for none.")
@click.option("--jobs", default="1,2,4,8,16", show_default=True, help="Numbers of jobs.")
@click.option("--rounds", default=2, show_default=True, help="The best of so many runs counts.")
@click.option(
    "--folder", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Where to work."
)
def main(large: int, small: int, jobs: str, rounds: int, folder: Path | None) -> None:
    """Measure and print a table of each kind."""
    for kind, count in (("large", large), ("small", small)):
        if count:
            root = Path(tempfile.mkdtemp(prefix="vflan-bench-", dir=folder))
            try:
                benchmark.write_corpus(root, kind, count)
                table(root, jobs.split(","), rounds)
            finally:
                shutil.rmtree(root)


if __name__ == "__main__":
    main()
