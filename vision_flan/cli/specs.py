"""`vflan new`, `validate`: writing and checking specs."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path

import click

from vision_flan.cli.output import echo, print_json, reporter
from vision_flan.errors import ExitCode
from vision_flan.limits import CHECKING, use


class Format(StrEnum):
    """How `vflan validate` prints its findings."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"


@click.command(
    epilog="""\b
Examples:
  vflan validate ocr_textocr
  vflan validate --all
  vflan validate --changed main --format github"""
)
@click.argument("tasks", nargs=-1, metavar="[TASK]...")
@click.option("--all", "everything", is_flag=True, help="Every spec, and how they fit together.")
@click.option("--changed", metavar="REF", help="Tasks whose files differ from a git revision.")
@click.option(
    "--rendered/--not-rendered",
    default=None,
    help="Also render instances from miniatures and check them. Default: with --all.",
)
@click.option(
    "--format",
    "shape",
    type=click.Choice([shape.value for shape in Format]),
    default=Format.TEXT.value,
    show_default=True,
    help="github: annotations that a pull request shows beside the line.",
)
@click.option("--json", "as_json", is_flag=True, help="Same as --format json.")
@click.option("--fix", is_flag=True, help="First write the specs in the one layout; data never change.")
def validate(
    tasks: tuple[str, ...],
    everything: bool,
    changed: str | None,
    rendered: bool | None,
    fix: bool,
    shape: str,
    as_json: bool,
) -> None:
    """Check specs and show all findings at once.

    Schema, SQL, templates, labels, licenses, and how specs fit together; `docs/spec.md` explains each rule.
    Exit code 1 means errors; warnings alone leave 0.
    """
    from vision_flan.review.changed import changed_tasks, relative_to
    from vision_flan.review.layout import rewrite
    from vision_flan.review.validate import validate as check
    from vision_flan.spec.catalog import Catalog
    from vision_flan.spec.findings import as_annotations, as_text

    use(CHECKING)
    if sum((bool(tasks), everything, changed is not None)) != 1:
        raise click.UsageError("give tasks, or --all, or --changed REF")
    chosen_format = Format.JSON if as_json else Format(shape)
    catalog = Catalog.default()
    chosen = changed_tasks(catalog, changed) if changed is not None else list(tasks)
    if fix:
        for path in rewrite(catalog.files(None if everything else chosen)):
            echo(f"fixed: {path}", err=True)
        catalog = Catalog.default()
    with reporter(quiet=chosen_format is Format.JSON) as report:
        checked = check(
            catalog,
            None if everything else chosen,
            rendered=everything if rendered is None else rendered,
            report=report,
        )
    findings = relative_to(checked.findings, Path.cwd())
    counts = {
        "tasks": len(checked.tasks),
        "datasets": len(checked.datasets),
        "errors": checked.errors,
        "warnings": checked.warnings,
    }
    median = checked.median_words if everything else None
    if chosen_format is Format.JSON:
        about = {"median_instruction_words": median} if everything else {}
        print_json({**counts, **about, "findings": [asdict(found) for found in findings]})
    elif chosen_format is Format.GITHUB:
        echo(as_annotations(findings))
    else:
        lines = [as_text(findings), ", ".join(f"{name}: {count}" for name, count in counts.items())]
        if median is not None:
            lines.append(f"median instruction: {median:g} words")
        echo("\n".join(line for line in lines if line))
    if checked.errors:
        raise SystemExit(ExitCode.FAILED)
