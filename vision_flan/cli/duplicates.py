"""`vflan duplicates`: images that a compiled folder has twice, or shares with a benchmark."""

from __future__ import annotations

from pathlib import Path

import click

from vision_flan.cli.options import EXISTING_FOLDER, bits_option, config_option, json_option, page_option
from vision_flan.cli.output import echo, print_json, reporter, write_page


@click.command(
    epilog="""\b
Examples:
  vflan duplicates vision-flan
  vflan duplicates vision-flan --against mmbench --against pope --out duplicates.html
  vflan duplicates vision-flan --against mmbench --scope against --drop
  vflan duplicates vision-flan --task ocr_textocr --exact --json"""
)
@click.argument("folder", type=EXISTING_FOLDER)
@click.option(
    "--against",
    type=EXISTING_FOLDER,
    multiple=True,
    metavar="OUT",
    help="Compiled folder to compare with, such as a benchmark's; may be given several times.",
)
@config_option
@click.option("--exact", is_flag=True, help="Compare bytes only; decodes no image.")
@bits_option
@click.option(
    "--n",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    help="Groups that are shown in text and on the page, 0 for all. All are counted; --json has all.",
)
@click.option("--drop", is_flag=True, help="Drop the instances that would go, from this folder and for good.")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(["within", "across", "against"]),
    multiple=True,
    help="Drop only duplicates within a task, across tasks, or with --against; may be given several times.",
)
@click.option(
    "--same",
    type=click.Choice(["image", "question", "answer"]),
    default="answer",
    show_default=True,
    help="What instances within the folder must share for one of them to go: the image; also the question; "
    "also the answer.",
)
@page_option
@json_option
def duplicates(
    folder: Path,
    against: tuple[Path, ...],
    tasks: tuple[str, ...],
    exact: bool,
    bits: int,
    n: int,
    drop: bool,
    scopes: tuple[str, ...],
    same: str,
    out: Path | None,
    as_json: bool,
) -> None:
    """Find the images that a compiled folder has more than once.

    Exact duplicates have the same bytes. Near ones look alike: the same image at another size, in another
    encoding, mirrored, or cut a little at its edges; they need the extra review. Images nearly of one color
    are compared by their bytes only. Found are duplicates within a task, across tasks, and with other
    folders.

    With --drop, one of the instances that are the same stays: of the task with the fewest instances, and in a
    task the first. Instances that share an image with --against all go. Dropped ones are counted in the
    manifest, and listed in OUT/duplicates, so that later compiles leave them out too; remove the list of a
    task, and its next compile makes them again. What is shared with --against is written to
    OUT/overlaps.json, which the card shows.
    """
    from vision_flan.review.duplicates import find_duplicates
    from vision_flan.review.duplicates_drop import Rule, dropped_of
    from vision_flan.review.duplicates_text import as_facts, as_page, as_text, drops_text
    from vision_flan.review.same import Same
    from vision_flan.spec.catalog import Catalog

    rule = Rule(Same(same), scopes or Rule.scopes)
    with reporter(quiet=as_json) as report:
        found = find_duplicates(
            (folder, *against), Catalog.default(), report, tasks, -1 if exact else bits, rule.same
        )
        page = as_page(found, n or None) if out is not None else ""
        going = dropped_of(found, rule, report, drop=drop)
    if out is not None:
        write_page(out, page)
    if as_json:
        print_json({**as_facts(found), "dropped" if drop else "would_drop": going})
    else:
        echo(as_text(found, n or None))
        echo(drops_text(going, dropped=drop))
