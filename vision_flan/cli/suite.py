"""`vflan suite list`, `vflan suite plan`: the suites, and how many instances each task of one gets."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from vision_flan.cli.options import json_option, memory_option, raw_options
from vision_flan.cli.output import echo, print_json, print_table, reporter
from vision_flan.report import counted, human_bytes

if TYPE_CHECKING:
    from vision_flan.build.cost import SuiteCost
    from vision_flan.build.plan import SuitePlan
    from vision_flan.raw.roots import RawRoots

_COUNT = click.IntRange(min=1)


@click.group()
def suite() -> None:
    """Suites of tasks: list them, plan the instances of each task."""


@suite.command("list", epilog="\b\nExample:\n  vflan suite list")
@json_option
def list_command(as_json: bool) -> None:
    """List the suites: title, tasks, instances available."""
    from vision_flan.review.overview import list_suites
    from vision_flan.spec.catalog import Catalog

    found = list_suites(Catalog.default())
    if as_json:
        print_json(found)
        return
    rows = [
        [row["suite"], f"{row['tasks']:,}", _available(row["available"], row["unknown"]), row["title"]]
        for row in found
    ]
    print_table("Suites", ("suite", "tasks", "available", "title"), rows)


def _available(known: int, unknown: int) -> str:
    return f"{known:,}" + (f" and {unknown} tasks unknown" if unknown else "")


@suite.command(
    "plan",
    short_help="Show the instances of each task of SUITE, and its quota.",
    epilog="""\b
Examples:
  vflan suite plan vision_flan
  vflan suite plan vision_flan --raw ~/raw --json > plan.json
  vflan suite plan vision_flan --raw ~/raw --cost
  vflan suite plan vision_flan --cap 500
  vflan suite plan vision_flan --tasks 10 --per-task 10000 --seed 1
Then: vflan compile --plan plan.json --raw ~/raw""",
)
@click.argument("name", metavar="SUITE")
@raw_options(help="Count the records of tasks whose raw files are here; may be given several times.")
@click.option("--cap", type=_COUNT, help="Maximum instances per task. Default: 10000, the paper's.")
@click.option("--instances", type=_COUNT, help="Instances in total. Default for vision_flan: 1664261.")
@click.option("--tasks", type=_COUNT, help="Only this many tasks, by seed, balanced over categories.")
@click.option("--per-task", type=_COUNT, help="Same as --cap, for use with --tasks.")
@click.option(
    "--seed",
    default=0,
    show_default=True,
    help="Decides which tasks, and which of them get a left-over instance.",
)
@click.option(
    "--cost", "with_cost", is_flag=True,
    help="Also say bytes to read and write, images, and minutes, measured on this machine for five seconds.",
)  # fmt: skip
@click.option(
    "--jobs", "-j", type=click.IntRange(1, 1024),
    help="Datasets whose records are counted at one time. Default: the cores it may use.",
)  # fmt: skip
@memory_option
@json_option
def plan_command(
    name: str,
    raw: RawRoots | None,
    cap: int | None,
    instances: int | None,
    tasks: int | None,
    per_task: int | None,
    seed: int,
    with_cost: bool,
    jobs: int | None,
    as_json: bool,
) -> None:
    """Show for each task of SUITE its available instances, its quota, and why.

    The paper caps a task at 10,000 and has 1,664,261 in total; what is missing to that total is spread
    evenly over the tasks that have more. `--cap 10000` is the strict reading: no task has more, and the total
    is what that gives.
    """
    from vision_flan.build.cores import usable_cores
    from vision_flan.build.cost import cost_of
    from vision_flan.build.plan import PlanOptions, plan_suite
    from vision_flan.records.table_cache import TableCache
    from vision_flan.spec.catalog import Catalog

    if cap is not None and per_task is not None:
        raise click.UsageError("--cap and --per-task are the same; give only one")
    if with_cost and raw is None:
        raise click.UsageError("--cost measures raw files: give --raw DIR or set VFLAN_RAW")
    options, catalog, cost = PlanOptions(cap or per_task, instances, tasks, seed), Catalog.default(), None
    with reporter(quiet=as_json) as report, TemporaryDirectory(prefix="vflan-") as folder:
        kept = TableCache(Path(folder))
        made = plan_suite(name, raw, catalog, options, report, kept, jobs or usable_cores())
        if with_cost and raw is not None:
            cost = cost_of(made, raw, catalog, report, kept)
    if as_json:
        print_json({**made.to_dict(), "cost": cost.to_dict()} if cost else made.to_dict())
        return
    _print_plan(made)
    if cost:
        _print_cost(cost)


def _print_cost(cost: SuiteCost) -> None:
    rows = [
        [
            task.task,
            f"{task.instances:,}",
            f"{task.images:,}",
            human_bytes(task.reads),
            human_bytes(task.writes),
            f"{task.seconds:.1f}",
            task.basis,
        ]
        for task in cost.tasks
    ]
    print_table("Cost", ("task", "instances", "images", "reads", "writes", "seconds", "basis"), rows)
    total, jobs = cost.totals, cost.jobs
    alone, together = total["minutes_in_one_process"], total["minutes"]
    echo(
        f"{total['images']:,} images; {human_bytes(total['bytes_to_read'])} to read, "
        f"{human_bytes(total['bytes_to_write'])} to write; "
        f"{alone:,.1f} minutes in one process, {together:,.1f} with --jobs {jobs}",
        err=True,
    )
    lacking = sum(not task.is_known for task in cost.tasks)
    if lacking:
        echo(f"{counted(lacking, 'task')} without an estimate: see the last column", err=True)


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
    echo(f"{counted(len(made.shares), 'task')}, {made.total:,} instances", err=True)
    echo(made.explained, err=True)
    if made.wanted is not None:
        gap = f"{made.missing:,} are missing: no task has more" if made.missing else "reached exactly"
        echo(f"wanted {made.wanted:,}: {gap}", err=True)
    if over:
        most = max(share.over_cap for share in over)
        above = f"{counted(len(over), 'task')} above the cap of {made.cap:,}"
        echo(f"{above}, by up to {most:,} (level {made.level:,})", err=True)
