"""`vflan merge`: the folders of several machines become one."""

from __future__ import annotations

import click

from vision_flan.cli.options import EXISTING_PLACE, json_option, out_option
from vision_flan.cli.output import echo, print_json, reporter
from vision_flan.places.place import Place
from vision_flan.report import counted, human_bytes


@click.command(
    short_help="Put the configs of several compiled folders into one.",
    epilog="\b\nExample:\n  vflan merge share-1 share-2 share-3 --out vision-flan",
)
@click.argument("folders", nargs=-1, required=True, type=EXISTING_PLACE)
@out_option
@json_option
def merge(folders: tuple[Place, ...], out: Place, as_json: bool) -> None:
    """Put the configs of compiled folders into one, after `vflan compile --shard-of`.

    Shards are linked, or copied if --out is on another file system. The folders stay as they are; delete them
    when the merged one is complete. Configs that are there already are left alone, so the same command again
    adds what is new.
    """
    from vision_flan.build.shares import merge as merge_folders

    with reporter(quiet=as_json) as report:
        added = merge_folders(folders, out, report)
    if as_json:
        print_json({"folder": str(out), "added": [manifest.task for manifest in added]})
        return
    size = sum(manifest.download_size for manifest in added)
    rows = sum(manifest.rows for manifest in added)
    echo(f"{out}: {counted(len(added), 'config')} added, {rows:,} instances, {human_bytes(size)}")
