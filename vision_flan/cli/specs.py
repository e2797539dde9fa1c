"""`vflan new`, `validate`, `preview`: writing and checking specs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vision_flan.cli.options import FILE, FOLDER, raw_options, seed_option
from vision_flan.cli.output import echo, print_json, reporter
from vision_flan.errors import ExitCode

if TYPE_CHECKING:
    from vision_flan.raw.roots import RawPlaces, RawRoots
    from vision_flan.spec.catalog import Catalog


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


@click.command(
    epilog="""\b
Examples:
  vflan preview ocr_textocr
  vflan preview ocr_textocr --raw ~/raw --n 30 --out textocr.html"""
)
@click.argument("task")
@raw_options(help="Take the records from raw files; may be given several times. Default: a new miniature.")
@click.option("--n", type=click.IntRange(1, 200), default=12, show_default=True, help="Instances shown.")
@click.option(
    "--out",
    type=FILE,
    default="preview.html",
    show_default=True,
    help="The page: one file that opens without a network.",
)
@seed_option
def preview(task: str, raw: RawRoots | None, n: int, out: Path, seed: int) -> None:
    """Write a page that shows a task's instances.

    Images, prompts, targets, and dropped records: one HTML file for a reviewer to read.
    """
    from vision_flan.build.open_task import open_task
    from vision_flan.dataset.manifest import write_atomically
    from vision_flan.errors import Location, MachineError
    from vision_flan.review.preview import collect, render
    from vision_flan.spec.catalog import Catalog

    catalog = Catalog.default()
    name = catalog.resolve(task)
    with (
        _raw_folder(raw, catalog.task(name).dataset, n, seed) as folder,
        open_task(name, folder, catalog, seed) as opened,
    ):
        found = collect(opened, n, seed)
        page = render(opened, found, str(raw) if raw else "a miniature", seed)
    try:
        write_atomically(out, page)
    except OSError as error:
        raise MachineError(
            f"cannot write: {error.strerror}", where=Location(out), hint="choose another --out"
        ) from error
    dropped = sum(len(keys) for keys in found.dropped.values())
    echo(f"{out}: {len(found.instances)} instances, {dropped} of {found.looked_at} records dropped")


@contextmanager
def _raw_folder(raw: RawRoots | None, dataset: str, n: int, seed: int) -> Iterator[RawPlaces]:
    from vision_flan.miniatures import registry

    if raw is not None:
        yield raw
        return
    with registry.temporary(dataset, 2 * n, seed) as folder:
        yield folder


@click.command(
    epilog="""\b
Example:
  vflan new pets animal_pets && vflan validate animal_pets"""
)
@click.argument("dataset")
@click.argument("task")
@click.option(
    "--root",
    type=FOLDER,
    help="Folder with task_specs/ and instructions/. Default: this checkout.",
)
def new(dataset: str, task: str, root: Path | None) -> None:
    """Start a task: its spec and instruction.

    DATASET gets a dataset.yaml if it has none. The files pass `vflan validate`; comments in them
    say what to fill in. Nothing is overwritten.
    """
    from vision_flan.review.scaffold import begin

    catalog = _catalog(root)
    for path in begin(catalog, dataset, task):
        echo(f"wrote {path}")
    echo(f"next: fill in what the comments ask for; then vflan validate {task}")
    echo(f"      vflan preview {task} --raw DIR shows instances made from the data")


def _catalog(root: Path | None) -> Catalog:
    from vision_flan.errors import SpecError
    from vision_flan.spec.catalog import Catalog

    if root is not None:
        return Catalog(root / "task_specs", root / "instructions")
    catalog = Catalog.default()
    if "site-packages" in catalog.specs.parts:
        raise SpecError(
            "the specs of an installed package cannot be edited",
            hint="git clone the repository and pip install -e . in it, or give --root DIR",
        )
    return catalog
