"""The cost of compiling, as ratios within one run. `python -m tests.benchmarks.compile [--count N]`.

A is the time to read every image and write its bytes to one file, one process: the limit. Against it: our
compile with one and with two workers, and `datasets.Dataset.from_generator` of the same rows with
`to_parquet`, which is what one would write without this package.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from tests.benchmarks.corpus import jpegs

DATASET = """\
dataset: bench
title: Bench
homepage: https://example.org
license:
  images: {name: none, spdx: null, verdict: "no"}
  annotations: {name: none, spdx: null, verdict: unclear}
citation: "@misc{bench}"
access: direct
files: [{path: images}]
labels: {parity: {"0": even, "1": odd}}
tables:
  images: {reader: files, file: "images/{number}.jpg"}
"""
TASK = """\
id: bench_task
title: Bench
category: General Object
dataset: bench
table: images
key: number
image: path
options: {labels: parity}
target: "{{ (number | last | int % 2) | label('parity') }}"
form: options
limit: null
"""
INSTRUCTION = "Is the number of this image even or odd? Answer with the letter and its option."


def timed(name: str, work: Callable[[], Any]) -> float:
    os.sync()
    begun = time.perf_counter()
    work()
    seconds = time.perf_counter() - begun
    click.echo(f"  {name}: {seconds:.2f} s", err=True)
    return seconds


def copy_bytes(images: list[Path], out: Path) -> None:
    """The limit: read every file, write its bytes."""
    with out.open("wb") as file:
        for image in images:
            with image.open("rb", buffering=0) as source:
                file.write(source.read())


def with_datasets(images: list[Path], out: Path, cache: Path) -> None:
    """The baseline: rows from a generator, then to_parquet."""
    import datasets

    datasets.disable_progress_bars()

    def rows() -> Iterator[dict[str, Any]]:
        for image in images:
            answer = "odd" if int(image.stem[-1]) % 2 else "even"
            yield {
                "id": image.stem,
                "image": {"bytes": image.read_bytes(), "path": image.name},
                "instruction": INSTRUCTION,
                "options": ["even", "odd"],
                "target": answer,
                "prompt": f"{INSTRUCTION}\nOptions:\n(A) even\n(B) odd",
            }

    features = datasets.Features(
        {name: datasets.Value("string") for name in ("id", "instruction", "target", "prompt")}
        | {"image": datasets.Image(), "options": datasets.List(datasets.Value("string"))}
    )
    made = datasets.Dataset.from_generator(rows, features=features, cache_dir=str(cache))
    made.to_parquet(str(out))


def compile_with(root: Path, workers: int, out: Path) -> None:
    from vision_flan.build.compile import Options, compile_task
    from vision_flan.report import Silent
    from vision_flan.spec.catalog import Catalog

    catalog = Catalog(root / "specs", root / "instructions")
    compile_task("bench_task", root / "raw", out, catalog, Options(workers=workers), Silent())


def write_specs(root: Path) -> None:
    (root / "specs/bench").mkdir(parents=True, exist_ok=True)
    (root / "instructions").mkdir(exist_ok=True)
    (root / "specs/bench/dataset.yaml").write_text(DATASET)
    (root / "specs/bench/bench_task.yaml").write_text(TASK)
    (root / "instructions/bench_task.j2").write_text(INSTRUCTION)


@click.command()
@click.option("--count", default=20_000, show_default=True, help="Pictures.")
@click.option("--rounds", default=3, show_default=True, help="The best of so many runs counts.")
def main(count: int, rounds: int) -> None:
    """Measure and print a table of ratios."""
    with tempfile.TemporaryDirectory(prefix="vflan-bench-") as folder:
        root = Path(folder)
        write_specs(root)
        jpegs(root / "raw/bench/images", count)
        images = sorted((root / "raw/bench/images").iterdir())
        size = sum(image.stat().st_size for image in images)
        best: dict[str, float] = {}
        for round_ in range(rounds):
            click.echo(f"round {round_ + 1} of {rounds}", err=True)
            runs: dict[str, Callable[[], None]] = {
                "limit: read and write": lambda: copy_bytes(images, root / "copy"),
                "vflan, 1 worker": lambda: compile_with(root, 1, root / "one"),
                "vflan, 2 workers": lambda: compile_with(root, 2, root / "two"),
                "datasets": lambda: with_datasets(images, root / "peer.parquet", root / "cache"),
            }
            for name, work in runs.items():
                best[name] = min(timed(name, work), best.get(name, 1e9))
                for made in ("copy", "one", "two", "cache", "peer.parquet"):
                    target = root / made
                    shutil.rmtree(target, ignore_errors=True) if target.is_dir() else target.unlink(True)
        limit = best["limit: read and write"]
        click.echo(
            f"{count:,} JPEG of {size / count / 1000:.0f} kB, {os.cpu_count()} cores, best of {rounds}"
        )
        click.echo("| | seconds | times the limit | instances/s | MB/s |\n|---|---:|---:|---:|---:|")
        for name, seconds in best.items():
            click.echo(
                f"| {name} | {seconds:.2f} | {seconds / limit:.1f} | {count / seconds:,.0f} | "
                f"{size / seconds / 1e6:,.0f} |"
            )


if __name__ == "__main__":
    sys.exit(main())
