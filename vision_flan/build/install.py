"""Move a complete config into the compiled folder: the old manifest goes first, the new one comes last."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

from vision_flan.build.credits import attribution_of
from vision_flan.build.facts import BLOCKS, is_whole
from vision_flan.build.identity import BuildRecord, Identity, facts_of
from vision_flan.build.job import Build
from vision_flan.build.locks import lock_of, locked, remove_litter, work_folder
from vision_flan.build.notices import notices_of, write_notices
from vision_flan.build.store_lock import still_held
from vision_flan.build.work import COMPLETE, installed_record, reset
from vision_flan.dataset.card import refresh_card
from vision_flan.dataset.manifest import Manifest, manifest_path, read_manifest, write_atomically
from vision_flan.errors import Location, VflanError
from vision_flan.places.place import Place, files_in, stamp_of
from vision_flan.places.remote import RemotePath
from vision_flan.report import Reporter


def finished_config(build: Build, identity: Identity) -> BuildRecord | None:
    """A config that an earlier run completed but did not install, if a build would make the same now."""
    path = build.work / COMPLETE
    record = BuildRecord.read(path)
    if record is None:
        return None
    stale = record.stale(identity, build.raw, verify=build.options.verify_raw)
    if stale is None and _has_all_shards(build, record):
        return record
    path.unlink()
    return None


def install(work: Path, out: Place, record: BuildRecord, report: Reporter) -> Manifest:
    """Move a complete config from its work folder into place.

    After an interruption, a second call continues: shards that were moved are in place already.
    """
    manifest = Manifest.from_json(record.manifest, Location(work / COMPLETE))
    if isinstance(out, RemotePath):
        still_held(lock_of(out, manifest.task))
    (out / manifest.task).mkdir(exist_ok=True)
    manifest_path(out, manifest.task).unlink(missing_ok=True)
    finished = finished_shards(work)
    for shard in manifest.shards:
        source = finished.get(shard.sha256)
        if source is not None and source.exists():
            move(source, out / shard.path)
    _remove_old_shards(manifest, record, out, report)
    write_atomically(manifest_path(out, manifest.task), record.manifest)
    stamps = {shard.path: stamp_of(out / shard.path) or [] for shard in manifest.shards}
    replace(record, shards=stamps, replaces=()).write(installed_record(out, manifest.task))
    (work / COMPLETE).unlink(missing_ok=True)
    reset(work)
    return manifest


def renew(build: Build, manifest: Manifest) -> Manifest:
    """The installed manifest with the title, license and the like that the spec has now.

    The record is written last: a run that is cut off before it makes the next one build again.

    Returns:
        The same object if nothing changed.
    """
    current = replace(
        manifest,
        **facts_of(build.task, build.sources),
        attribution=attribution_of(build, manifest),
        notices=notices_of(build),
    )
    write_notices(build.out, current)
    if current.to_json() == manifest.to_json():
        return manifest
    kept = installed_record(build.out, build.task.id)
    record = BuildRecord.read(kept)
    write_atomically(manifest_path(build.out, build.task.id), current.to_json())
    if record:
        replace(record, manifest=current.to_json()).write(kept)
    return current


def refresh_readme(out: Place, report: Reporter) -> None:
    """Bring README.md up to date with the manifests, and note those it leaves out."""
    with locked(work_folder(out) / "card.lock", wait=True):
        remove_litter(out, "README.md")
        for problem in refresh_card(out):
            report.note(f"README.md leaves out a config: {problem}")


def shards_to_replace(out: Place, task: str) -> tuple[str, ...]:
    """Shards to remove when the new config is installed: those of the manifest in place, or of the last
    installation if an interrupted one has removed the manifest."""
    try:
        manifest = read_manifest(manifest_path(out, task))
        return tuple(shard.path for shard in manifest.shards)
    except (OSError, VflanError):
        record = BuildRecord.read(installed_record(out, task))
        return tuple(record.shards) if record else ()


def move(source: Path, target: Place) -> None:
    """Rename a file; copy it next to its target first if that is on another file system.

    To a store it is copied, and stays until the whole config is there.
    """
    if isinstance(target, RemotePath):
        target.upload(source)
        return
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


def _has_all_shards(build: Build, record: BuildRecord) -> bool:
    """Whether every shard of a complete config is whole, in the work folder or already moved."""
    manifest = Manifest.from_json(record.manifest, Location(build.work / COMPLETE))
    finished = finished_shards(build.work)
    return all(
        any(
            path is not None and is_whole(path, shard.sha256)
            for path in (finished.get(shard.sha256), build.out / shard.path)
        )
        for shard in manifest.shards
    )


def finished_shards(work: Path) -> dict[str, Path]:
    """Checksum -> shard, of those in the work folder."""
    found = {}
    for path in sorted((work / BLOCKS).glob("*.json")):
        try:
            for shard in json.loads(path.read_text("utf-8"))["shards"]:
                found[shard["sha256"]] = work / BLOCKS / shard["path"]
        except (ValueError, KeyError, TypeError):
            continue
    return found


def _remove_old_shards(manifest: Manifest, record: BuildRecord, out: Place, report: Reporter) -> None:
    """Remove only what we wrote: shards of the replaced config, and files named like shards of this split."""
    ours = re.compile(rf"{re.escape(manifest.split)}-\d{{5}}-of-\d{{5}}\.parquet")
    keep = {shard.path for shard in manifest.shards}
    remove_litter(out / manifest.task, "*")
    for path in files_in(out / manifest.task, "*.parquet"):
        name = f"{manifest.task}/{path.name}"
        if name in keep:
            continue
        if name in record.replaces or ours.fullmatch(path.name):
            path.unlink()
        else:
            report.note(f"{path} was not written by vflan: it stays, and is not part of the config")
