"""`vflan audit`: images and answers of a compiled folder that a person should look at."""

from __future__ import annotations

from pathlib import Path

import click

from vision_flan.cli.options import EXISTING_FOLDER, bits_option, config_option, json_option, page_option
from vision_flan.cli.output import echo, print_json, print_table, reporter, write_page

_SHARE = click.FloatRange(0, 1)


@click.command(
    short_help="Find images and answers that a person should look at.",
    epilog="""\b
Examples:
  vflan audit vision-flan --out audit.html
  vflan audit vision-flan --sample 500 --json
  vflan audit vision-flan --task object_deepweeds --blurry 0.4 --outlier 0""",
)
@click.argument("folder", type=EXISTING_FOLDER)
@config_option
@click.option("--sample", type=click.IntRange(1), help="At most so many instances of a task, evenly over it.")
@click.option(
    "--dark", type=_SHARE, default=0.32, show_default=True, help="Brightness below which an image is dark."
)
@click.option(
    "--bright", type=_SHARE, default=0.05, show_default=True, help="Darkness below which an image is bright."
)
@click.option(
    "--blurry", type=_SHARE, default=0.29, show_default=True, help="Sharpness below which it is blurry."
)
@click.option(
    "--uniform",
    type=_SHARE,
    default=0.3,
    show_default=True,
    help="Information below which it is near-uniform.",
)
@click.option(
    "--odd-aspect",
    type=_SHARE,
    default=0.35,
    show_default=True,
    help="Shorter side by longer, below which it is odd.",
)
@click.option(
    "--odd-size",
    type=click.FloatRange(0),
    default=3.0,
    show_default=True,
    help="Interquartile ranges that a size may lie outside the middle half of its task's.",
)
@bits_option
@click.option(
    "--outlier",
    type=_SHARE,
    default=0.7,
    show_default=True,
    help="An answer is odd if the images nearest to its own have another, and are nearer than this share of "
    "the distance to one with the same. 0 looks for none.",
)
@click.option(
    "--n",
    type=click.IntRange(0),
    default=12,
    show_default=True,
    help="Findings of a kind that are shown, 0 for all.",
)
@page_option
@json_option
def audit(
    folder: Path,
    tasks: tuple[str, ...],
    sample: int | None,
    bits: int,
    outlier: float,
    n: int,
    out: Path | None,
    as_json: bool,
    **limits: float,
) -> None:
    """Find images and answers of a compiled folder that a person should look at.

    Images that are dark, bright, blurry or near-uniform, or of an odd shape or size for their task, by the
    measures and limits of cleanvision (extra review). Answers: one question about the same image, or nearly
    the same, that is answered in two ways; and images that look like those with another answer. The last
    compares colors and their layout only, so it finds swapped labels of simple images and misses most others.
    A finding is to be looked at; it is not yet a mistake.
    """
    from vision_flan.review.audit import Limits, audit_folder
    from vision_flan.review.audit_text import COLUMNS, as_facts, as_page, headline, lines, rows
    from vision_flan.spec.catalog import Catalog

    wanted = Limits(limits, bits, outlier, sample)
    with reporter(quiet=as_json) as report:
        found = audit_folder(folder, Catalog.default(), report, tasks, wanted)
    if out is not None:
        write_page(out, as_page(found, n or None))
    if as_json:
        print_json(as_facts(found))
        return
    echo(headline(found))
    if table := rows(found):
        print_table("By task", COLUMNS, table)
    for line in lines(found, n or None):
        echo(line)
    if out is not None:
        echo(f"wrote {out}")
