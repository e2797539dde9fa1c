"""`vflan preview`: a page that shows the instances of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vision_flan.cli.options import EXISTING_FOLDER, FILE, raw_options, seed_option
from vision_flan.cli.output import echo, reporter, write_page
from vision_flan.errors import ExitCode
from vision_flan.limits import CHECKING, use
from vision_flan.report import human_bytes

if TYPE_CHECKING:
    from vision_flan.raw.roots import RawRoots
    from vision_flan.review.preview import Page


@click.command(
    epilog="""\b
Examples:
  vflan preview ocr_textocr
  vflan preview ocr_textocr --raw ~/raw --n 30 --out textocr.html
  vflan preview --changed main
  vflan preview --suite vision_flan --dataset vision-flan --out suite.html
  vflan preview ocr_textocr --serve"""
)
@click.argument("tasks", nargs=-1, metavar="[TASK]...")
@click.option("--suite", help="All tasks of a suite.")
@click.option("--changed", metavar="REF", help="Tasks whose files differ from a git revision.")
@raw_options(help="Take the records from raw files; may be given several times. Default: new miniatures.")
@click.option(
    "--dataset", type=EXISTING_FOLDER, metavar="OUT", help="Take the instances of a compiled folder."
)
@click.option(
    "--n",
    type=click.IntRange(1, 200),
    help="Instances of a task. Default: 12; 6 where the page shows more than three tasks.",
)
@click.option(
    "--out",
    type=FILE,
    default="preview.html",
    show_default=True,
    help="The page: one file that opens without a network.",
)
@click.option("--serve", is_flag=True, help="Serve the page here; it is made again when a spec is saved.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free port."
)
@seed_option
def preview(
    tasks: tuple[str, ...],
    suite: str | None,
    changed: str | None,
    raw: RawRoots | None,
    dataset: Path | None,
    n: int | None,
    out: Path,
    serve: bool,
    port: int,
    seed: int,
) -> None:
    """Write a page that shows instances of tasks.

    Image, prompt and target of a few instances of each task, drawn over its targets; counts, dropped
    records, spec and instruction; with search and filters. One HTML file for a reviewer to read.
    """
    from vision_flan.review.preview import Source, Wanted, make_page
    from vision_flan.review.serve import serve_page
    from vision_flan.spec.catalog import Catalog

    _check_usage(tasks, suite, changed, raw, dataset)
    wanted = Wanted(tasks, suite, changed, Source(raw, dataset), n, seed)
    if raw is None and dataset is None and not serve:
        use(CHECKING)
    if serve:
        serve_page(wanted, port, lambda text: echo(text, err=True))
        return
    with reporter() as report:
        page = make_page(wanted, Catalog.default(), report)
    if len(page.tasks) == 1 and page.tasks[0].error:
        raise page.tasks[0].error
    write_page(out, page.html)
    _print_summary(page, out)


def _check_usage(
    tasks: Sequence[str],
    suite: str | None,
    changed: str | None,
    raw: RawRoots | None,
    dataset: Path | None,
) -> None:
    given = sum((bool(tasks), suite is not None, changed is not None))
    if given > 1 or not (given or dataset):
        raise click.UsageError("give tasks, or --suite, or --changed, or --dataset")
    if raw is not None and dataset is not None:
        raise click.UsageError("give --raw or --dataset, not both")


def _print_summary(page: Page, out: Path) -> None:
    instances = sum(len(task.instances) for task in page.tasks)
    what = "" if len(page.tasks) == 1 else f"{len(page.tasks)} tasks, "
    echo(f"{out}: {what}{instances} instances, {human_bytes(out.stat().st_size)}")
    for task in page.failed:
        echo(f"not shown: {task.task}: {task.error}", err=True)
    if page.failed:
        raise SystemExit(ExitCode.FAILED)
