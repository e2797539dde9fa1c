"""`vflan miniature`: a small raw tree to try a task with, without the data."""

from __future__ import annotations

from pathlib import Path

import click

from vision_flan.cli.options import FOLDER, seed_option
from vision_flan.cli.output import echo


@click.command(epilog="\b\nExample:\n  vflan miniature textocr --out raw --n 200")
@click.argument("dataset", metavar="DATASET|TASK")
@click.option("--out", type=FOLDER, required=True, help="The raw folder to write it to.")
@click.option("--n", type=click.IntRange(min=1), default=100, show_default=True, help="Number of records.")
@seed_option
@click.option("--archives", is_flag=True, help="Write the archives that upstream ships, not their content.")
@click.option("--images/--no-images", default=True, help="Without images, a million records are quick.")
def miniature(dataset: str, out: Path, n: int, seed: int, archives: bool, images: bool) -> None:
    """Write a miniature of a dataset: upstream's layout and formats, with images drawn to match."""
    from vision_flan.miniatures import registry
    from vision_flan.miniatures.miniature import TRUTH
    from vision_flan.spec.catalog import Catalog
    from vision_flan.spec.names import find_dataset

    slug = find_dataset(Catalog.default(), dataset)
    made = registry.make(slug, out, n, seed, archives=archives, images=images)
    echo(f"{made.folder}: a miniature of {slug}, n = {n}, seed = {seed}")
    if made.tasks:
        echo(f"{out / TRUTH}: the instances to expect, for {', '.join(made.tasks)}")
        echo(f"next: vflan compile --task {made.tasks[0]} --raw {out} --out vision-flan")
