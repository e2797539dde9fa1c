"""Shares of a suite for arrays of jobs, and putting their folders together."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from vision_flan.build.facts import BLOCKS, is_whole
from vision_flan.build.identity import BuildRecord
from vision_flan.build.inputs import Seen
from vision_flan.build.install import install, refresh_readme, shards_to_replace
from vision_flan.build.job import Options
from vision_flan.build.locks import WORK_FOLDER, machine_errors, task_lock, work_folder
from vision_flan.build.looked_up import LookedUp
from vision_flan.build.many import Selection
from vision_flan.build.notices import write_notices
from vision_flan.build.work import COMPLETE, installed_record, reset, tidy
from vision_flan.dataset.attribution import FOLDER as ATTRIBUTION
from vision_flan.dataset.attribution import attribution_path
from vision_flan.dataset.drop_list import DropList, write_list
from vision_flan.dataset.manifest import Manifest, read_manifests, write_bytes_atomically
from vision_flan.dataset.overlaps import Overlaps, read_overlaps, write_overlaps
from vision_flan.errors import Location, SpecError, VflanError
from vision_flan.places.place import Place, stamp_of
from vision_flan.places.remote import RemotePath
from vision_flan.report import Reporter
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.model import DEFAULT_LIMIT, TaskSpec

_SHARE = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")


def share_of(selection: Selection, share: str, catalog: Catalog) -> Selection:
    """The tasks of one share, in the selection's order.

    The largest tasks are dealt out first, each to the share that has least, so shares differ by less than the
    largest of the small tasks. Every share of the same selection is the same on any machine.

    Args:
        share: `I/N`, the I-th of N shares, from 1.

    Raises:
        SpecError: no such share, or a task of the selection has no valid spec.
    """
    match = _SHARE.fullmatch(share)
    wanted, shares = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= wanted <= shares:
        raise SpecError(
            f"{share!r} is no share of a selection", hint="write I/N, such as 3/8, from 1/8 to 8/8"
        )
    sizes = {name: expected_size(catalog.task(name), options) for name, options in selection.items()}
    loads = [0] * shares
    chosen = set()
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        least = loads.index(min(loads))
        loads[least] += sizes[name]
        if least + 1 == wanted:
            chosen.add(name)
    return {name: options for name, options in selection.items() if name in chosen}


def expected_size(task: TaskSpec, options: Options) -> int:
    """Instances that a task is expected to give, from its spec alone."""
    limit = task.limit if options.limit == "spec" else options.limit
    known = [count for count in (limit, task.available) if isinstance(count, int)]
    return min(known, default=DEFAULT_LIMIT)


def merge(folders: Sequence[Place], out: Place, report: Reporter) -> list[Manifest]:
    """Put the configs of compiled folders into one. Shards are linked, or copied to another file system; the
    folders stay as they are.

    Returns:
        The manifests of the configs that were added; those that are in `out` already are left alone.

    Raises:
        VflanError: a folder has no config, a config is damaged, or two folders have different ones of a task.
        MachineError: disk full, no permission, or a task of `out` is being compiled.
    """
    sources: dict[str, tuple[Place, Manifest]] = {}
    for folder in folders:
        manifests = read_manifests(folder)
        if not manifests:
            raise VflanError(
                "there is no config here", where=Location(str(folder)), hint="give compiled folders"
            )
        for task, manifest in manifests.items():
            other, known = sources.setdefault(task, (folder, manifest))
            if known.shards != manifest.shards:
                raise VflanError(
                    f"{other} and {folder} have different configs of {task}",
                    hint=f"remove {task} from one of them",
                )
    added = []
    report.stage("merging", len(sources))
    with machine_errors(out):
        for task, (folder, manifest) in sorted(sources.items()):
            if _add(task, folder, manifest, out, report):
                added.append(manifest)
            report.advance(1, manifest.download_size)
        work_folder(out).mkdir(parents=True, exist_ok=True)
        _add_overlaps(folders, out)
        refresh_readme(out, report)
    return added


def _add_overlaps(folders: Sequence[Place], out: Place) -> None:
    """What is known of the configs' overlap with benchmarks; an entry of `out` stays, then of an earlier
    folder."""
    manifests, found = read_manifests(out), Overlaps()
    for folder in (*reversed(folders), out):
        for task, known in read_overlaps(folder, manifests).items():
            found[task] = found.get(task, {}) | known
    if found:
        write_overlaps(out, manifests, found)


def _add(task: str, folder: Place, manifest: Manifest, out: Place, report: Reporter) -> bool:
    """Install one config; False if it is there."""
    with task_lock(out, task) as work:
        installed = BuildRecord.read(installed_record(out, task))
        stamps = {shard.path: stamp_of(out / shard.path) for shard in manifest.shards}
        if installed and installed.manifest == manifest.to_json() and installed.shards == stamps:
            return False
        tidy(work, out, task)
        reset(work)
        kept = BuildRecord.read(installed_record(folder, task))
        (work / BLOCKS).mkdir()
        shards = []
        for number, shard in enumerate(manifest.shards):
            name = f"{number:05}.parquet"
            stamp = kept.shards.get(shard.path) if kept else None
            _check_shard(folder / shard.path, shard.bytes, shard.sha256, stamp)
            _link(folder / shard.path, work / BLOCKS / name)
            shards.append(replace(shard, path=name))
        (work / BLOCKS / "merged.json").write_text(json.dumps({"shards": [asdict(s) for s in shards]}))
        # without one, the next compile builds it again
        record = kept or BuildRecord({}, Seen(), LookedUp(), "")
        replaces = shards_to_replace(out, task)
        record = replace(record, manifest=manifest.to_json(), replaces=replaces, shards={})
        record.write(work / COMPLETE)
        _add_credits(folder, out, manifest)
        write_list(out, DropList.of_manifest(manifest))
        install(work, out, record, report)
    return True


def _add_credits(folder: Place, out: Place, manifest: Manifest) -> None:
    """The table of authors and the notices that licenses ask for, and what tells whether they are current."""
    write_notices(out, manifest)
    record = Path(WORK_FOLDER, ATTRIBUTION, f"{manifest.task}.json")
    table = attribution_path(Path(), manifest.task)
    if manifest.attribution.get("sha256") and not is_whole(folder / table, manifest.attribution["sha256"]):
        raise VflanError(
            "the attribution table is missing or damaged",
            where=Location(str(folder / table)),
            hint="compile its task again",
        )
    for path in (record, table):
        (out / path).unlink(missing_ok=True)
        if (folder / path).exists():
            write_bytes_atomically(out / path, (folder / path).read_bytes())


def _check_shard(path: Place, size: int, sha256: str, stamp: list[int] | None) -> None:
    """A shard is read only if it is not as it was installed."""
    found = stamp_of(path)
    if found is None or found[0] != size or (found != stamp and not is_whole(path, sha256)):
        raise VflanError(
            "the shard is missing or damaged", where=Location(str(path)), hint="compile its task again"
        )


def _link(source: Place, target: Path) -> None:
    """A hard link; a copy with the same time where links are not possible."""
    if isinstance(source, RemotePath):
        source.download(target)
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
