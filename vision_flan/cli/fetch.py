"""`vflan fetch`: get a dataset's raw files, or learn how."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vision_flan.cli.data import raw_option
from vision_flan.cli.output import human_bytes, print_error, print_json, reporter
from vision_flan.errors import ExitCode, VflanError

if TYPE_CHECKING:
    from vision_flan.raw.fetch import Step
    from vision_flan.spec.model import DatasetSpec

_SAYS = {
    "present": "is there",
    "unpacked": "is there, unpacked",
    "different": "is there, but is another file",
    "download": "to download",
    "by_hand": "to get by hand",
}


@click.command(
    epilog="""\b
Examples:
  vflan fetch textocr --raw ~/raw --dry-run
  vflan fetch textocr --raw ~/raw --file TextOCR_0.1_train.json --yes"""
)
@click.argument("dataset")
@raw_option
@click.option("--file", "names", multiple=True, metavar="NAME", help="Only this file; * matches.")
@click.option("--yes", is_flag=True, help="Do not ask before a download.")
@click.option("--dry-run", is_flag=True, help="Say what would happen, download nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def fetch(dataset: str, raw: Path, names: tuple[str, ...], yes: bool, dry_run: bool, as_json: bool) -> None:
    """Get a dataset's raw files.

    Downloads what may be downloaded, and names what must be asked for by hand. A file that is
    there is never overwritten. After a cut the same command goes on where it stopped.
    """
    from vision_flan.raw.fetch import BY_HAND, DIFFERENT, DOWNLOAD, check_space, plan
    from vision_flan.spec.catalog import Catalog

    spec = Catalog.default().dataset(dataset)
    steps = plan(spec, raw, names)
    if not as_json:
        _print_plan(spec, steps, raw)
    coming = [step for step in steps if step.action == DOWNLOAD]
    check_space(coming, raw)
    errors: dict[str, VflanError] = {}
    if coming and not dry_run:
        if not yes and not _confirmed(coming):
            raise SystemExit(ExitCode.MISSING_RAW)
        errors = _download(coming, quiet=as_json)
    if as_json:
        print_json(_document(spec, steps, raw, errors, dry_run))
    if errors:
        raise SystemExit(next(iter(errors.values())).exit_code)
    if any(step.action == DIFFERENT for step in steps):
        raise SystemExit(ExitCode.BAD_RAW)
    if any(step.action == BY_HAND for step in steps) and not dry_run:
        raise SystemExit(ExitCode.MISSING_RAW)


def _confirmed(steps: Sequence[Step]) -> bool:
    size = human_bytes(sum(step.bytes_left for step in steps))
    try:
        return click.confirm(f"Download {len(steps)} files, {size} still to come?", err=True)
    except click.Abort as error:
        raise click.UsageError("nobody is there to ask: give --yes, or --dry-run") from error


def _download(steps: Sequence[Step], *, quiet: bool) -> dict[str, VflanError]:
    """Bring what can be brought; one file that fails does not keep the others."""
    from vision_flan.raw.fetch import download

    errors: dict[str, VflanError] = {}
    for step in steps:
        try:
            with reporter(quiet=quiet) as report:
                download(step, report)
        except VflanError as error:
            errors[step.file.path] = error
            print_error(error)
        else:
            checked = "checksum right" if step.file.md5 or step.file.sha256 else "no checksum is known"
            if not quiet:
                click.echo(f"{step.path}: {human_bytes(step.path.stat().st_size)}, {checked}")
    return errors


def _print_plan(dataset: DatasetSpec, steps: Sequence[Step], raw: Path) -> None:
    click.echo(f"{dataset.title}, {dataset.homepage}")
    click.echo(f"  license: {dataset.license.name}; into {raw / dataset.dataset}")
    for step in steps:
        size = f"  {human_bytes(step.file.bytes)}" if step.file.bytes else ""
        click.echo(f"  {step.file.path}{size}: {_SAYS[step.action]} ({' '.join(step.reason.split())})")
        if step.action in ("by_hand", "download") and step.file.url:
            click.echo(f"    from {step.file.url}")
    if any(step.action == "by_hand" for step in steps):
        click.echo(f"  by hand: {' '.join(dataset.how_to_get.split()) or 'see ' + dataset.homepage}")
    if any(step.action == "different" for step in steps):
        click.echo("  a file that is another one stays as it is; remove it to fetch upstream's")
    for other in dataset.borrows:
        click.echo(f"  images come from {other} too: vflan fetch {other}")


def _document(
    dataset: DatasetSpec, steps: Sequence[Step], raw: Path, errors: dict[str, VflanError], dry_run: bool
) -> dict[str, Any]:
    def state(step: Step) -> str:
        if step.action != "download" or dry_run:
            return step.action
        return "failed" if step.file.path in errors else "downloaded"

    return {
        "dataset": dataset.dataset,
        "folder": str(raw / dataset.dataset),
        "license": dataset.license.name,
        "access": dataset.access,
        "how_to_get": " ".join(dataset.how_to_get.split()),
        "borrows": list(dataset.borrows),
        "files": [
            {
                "path": step.file.path,
                "state": state(step),
                "reason": str(errors.get(step.file.path, " ".join(step.reason.split()))),
                "url": step.file.url,
                "bytes": step.file.bytes,
                "md5": step.file.md5,
                "sha256": step.file.sha256,
            }
            for step in steps
        ],
    }
