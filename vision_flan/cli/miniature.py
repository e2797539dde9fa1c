"""`vflan miniature`: a small raw folder to try a task with; `cut` makes one of real files."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vision_flan.cli.options import FOLDER, raw_option, seed_option
from vision_flan.cli.output import common_code, echo, print_error, reporter
from vision_flan.errors import to_type
from vision_flan.report import counted, duration

if TYPE_CHECKING:
    from vision_flan.errors import VflanError
    from vision_flan.miniatures.many import Order
    from vision_flan.raw.roots import RawRoots
    from vision_flan.spec.catalog import Catalog


class _MakesByDefault(click.Group):
    """A group whose first argument may be a dataset: `miniature textocr` is `miniature make textocr`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        known = {*self.commands, *ctx.help_option_names}
        if args and args[0] not in known:
            args = ["make", *args]
        return super().parse_args(ctx, args)


@click.group(
    cls=_MakesByDefault,
    epilog="""\b
Examples:
  vflan miniature textocr --out raw --n 200
  vflan miniature --suite vision_flan --out raw --n 1000
  vflan miniature cut snails --raw ~/raw --n 8""",
)
def miniature() -> None:
    """Small raw folders in upstream's layout and formats.

    `vflan miniature DATASET` is short for `vflan miniature make DATASET`.
    """


@miniature.command(
    epilog="""\b
Examples:
  vflan miniature textocr --out raw --n 200
  vflan miniature --suite vision_flan --out raw --n 1000 --jobs 8"""
)
@click.argument("datasets", nargs=-1, metavar="[DATASET|TASK]...")
@click.option("--suite", help="The datasets of a suite.")
@click.option("--out", type=FOLDER, required=True, help="The raw folder to write it to.")
@click.option("--n", type=click.IntRange(min=1), default=100, show_default=True, help="Number of records.")
@seed_option
@click.option("--archives", is_flag=True, help="Write the archives that upstream ships, not their content.")
@click.option("--images/--no-images", default=True, help="Without images, a million records are quick.")
@click.option(
    "--jobs", type=click.IntRange(min=1), help="Datasets made at one time. Default: the cores it may use."
)
def make(
    datasets: tuple[str, ...],
    suite: str | None,
    out: Path,
    n: int,
    seed: int,
    archives: bool,
    images: bool,
    jobs: int | None,
) -> None:
    """Write miniatures of datasets, with images drawn to match.

    One that was cut from real files always has the same records and archives. Of several datasets, those that
    are there already are left alone, so the same command goes on after a stop.
    """
    from vision_flan.miniatures import registry
    from vision_flan.miniatures.many import Order
    from vision_flan.miniatures.miniature import TRUTH
    from vision_flan.spec.catalog import Catalog
    from vision_flan.spec.names import find_dataset

    catalog = Catalog.default()
    slugs = [find_dataset(catalog, name) for name in datasets]
    slugs += [catalog.task(task).dataset for task in catalog.suite(suite)] if suite is not None else []
    slugs = list(dict.fromkeys(slugs))
    if not slugs:
        raise click.UsageError("give a dataset, a task of it, or --suite; `vflan list` shows them")
    if len(slugs) > 1:
        _make_many([Order(slug, out, n, seed, archives, images) for slug in slugs], catalog, jobs)
        return
    (slug,) = slugs
    made = registry.make(slug, out, n, seed, archives=archives, images=images, catalog=catalog)
    echo(f"{made.folder}: a miniature of {slug}, n = {n}, seed = {seed}")
    if made.tasks:
        echo(f"{out / TRUTH}: the instances to expect, for {', '.join(made.tasks)}")
        command = ("vflan", "compile", "--task", made.tasks[0], "--raw", out, "--out", "vision-flan")
        echo(f"next: {to_type(*command)}")


def _make_many(orders: list[Order], catalog: Catalog, jobs: int | None) -> None:
    from vision_flan.build.cores import usable_cores
    from vision_flan.miniatures.many import make_many

    failed: list[VflanError] = []
    there = records = 0
    began = time.monotonic()
    with reporter() as report:
        report.stage("making miniatures", len(orders))
        for made in make_many(orders, catalog, jobs or usable_cores()):
            report.advance(1)
            if made.error:
                failed.append(made.error)
                print_error(made.error)
            elif made.tasks:
                report.note(f"{made.dataset}: {made.records:,} records in {duration(made.seconds)}")
            else:
                there += 1
            records += made.records
    rate = records / max(time.monotonic() - began, 1e-9)
    echo(f"{counted(len(orders), 'miniature')}, {there} there already; {records:,} records, {rate:,.0f}/s")
    if failed:
        raise SystemExit(common_code(failed))


@miniature.command("cut", epilog="\b\nExample:\n  vflan miniature cut snails --raw ~/raw --n 8")
@click.argument("dataset")
@raw_option
@click.option("--n", type=click.IntRange(1, 100), default=8, show_default=True,
              help="Records of each task; more where labels and oddities need it.")  # fmt: skip
@click.option("--scrub", is_flag=True, help="Replace the words of free text and the names of people.")
def cut_command(dataset: str, raw: RawRoots, n: int, scrub: bool) -> None:
    """Make a dataset's miniature of a few records of its real files.

    Writes tests/miniatures/DATASET: the same layout, formats, encodings and archives, with records that show
    every label and oddity, drawn images, and expected.jsonl: what each record must become, which you read
    once.
    """
    from vision_flan.miniatures.cut import cut
    from vision_flan.spec.catalog import Catalog

    with reporter() as report:
        made = cut(Catalog.default(), dataset, raw, n, scrub=scrub, report=report)
    echo(f"{made.folder}: {len(made.expected)} records, {made.bytes:,} bytes")
    echo(
        f"next: read {made.folder / 'expected.jsonl'}; texts of real files are in it"
        + (", scrubbed" if scrub else "")
    )


@miniature.command(
    "expect",
    short_help="Write down again what a cut miniature becomes.",
    epilog="\b\nExample:\n  vflan miniature expect snails",
)
@click.argument("dataset")
def expect_command(dataset: str) -> None:
    """Write expected.jsonl of a cut miniature again, after its tasks changed.

    Prints the lines that are new or changed, for you to read.
    """
    from vision_flan.miniatures.cut import expect
    from vision_flan.spec.catalog import Catalog

    path, changed = expect(Catalog.default(), dataset)
    for line in changed:
        echo(line)
    echo(f"{path}: {len(changed)} lines are new or changed")
