"""`vflan suite plan`: how many instances of each task."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vision_flan.cli.output import print_json, print_table, reporter

if TYPE_CHECKING:
    from vision_flan.build.plan import SuitePlan

_COUNT = click.IntRange(min=1)


@click.group()
def suite() -> None:
    """Suites of tasks: who gets how many instances."""


@suite.command(
    "plan",
    epilog="""\b
Examples:
  vflan suite plan vision_flan
  vflan suite plan vision_flan --raw ~/raw --json > plan.json
  vflan suite plan vision_flan --cap 500
  vflan suite plan vision_flan --tasks 10 --per-task 10000 --seed 1
Then: vflan compile --plan plan.json --raw ~/raw""",
)
@click.argument("name", metavar="SUITE")
@click.option(
    "--raw",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Count the records of tasks whose raw files are here.",
)
@click.option("--cap", type=_COUNT, help="What a task gets that has it. Default: 10000, the paper's.")
@click.option("--instances", type=_COUNT, help="Instances in all. Default for vision_flan: 1664261.")
@click.option("--tasks", type=_COUNT, help="Only this many tasks, by seed, balanced over categories.")
@click.option("--per-task", type=_COUNT, help="The same as --cap, for use with --tasks.")
@click.option("--seed", default=0, show_default=True, help="Which tasks, and who gets an odd instance.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON, for compile --plan.")
def plan_command(
    name: str,
    raw: Path | None,
    cap: int | None,
    instances: int | None,
    tasks: int | None,
    per_task: int | None,
    seed: int,
    as_json: bool,
) -> None:
    """Show for each task of SUITE what there is, what it gets, and why.

    The paper caps a task at 10,000 and has 1,664,261 in all; what the cap leaves missing is spread evenly
    over the tasks that have more.
    """
    from vision_flan.build.plan import PlanOptions, plan_suite
    from vision_flan.spec.catalog import Catalog

    if cap is not None and per_task is not None:
        raise click.UsageError("--cap and --per-task are the same; give one of them")
    options = PlanOptions(cap or per_task, instances, tasks, seed)
    with reporter(quiet=as_json) as report:
        made = plan_suite(name, raw, Catalog.default(), options, report)
    if as_json:
        print_json(made.to_dict())
    else:
        _print_plan(made)


def _print_plan(made: SuitePlan) -> None:
    rows = [
        [
            share.task,
            share.category,
            "" if share.declared is None else f"{share.declared:,}",
            "" if share.counted is None else f"{share.counted:,}",
            f"{share.quota:,}",
            f"{share.over_cap:,}" if share.over_cap else "",
            share.reason,
        ]
        for share in made.shares
    ]
    print_table(
        f"Plan of {made.suite}",
        ("task", "category", "declared", "counted", "quota", "over the cap", "why"),
        rows,
    )
    over = [share for share in made.shares if share.over_cap]
    click.echo(f"{len(made.shares)} tasks, {made.total:,} instances", err=True)
    if made.wanted is not None:
        gap = f"{made.missing:,} are missing: no task has more" if made.missing else "reached exactly"
        click.echo(f"wanted {made.wanted:,}: {gap}", err=True)
    if over:
        most = max(share.over_cap for share in over)
        click.echo(
            f"{len(over)} tasks exceed the cap of {made.cap:,}, by up to {most:,} (level {made.level:,})",
            err=True,
        )
