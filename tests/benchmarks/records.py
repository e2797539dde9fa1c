"""The record pass (no images) at true size. `python -m tests.benchmarks.records [--work DIR]`.

Miniatures. VQAv2: 443,757 questions, 4.4 million answers. Localized Narratives, Open Images: 507,444 JSON
lines. Visual Genome: 1.7 million pairs in 108,077 images. Each has 60 s and 3 GiB on two cores. As ratios:
against reading the same annotation files once, the lower bound; and, in CPU seconds, against JSON documents
whose records become rows of Python objects, the way of records that have not the declared types.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click

from tests.benchmarks.memory import peak_gib

#: dataset -> (task, `n` of its miniature, what upstream has)
PASSES = {
    "vqav2": ("vqa_vqav2", 443_757, "443,757 questions"),
    "localized_narratives": ("caption_localized_narratives_open_images", 507_444, "507,444 lines"),
    "visual_genome": ("vqa_visual_genome", 1_700_000, "1.7 M pairs"),
}
SECONDS, GIBIBYTES = 60, 3


def record_pass(task: str, raw_root: Path, *, by_row: bool = False) -> dict[str, float]:
    """Load the tables, run the SQL, sort, and take the first block; in this process.

    Args:
        by_row: JSON records become rows of Python objects.
    """
    if by_row:
        with patch("vision_flan.readers.json_records._hint_of_record", lambda columns: Any):
            return record_pass(task, raw_root)
    from vision_flan.records.store import RecordStore
    from vision_flan.records.tables import load_records, open_raw, task_sources
    from vision_flan.report import Silent
    from vision_flan.spec.catalog import Catalog

    catalog = Catalog.default()
    spec = catalog.task(task)
    sources = task_sources(spec, catalog)
    raw = open_raw(sources.dataset, catalog, raw_root)
    files = {path for name in sources.readers for path, _ in raw.list(sources.dataset.tables[name]["file"])}
    begun = time.perf_counter()
    for file in files:
        with raw.open(file) as source:
            while source.read(2**20):
                pass
    limit = time.perf_counter() - begun
    begun, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as work, RecordStore(Path(work)) as store:
        candidates = load_records(spec, sources, raw, 0, store, Silent())
        candidates.block(0, 1000)
    peak = peak_gib()
    return {
        "records": candidates.count,
        "seconds": time.perf_counter() - begun,
        "cpu": time.process_time() - cpu,
        "limit": limit,
        "GiB": peak,
        "MB": sum(raw.stat(file).bytes for file in files) / 1e6,
    }


@click.command()
@click.option("--work", type=click.Path(path_type=Path), help="Keep the miniatures here for the next run.")
@click.option("--one", hidden=True, help="Measure one task in this process.")
@click.option("--by-row", is_flag=True, hidden=True, help="With rows of Python objects.")
@click.option("--dataset", "only", multiple=True, type=click.Choice(list(PASSES)), help="Only these.")
@click.option("--scale", default=1.0, show_default=True, help="Share of the true size.")
def main(work: Path | None, one: str | None, by_row: bool, only: tuple[str, ...], scale: float) -> None:
    """Measure and print a table; exit code 1 when a pass is over its limits."""
    with tempfile.TemporaryDirectory() as temporary:
        root = work or Path(temporary)
        if one:
            click.echo(json.dumps(record_pass(one, root, by_row=by_row)))
            return
        failed = False
        click.echo(
            "| | records | MB | seconds | times reading | GiB | CPU | CPU by row |\n|---|" + "---:|" * 7,
        )
        for dataset in only or PASSES:
            task, n, _ = PASSES[dataset]
            raw = make(dataset, root, int(n * scale))
            done, rows = measured(task, raw), measured(task, raw, "--by-row")
            failed |= done["seconds"] > SECONDS or done["GiB"] > GIBIBYTES
            click.echo(
                f"| {task} | {done['records']:,} | {done['MB']:,.0f} | {done['seconds']:.1f} | "
                f"{done['seconds'] / done['limit']:.0f} | {done['GiB']:.2f} | "
                f"{done['cpu']:.1f} | {rows['cpu']:.1f} |"
            )
    sys.exit(failed)


def measured(task: str, raw: Path, *options: str) -> dict[str, float]:
    """What a pass takes in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.records", "--work", str(raw), "--one", task, *options]
    done: dict[str, float] = json.loads(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
    )
    return done


def make(dataset: str, root: Path, n: int) -> Path:
    """A raw root with a miniature without images, unless it is there."""
    from vision_flan.miniatures import registry

    raw = root / f"{dataset}-{n}"
    mark = raw / "complete"
    if not mark.exists():
        click.echo(f"making {dataset}, n = {n:,}", err=True)
        registry.make(dataset, raw, n, seed=0, images=False)
        mark.touch()
    return raw


if __name__ == "__main__":
    main()
