"""`vflan validate`, `vflan check`: rules over specs, and over a change of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vision_flan.cli.options import FILE, Command
from vision_flan.cli.output import echo, echo_commands, print_json, reporter, write_page
from vision_flan.errors import ExitCode
from vision_flan.limits import CHECKING, use
from vision_flan.report import counted

if TYPE_CHECKING:
    from vision_flan.spec.findings import Finding


class Format(StrEnum):
    """How `vflan validate` prints its findings."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"


def _format_options(command: Command) -> Command:
    """`--format` and `--json` of commands that print findings."""
    shape = click.option(
        "--format",
        "shape",
        type=click.Choice([shape.value for shape in Format]),
        default=Format.TEXT.value,
        show_default=True,
        help="github: annotations that a pull request shows beside the line.",
    )
    as_json = click.option("--json", "as_json", is_flag=True, help="Same as --format json.")
    return shape(as_json(command))


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
@_format_options
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
    from vision_flan.review.changed import changed_tasks
    from vision_flan.review.layout import rewrite
    from vision_flan.review.validate import validate as check_specs
    from vision_flan.spec.catalog import Catalog

    use(CHECKING)
    if sum((bool(tasks), everything, changed is not None)) != 1:
        raise click.UsageError("give tasks, or --all, or --changed REF")
    form = Format.JSON if as_json else Format(shape)
    catalog = Catalog.default()
    chosen = changed_tasks(catalog, changed) if changed is not None else list(tasks)
    if fix:
        for path in rewrite(catalog.files(None if everything else chosen)):
            echo(f"fixed: {path}", err=True)
        catalog = Catalog.default()
    with reporter(quiet=form is Format.JSON) as report:
        checked = check_specs(
            catalog,
            None if everything else chosen,
            rendered=everything if rendered is None else rendered,
            report=report,
        )
    counts = {"tasks": len(checked.tasks), "datasets": len(checked.datasets)}
    counts |= {"errors": checked.errors, "warnings": checked.warnings}
    median = {"median_instruction_words": checked.median_words} if everything else {}
    lines = [f"median instruction: {words:g} words" for words in median.values() if words is not None]
    _print_findings(form, checked.findings, {**counts, **median}, [_counted(counts), *lines])


@click.command(
    epilog="""\b
Examples:
  vflan check --since main
  vflan check --since main --page diff.html
  vflan check --since origin/main --format github"""
)
@click.option(
    "--since",
    "ref",
    metavar="REF",
    default="main",
    show_default=True,
    help="What the change will be merged into.",
)
@click.option(
    "--page", type=FILE, help="Also write what the change does to instances: the page of `vflan diff`."
)
@_format_options
def check(ref: str, page: Path | None, shape: str, as_json: bool) -> None:
    """Check a change as a pull request has to pass it.

    For every dataset of which a file differs from REF: the rules of `vflan validate`, also over rendered
    instances and against all other specs; no placeholders; no label under another name, which is a warning; a
    miniature, and that its records become what its truth says. It also compares the instances of the
    miniatures before and after; that they differ is no error. Exit code 1 means errors.
    """
    from vision_flan.review.check import check as check_change
    from vision_flan.review.diff import DiffOptions
    from vision_flan.review.diff_text import as_facts, as_page, summary
    from vision_flan.spec.catalog import Catalog

    use(CHECKING)
    form = Format.JSON if as_json else Format(shape)
    with reporter(quiet=form is not Format.TEXT) as report:
        result = check_change(Catalog.default(), ref, report, compared=DiffOptions(images=page is not None))
    if page is not None and result.diff:
        write_page(page, as_page(result.diff))
    steps = {name: len(found) for name, found in result.steps.items()}
    counts = {"tasks": len(result.tasks), "datasets": len(result.datasets), "errors": result.errors}
    changes = [summary(task) for task in result.diff.tasks if task.differs] if result.diff else []
    lines = [f"{name}: {counted(found, 'finding') if found else 'ok'}" for name, found in steps.items()]
    facts = {**counts, "checks": steps, "diff": as_facts(result.diff) if result.diff else None}
    _print_findings(form, result.findings, facts, [*changes, *lines, _counted(counts)])


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counts.items())


def _print_findings(
    form: Format, findings: Sequence[Finding], facts: Mapping[str, object], lines: Sequence[str]
) -> None:
    """Findings in the form asked for; exits with 1 if one is an error.

    Args:
        facts: of the JSON document, beside the findings.
        lines: below the findings in a terminal.
    """
    from vision_flan.review.changed import relative_to
    from vision_flan.spec.findings import as_annotations, as_text

    found = relative_to(findings, Path.cwd())
    if form is Format.JSON:
        print_json({**facts, "findings": [asdict(one) for one in found]})
    elif form is Format.GITHUB:
        echo_commands(as_annotations(found))
    else:
        echo("\n".join(line for line in (as_text(found), *lines) if line))
    if any(one.severity == "error" for one in found):
        raise SystemExit(ExitCode.FAILED)
