"""`vflan diff`: what a change of specs does to instances."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vision_flan.cli.options import (
    json_option,
    limit_option,
    local_folder,
    page_option,
    raw_options,
    seed_option,
)
from vision_flan.cli.output import echo, print_json, reporter, write_page
from vision_flan.errors import ExitCode
from vision_flan.limits import CHECKING, use

if TYPE_CHECKING:
    from vision_flan.raw.roots import RawRoots


@click.command(
    epilog="""\b
Exit codes: 0 nothing differs, 1 something differs or could not be compared;
others as for every command.

\b
Examples:
  vflan diff main
  vflan diff main --task ocr_textocr --raw ~/raw --limit 500
  vflan diff HEAD~1 --out diff.html
  vflan diff old-vision-flan vision-flan --json"""
)
@click.argument("versions", nargs=-1, required=True, metavar="REF | OUT_A OUT_B")
@click.option("--task", "tasks", multiple=True, metavar="TASK", help="Only this task; may be repeated.")
@raw_options(help="Take the records from raw files; may be given several times. Default: miniatures.")
@limit_option
@seed_option
@click.option(
    "--n",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    help="Instances of each task that are shown, 0 for all. All are counted.",
)
@page_option
@json_option
def diff(
    versions: tuple[str, ...],
    tasks: tuple[str, ...],
    raw: RawRoots | None,
    limit: int | None,
    seed: int,
    n: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Compare instances before and after a change, word by word.

    With REF, a git revision: what its specs, instructions and cut miniatures make, against those of the
    working tree, for the tasks whose files differ. With two folders: what was compiled into them.
    Instances are matched by id; every column is compared, images by checksum.
    """
    from vision_flan.review.diff import DiffOptions, diff_folders, diff_revision
    from vision_flan.review.diff_text import as_facts, as_page, as_text, total
    from vision_flan.spec.catalog import Catalog

    if len(versions) > 2:
        raise click.UsageError("give one git revision, or two compiled folders")
    if len(versions) == 2 and (raw is not None or limit is not None):
        raise click.UsageError("--raw and --limit are for a git revision, not for compiled folders")
    wanted = DiffOptions(
        tasks, raw, seed, "spec" if limit is None else (limit or None), n or None, out is not None
    )
    catalog = Catalog.default()
    with reporter(quiet=as_json) as report:
        if len(versions) == 2:
            before, after = map(local_folder, versions)
            found = diff_folders(before, after, catalog, wanted, report)
        else:
            if raw is None:
                use(CHECKING)
            found = diff_revision(catalog, versions[0], wanted, report)
    if out is not None:
        write_page(out, as_page(found))
    if as_json:
        print_json(as_facts(found))
    else:
        echo("\n".join(part for part in (as_text(found), total(found)) if part))
    if found.differs:
        raise SystemExit(ExitCode.FAILED)
