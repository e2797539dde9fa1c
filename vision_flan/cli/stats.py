"""`vflan stats`: what a compiled folder holds."""

from __future__ import annotations

from pathlib import Path

import click

from vision_flan.cli.options import EXISTING_PLACE, FOLDER, config_option, json_option, page_option
from vision_flan.cli.output import echo, print_json, print_table, reporter, write_page
from vision_flan.places.place import Place


@click.command(
    epilog="""\b
Examples:
  vflan stats vision-flan
  vflan stats vision-flan --out stats.html --plots plots
  vflan stats vision-flan --task ocr_textocr --json"""
)
@click.argument("folder", type=EXISTING_PLACE)
@config_option
@page_option
@click.option(
    "--plots", type=FOLDER, metavar="DIR", help="Also draw the figures as PNG files; needs the extra report."
)
@json_option
def stats(folder: Place, tasks: tuple[str, ...], out: Path | None, plots: Path | None, as_json: bool) -> None:
    """Count what a compiled folder holds, by category and by task.

    Instances, distinct images, bytes; lengths of prompts and answers in words; different answers and their
    entropy; sizes and formats of images. Tables show medians, --json also smallest, mean and largest. Every
    shard is read once, in little memory.
    """
    from vision_flan.review.stats import facts_of, folder_stats
    from vision_flan.review.stats_page import (
        CATEGORY_COLUMNS,
        TASK_COLUMNS,
        as_page,
        category_row,
        check_plots,
        headline,
        task_row,
        write_plots,
    )
    from vision_flan.spec.catalog import Catalog

    if plots is not None:
        check_plots()
    with reporter(quiet=as_json) as report:
        found = folder_stats(folder, Catalog.default(), report, tasks)
    drawn = write_plots(plots, found) if plots is not None else []
    if out is not None:
        write_page(out, as_page(f"What {folder.name} holds", found))
    if as_json:
        print_json(facts_of(found))
        return
    echo(headline(found))
    print_table("By category", CATEGORY_COLUMNS, [category_row(one) for one in found.categories])
    print_table("By task", TASK_COLUMNS, [task_row(one) for one in found.tasks])
    for reason, count in found.total.unread.items():
        echo(f"images not read, {reason}: {count:,}")
    for path in (*drawn, *([out] if out else [])):
        echo(f"wrote {path}")
