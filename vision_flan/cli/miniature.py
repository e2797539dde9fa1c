"""`vflan miniature`: a small raw tree to try a task with, without the data."""

from __future__ import annotations

from pathlib import Path

import click

from vision_flan.miniatures import registry
from vision_flan.miniatures.miniature import TRUTH


@click.command()
@click.argument("dataset")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Stands for --raw."
)
@click.option("--n", type=click.IntRange(min=1), default=100, show_default=True, help="How many records.")
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Another seed, other images and words."
)
@click.option("--archives", is_flag=True, help="Ship the archives that upstream ships, not their content.")
@click.option("--pictures/--no-pictures", default=True, help="Without images, a million records are quick.")
def miniature(dataset: str, out: Path, n: int, seed: int, archives: bool, images: bool) -> None:
    """Write a miniature of DATASET: upstream's layout and formats, with images drawn to match.

    Example: vflan miniature textocr --out raw --n 200
    """
    made = registry.make(dataset, out, n, seed, archives=archives, images=images)
    click.echo(f"{made.folder}: a miniature of {dataset}, n = {n}, seed = {seed}")
    if made.tasks:
        click.echo(f"{out / TRUTH}: what must become of it, for {', '.join(made.tasks)}")
        click.echo(f"next: vflan compile --task {made.tasks[0]} --raw {out} --out vision-flan")
