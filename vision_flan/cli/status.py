"""`vflan status`: what is there of a suite, and the next step of every task."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from vision_flan.cli.options import json_option, out_option, raw_option
from vision_flan.cli.output import echo, print_json, print_table, reporter
from vision_flan.places.place import Place
from vision_flan.report import counted

if TYPE_CHECKING:
    from vision_flan.raw.roots import RawRoots


@click.command(
    short_help="Show what is there of each task, and its next step.",
    epilog="""\b
Examples:
  vflan status --raw ~/raw --out vision-flan
  vflan status --suite evaluation --raw ~/raw --json
  vflan status --task ocr_textocr""",
)
@raw_option
@out_option
@click.option("--suite", help="Tasks of a suite. Default: vision_flan.")
@click.option("--task", "tasks", multiple=True, metavar="TASK", help="Task id or published name.")
@json_option
def status(raw: RawRoots, out: Place, suite: str | None, tasks: tuple[str, ...], as_json: bool) -> None:
    """Show for each task whether its raw files are there, whether it is built, and the next step.

    A built config is compared with its raw files and its spec as `vflan compile` does it; nothing is written.
    """
    from vision_flan.build.plan import PAPER_SUITE
    from vision_flan.build.status import suite_status
    from vision_flan.spec.catalog import Catalog

    catalog = Catalog.default()
    names = [catalog.resolve(task) for task in tasks]
    if suite is not None or not tasks:
        names += catalog.suite(suite or PAPER_SUITE)
    with reporter(quiet=as_json) as report:
        found = list(suite_status(list(dict.fromkeys(names)), raw, out, catalog, report))
    if as_json:
        print_json([asdict(one) for one in found])
        return
    rows = [
        [
            one.task,
            f"{one.raw} ({one.raw_note})" if one.raw_note else one.raw,
            f"{one.build} ({one.build_note})" if one.build_note else one.build,
            "" if one.instances is None else f"{one.instances:,}",
            one.next,
        ]
        for one in found
    ]
    print_table(counted(len(found), "task"), ("task", "raw files", "config", "instances", "next step"), rows)
    raws, builds = Counter(str(one.raw) for one in found), Counter(str(one.build) for one in found)
    total = sum(one.instances or 0 for one in found)
    echo(f"raw files: {_counts(raws)}; configs: {_counts(builds)}; {total:,} instances", err=True)


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())
