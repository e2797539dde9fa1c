"""`vflan list`, `vflan show`: what is known of tasks and datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vision_flan.cli.options import json_option, raw_options, seed_option
from vision_flan.cli.output import echo, print_json, print_table
from vision_flan.report import counted

if TYPE_CHECKING:
    from vision_flan.raw.roots import RawRoots
    from vision_flan.review.overview import DatasetDetails, Source, TaskDetails


@click.command(
    "list",
    short_help="List tasks: category, dataset, license, instances, title.",
    epilog="""\b
Examples:
  vflan list --suite vision_flan --category OCR
  vflan list --present ~/raw
  vflan list --license CC-BY-4.0 --json""",
)
@click.option("--category", help="One of the 25 categories, or of those of your own root.")
@click.option("--dataset", help="Slug of a dataset.")
@click.option("--suite", help="Tasks of a suite; `vflan suite list` shows the suites.")
@click.option("--license", "license", help="SPDX id, or a piece of the license's name.")
@raw_options(
    "--present",
    help="Tasks whose annotation files are in this raw folder; several are allowed.",
    metavar="RAW",
)
@json_option
def list_tasks(
    category: str | None,
    dataset: str | None,
    suite: str | None,
    license: str | None,
    present: RawRoots | None,
    as_json: bool,
) -> None:
    """List tasks: category, dataset, license, available instances, suites."""
    from vision_flan.review.overview import Filters
    from vision_flan.review.overview import list_tasks as find
    from vision_flan.spec.catalog import Catalog

    found, why_none = find(Catalog.default(), Filters(category, dataset, suite, license, present))
    if as_json:
        print_json(found)
    else:
        columns = ("task", "category", "dataset", "license", "available", "suites")
        rows = [
            [
                row["task"],
                row["category"],
                row["dataset"],
                row["license"],
                _count(row["available"]),
                ", ".join(row["suites"]),
            ]
            for row in found
        ]
        print_table(counted(len(found), "task"), columns, rows)
    if why_none:
        echo(why_none, err=True)


def _count(value: int | None, unknown: str = "") -> str:
    return unknown if value is None else f"{value:,}"


@click.command(
    short_help="Show a task with an example, or a dataset with its tasks.",
    epilog="""\b
Examples:
  vflan show ocr_textocr
  vflan show textocr
  vflan show "AID+aerial_scene_classification" --raw ~/raw --json""",
)
@click.argument("name", metavar="TASK|DATASET")
@raw_options(
    help="Take the example from raw files, and count; may be given several times. Default: from a miniature."
)
@seed_option
@json_option
def show(name: str, raw: RawRoots | None, seed: int, as_json: bool) -> None:
    """Show one task in full, with an example; or a dataset with its tasks.

    A task: source, license, instruction, available instances, and an instance rendered now.
    """
    from vision_flan.review.overview import dataset_details, task_details
    from vision_flan.spec.catalog import Catalog
    from vision_flan.spec.names import is_dataset

    catalog = Catalog.default()
    if is_dataset(catalog, name):
        dataset = dataset_details(catalog, name)
        print_json(dataset) if as_json else _print_dataset(dataset)
        return
    task = task_details(catalog, name, raw, seed)
    print_json(task) if as_json else _print_task(task)


def _print_task(task: TaskDetails) -> None:
    records = f"  records      {task['records']:,} counted" if task["records"] is not None else ""
    lines = [
        f"{task['task']}: {task['title']}",
        f"  category     {task['category']}",
        f"  suites       {', '.join(task['suites']) or 'none'}",
        f"  alias        {task['alias'] or 'none'}",
        _source_line(task["source"], task["dataset"]),
        *_license_lines(task),
        f"  available    {_count(task['available'], 'unknown')} (confidence: {task['confidence']}), "
        f"quota {_count(task['limit'], 'all')}",
        *([records] if records else []),
        f"  form         {task['form']}",
        f"  spec         {task['spec']}",
        "",
        "Instruction",
        _indented(task["instruction"]),
        "",
        f"Example ({task['example_from']})",
    ]
    example = task["example"]
    if example:
        lines += [_indented(example["prompt"]), "", f"  -> {example['target']}"]
    echo("\n".join(line.rstrip() for line in lines))


def _print_dataset(dataset: DatasetDetails) -> None:
    lines = [
        f"{dataset['dataset']}: {dataset['source']['title']}",
        _source_line(dataset["source"], dataset["dataset"]),
        *_license_lines(dataset),
        f"  spec         {dataset['spec']}",
        "",
        "Tasks",
        *(f"  {task['task']}: {task['title']}" for task in dataset["tasks"]),
    ]
    echo("\n".join(line.rstrip() for line in lines))
    if dataset["tasks"]:
        echo(f"next: vflan show {dataset['tasks'][0]['task']}, or vflan fetch {dataset['dataset']} --dry-run")


def _source_line(source: Source, dataset: str) -> str:
    return f"  source       {source['title']} ({dataset}), {source['homepage']}"


def _license_lines(facts: TaskDetails | DatasetDetails) -> list[str]:
    lines = [f"  license      {facts['license']}; images may be passed on: {facts['images_verdict']}"]
    if facts["license_note"]:
        lines.append(f"               {facts['license_note']}")
    return [*lines, f"  access       {facts['access']} {facts['how_to_get']}"]


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
