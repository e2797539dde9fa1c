"""A complete config moves into the compiled folder: the old manifest goes first, the new one comes last."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

from vision_flan.build.identity import BuildRecord, is_whole, stat_of
from vision_flan.build.locks import WORK_FOLDER, locked, remove_litter
from vision_flan.dataset.card import refresh_card
from vision_flan.dataset.manifest import FOLDER, Manifest, manifest_path, write_atomically
from vision_flan.errors import Location
from vision_flan.report import Reporter

COMPLETE = "complete.json"  # built, not yet installed
INSTALLED = "installed.json"
BEGUN = "build.json"
BLOCKS = "blocks"
_KEPT = {"lock", COMPLETE, INSTALLED, BEGUN, BLOCKS}


def install(work: Path, out: Path, record: BuildRecord, report: Reporter) -> Manifest:
    """Move a complete config into place.

    Runs again from where it was cut off: what is moved already is not there to move.
    """
    manifest = Manifest.from_json(record.manifest, Location(work / COMPLETE))
    folder = out / manifest.task
    folder.mkdir(exist_ok=True)
    manifest_path(out, manifest.task).unlink(missing_ok=True)
    finished = _finished_blocks(work)
    for shard in manifest.shards:
        source = finished.get(shard.sha256)
        if source is not None and source.exists():
            move(source, out / shard.path)
    _remove_old_shards(manifest, record, out, report)
    write_atomically(manifest_path(out, manifest.task), record.manifest)
    stamps = {shard.path: stat_of(out / shard.path) or [] for shard in manifest.shards}
    replace(record, shards=stamps, replaces=()).write(work / INSTALLED)
    (work / COMPLETE).unlink(missing_ok=True)
    clear(work, keep={"lock", INSTALLED})
    return manifest


def can_install(work: Path, out: Path, record: BuildRecord) -> bool:
    """Whether every shard of a complete config is whole, in the work folder or moved already."""
    manifest = Manifest.from_json(record.manifest, Location(work / COMPLETE))
    finished = _finished_blocks(work)
    return all(
        any(path is not None and is_whole(path, s.sha256) for path in (finished.get(s.sha256), out / s.path))
        for s in manifest.shards
    )


def show(out: Path, report: Reporter) -> None:
    """Bring README.md up to date with the manifests; says which of them it leaves out."""
    with locked(out / WORK_FOLDER / "card.lock", wait=True):
        remove_litter(out, "README.md")
        for problem in refresh_card(out):
            report.note(f"README.md leaves out a config: {problem}")


def tidy(work: Path, out: Path, task: str) -> None:
    """Remove what a killed run of this task left behind."""
    clear(work, keep=_KEPT)
    for path in (work / BLOCKS).glob("*.tmp"):
        path.unlink(missing_ok=True)
    remove_litter(out / FOLDER, f"{task}.json")


def clear(work: Path, keep: set[str]) -> None:
    """Empty a work folder but for some names."""
    for path in work.iterdir():
        if path.name not in keep:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def move(source: Path, target: Path) -> None:
    """Rename a file; where it lies on another file system, copy it beside its place first."""
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            shutil.copyfile(source, beside)
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)
        source.unlink()


def _finished_blocks(work: Path) -> dict[str, Path]:
    """Checksum -> shard, of the blocks in the work folder."""
    found = {}
    for path in sorted((work / BLOCKS).glob("*.json")):
        try:
            block = json.loads(path.read_text("utf-8"))
            found[block["sha256"]] = work / BLOCKS / block["file"]
        except (ValueError, KeyError, TypeError):
            continue
    return found


def _remove_old_shards(manifest: Manifest, record: BuildRecord, out: Path, report: Reporter) -> None:
    """Only what we wrote goes: shards of the config before, and what is named like a shard of this split."""
    ours = re.compile(rf"{re.escape(manifest.split)}-\d{{5}}-of-\d{{5}}\.parquet")
    keep = {shard.path for shard in manifest.shards}
    remove_litter(out / manifest.task, "*")
    for path in sorted((out / manifest.task).glob("*.parquet")):
        name = f"{manifest.task}/{path.name}"
        if name in keep:
            continue
        if name in record.replaces or ours.fullmatch(path.name):
            path.unlink()
        else:
            report.note(f"{path} is none of ours and stays; it is no part of the config")
