"""`vflan validate` and what else works on specs alone."""

from __future__ import annotations

from pathlib import Path

import click

from vision_flan.errors import ExitCode


@click.command(
    epilog="""\b
Examples:
  vflan validate ocr_textocr
  vflan validate --all
  vflan validate --changed main --format github"""
)
@click.argument("tasks", nargs=-1, metavar="[TASK]...")
@click.option("--all", "everything", is_flag=True, help="Every spec, and how they go together.")
@click.option("--changed", metavar="REF", help="Tasks whose files differ from a git revision.")
@click.option("--format", "shape", type=click.Choice(["text", "json", "github"]), default="text")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def validate(
    tasks: tuple[str, ...], everything: bool, changed: str | None, shape: str, as_json: bool
) -> None:
    """Check specs: schema, SQL, templates, labels, licences. Shows all findings at once.

    Exit code 1 means errors; warnings alone leave 0. `docs/spec.md` explains each rule.
    """
    from vision_flan.spec.catalog import Catalog
    from vision_flan.spec.findings import as_annotations, as_text
    from vision_flan.spec.findings import as_json as json_text
    from vision_flan.validate import changed_tasks, relative_to
    from vision_flan.validate import validate as check

    if sum((bool(tasks), everything, changed is not None)) != 1:
        raise click.UsageError("give tasks, or --all, or --changed REF")
    catalog = Catalog.default()
    chosen = changed_tasks(catalog, changed) if changed is not None else list(tasks)
    checked = check(catalog, None if everything else chosen)
    findings = relative_to(checked.findings, Path.cwd())
    shape = "json" if as_json else shape
    if shape == "text":
        errors, warnings = checked.errors, len(findings) - checked.errors
        counts = f"tasks: {len(checked.tasks)}, datasets: {len(checked.datasets)}, "
        result = f"errors: {errors}, warnings: {warnings}"
        click.echo("\n".join(part for part in (as_text(findings), counts + result) if part))
    else:
        formats = {"json": json_text, "github": as_annotations}
        click.echo(formats[shape](findings))
    if checked.errors:
        raise SystemExit(ExitCode.FAILED)
