"""`vflan licenses`: what may be done with a task, and where that was read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vision_flan.cli.options import json_option
from vision_flan.cli.output import echo, print_json, print_table

if TYPE_CHECKING:
    from vision_flan.review.licenses import EvidenceFacts, HalfFacts, LicenseFacts


@click.command(
    short_help="Show what may be done with tasks, and where that is said.",
    epilog="""\b
Examples:
  vflan licenses ocr_textocr
  vflan licenses --suite vision_flan
  vflan licenses --json""",
)
@click.argument("name", required=False, metavar="[TASK|DATASET]")
@click.option("--suite", help="Tasks of a suite; `vflan suite list` shows the suites.")
@json_option
def licenses(name: str | None, suite: str | None, as_json: bool) -> None:
    """Show what may be done with tasks: verdicts, evidence, limits of use.

    One task or dataset is explained in full; without one, all tasks are listed. No legal advice.
    """
    from vision_flan.review.licenses import license_facts
    from vision_flan.spec.catalog import Catalog
    from vision_flan.spec.names import is_dataset, tasks_of

    catalog = Catalog.default()
    if name is not None and suite is not None:
        raise click.UsageError("give a task or --suite, not both")
    if name is not None:
        tasks = tasks_of(catalog, name) if is_dataset(catalog, name) else [catalog.resolve(name)]
    else:
        tasks = list(catalog.task_files if suite is None else catalog.suite(suite))
    found = license_facts(catalog, tasks)
    if as_json:
        print_json(found)
    elif name is not None:
        echo("\n\n".join(_explained(facts) for facts in found))
    else:
        columns = ("task", "images", "annotations", "train", "license of the images")
        rows = [
            [
                f["task"],
                f["images"]["verdict"],
                f["annotations"]["verdict"],
                f["train"],
                f["images"]["license"],
            ]
            for f in found
        ]
        print_table(f"{len(found)} tasks", columns, rows)


def _explained(facts: LicenseFacts) -> str:
    lines = [
        f"{facts['task']}: {facts['title']} ({facts['dataset']}), {facts['homepage']}",
        *_half("images", facts["images"]),
        *_half("annotations", facts["annotations"]),
        *([f"  note         {facts['note']}"] if facts["note"] else []),
        f"  published    {facts['published']}",
    ]
    if facts["train"] != "allowed":
        lines.append(f"  training     {facts['train']}: {facts['train_reason']}")
        lines += _evidence(facts["train_evidence"])
    if facts["withdrawn"]:
        lines.append(f"  gone         {facts['withdrawn']}")
        lines += _evidence(facts["withdrawn_evidence"])
    if facts["sensitive"]:
        lines.append(f"  sensitive    {', '.join(facts['sensitive'])}")
    if facts["made_from"]:
        lines.append(f"  made from    {', '.join(facts['made_from'])}")
    return "\n".join(lines)


def _half(name: str, half: HalfFacts) -> list[str]:
    lender = f", as {half['lender']} says" if half["lender"] else ""
    return [f"  {name:<12} {half['verdict']}{lender}: {half['license']}", *_evidence(half["evidence"])]


def _evidence(evidence: list[EvidenceFacts]) -> list[str]:
    lines = []
    for entry in evidence:
        quote = ": no license stated" if entry["states_none"] else ""
        quote = f": “{entry['quote']}”" if entry["quote"] else quote
        copy = f", a copy of {entry['copy_of']}" if entry["copy_of"] else ""
        lines.append(f"               {entry['url']}{copy}, seen {entry['seen']}{quote}")
    return lines
