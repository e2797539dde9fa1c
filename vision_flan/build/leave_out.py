"""Takes the instances of a drop list out of finished shards.

A compile makes the shards first and filters them after; `vflan duplicates --drop` filters those that are
installed. Both filter the same shards in the same way, so both give the same bytes. What is dropped is not
replaced by other candidates.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vision_flan.build.facts import BLOCKS
from vision_flan.build.identity import BuildRecord
from vision_flan.build.inputs import Seen
from vision_flan.build.install import finished_shards, install, refresh_readme
from vision_flan.build.job import Build
from vision_flan.build.locks import machine_errors, task_lock
from vision_flan.build.looked_up import LookedUp
from vision_flan.build.work import COMPLETE, installed_record, reset, tidy
from vision_flan.columns import IMAGE, TEXT_COLUMNS, TURNS
from vision_flan.dataset.attribution import attribution_path, read_attribution, write_attribution
from vision_flan.dataset.contents import contents_of
from vision_flan.dataset.drop_list import Drop, DropList, read_list, write_list
from vision_flan.dataset.image_arrays import with_views
from vision_flan.dataset.manifest import Manifest, manifest_path, read_manifest, write_atomically
from vision_flan.dataset.row_groups import ROW_GROUP_ROWS
from vision_flan.dataset.shards import SCHEMA, ShardFacts, ShardWriter
from vision_flan.errors import Location, VflanError
from vision_flan.report import Reporter

#: The facts of filtered shards, beside those of blocks.
_FACTS = "filtered.json"


@dataclass
class _Dropped:
    """What was taken out."""

    reasons: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    num_bytes: int = 0


def drop_installed(
    out: Path, task: str, drops: Mapping[str, Drop], report: Reporter
) -> tuple[Manifest, dict[str, int]]:
    """Put instances on a task's drop list and take them out of its installed config.

    The list is written first: if the run is cut off, the same command or the next compile ends the work.

    Returns:
        The new manifest, and how many instances were dropped by reason.

    Raises:
        VflanError: no instance would be left, or a shard is damaged.
        MachineError: disk full, no permission, or the task is being compiled.
    """
    with machine_errors(out), task_lock(out, task) as work:
        tidy(work, out, task)
        before = _finish_installation(work, out, task, report)
        complete = read_list(out, task).added(drops)
        reset(work)
        (work / BLOCKS).mkdir()
        manifest = leave_out(before, complete, work / BLOCKS, lambda shard: out / shard.path)
        write_list(out, complete)
        manifest = replace(
            manifest, drop_list=complete.facts(), attribution=_credits(out, manifest, complete)
        )
        record = BuildRecord.read(installed_record(out, task)) or BuildRecord({}, Seen(), LookedUp(), "")
        recipe = {**record.recipe, "drop_list": complete.facts()}
        replaced = tuple(shard.path for shard in before.shards)
        record = replace(record, recipe=recipe, manifest=manifest.to_json(), replaces=replaced, shards={})
        record.write(work / COMPLETE)
        manifest = install(work, out, record, report)
    refresh_readme(out, report)
    was, now = before.counts["dropped"], manifest.counts["dropped"]
    return manifest, {reason: n - was.get(reason, 0) for reason, n in now.items() if n > was.get(reason, 0)}


def without_dropped(build: Build, manifest: Manifest) -> Manifest:
    """The manifest of a finished build without the instances of its drop list.

    Raises:
        VflanError: no instance would be left.
    """
    if not manifest.drop_list:
        return manifest
    finished = finished_shards(build.work)
    drops = DropList.of_manifest(manifest)
    return leave_out(manifest, drops, build.work / BLOCKS, lambda shard: finished[shard.sha256])


def leave_out(
    manifest: Manifest, drops: DropList, folder: Path, source: Callable[[ShardFacts], Path]
) -> Manifest:
    """The manifest of a config without some instances; shards that had one are written again.

    An instance that is dropped for another of the same task stays if that one is not there, as with another
    seed.

    Args:
        folder: for the new shards; `install` finds them there.
        source: where a shard of the manifest lies.

    Raises:
        VflanError: no instance would be left, or a shard cannot be read.
    """
    there = _keys(manifest, source)
    wanted = _present(drops, there)
    if len(wanted) == sum(map(len, there)):
        raise VflanError(
            f"not one instance of {manifest.task} would be left: all are duplicates",
            hint=f"leave {manifest.task} out, or drop less: --scope, --same",
        )
    taken, kept = _Dropped(), list[tuple[ShardFacts, Path]]()
    for number, (shard, keys) in enumerate(zip(manifest.shards, there, strict=True)):
        if wanted.keys().isdisjoint(keys):
            kept.append((shard, source(shard)))
        else:
            made = _filtered(source(shard), wanted, folder, f"filtered-{number:05}", taken)
            kept += [(facts, folder / facts.path) for facts in made]
    if not taken.reasons:
        return manifest
    return replace(
        manifest,
        shards=_named(manifest, kept, folder),
        counts=_counts(manifest, taken),
        num_bytes=manifest.num_bytes - taken.num_bytes,
        contents=contents_of(path for _, path in kept).facts() if manifest.contents else {},
    )


def _keys(manifest: Manifest, source: Callable[[ShardFacts], Path]) -> list[list[str]]:
    """Upstream's keys of each shard."""
    found = []
    for shard in manifest.shards:
        path = source(shard)
        try:
            with pq.ParquetFile(path) as file:
                if file.schema_arrow.names != SCHEMA.names:
                    raise pa.ArrowInvalid("it has other columns than this version writes")
                found.append(file.read(["source_id"]).column("source_id").to_pylist())
        except (OSError, pa.ArrowException) as error:
            what = f"cannot read the shard: {error}"
            raise VflanError(what, where=Location(path), hint=f"compile {manifest.task} again") from error
    return found


def _present(drops: DropList, there: Sequence[Sequence[str]]) -> dict[str, Drop]:
    """The drops that concern a config with these keys."""
    keys = {key for some in there for key in some}
    ours = f"{drops.task}/"
    return {
        key: drop
        for key, drop in drops.drops.items()
        if key in keys and (not drop.of.startswith(ours) or drop.of.removeprefix(ours) in keys)
    }


def _filtered(
    path: Path, wanted: Mapping[str, Drop], folder: Path, name: str, taken: _Dropped
) -> tuple[ShardFacts, ...]:
    with pq.ParquetFile(path) as file, ShardWriter(folder, name, counts=False) as writer:
        for batch in file.iter_batches(batch_size=ROW_GROUP_ROWS):
            goes = pc.is_in(batch.column("source_id"), pa.array(list(wanted), pa.string()))
            for row in batch.filter(goes).to_pylist():
                _count(taken, row, wanted[row["source_id"]])
            rest = batch.filter(pc.invert(goes))
            if rest.num_rows:
                writer.add_batch(with_views(rest))
    return writer.facts


def _count(taken: _Dropped, row: Mapping[str, object], drop: Drop) -> None:
    taken.reasons[drop.reason] += 1
    taken.examples.setdefault(drop.reason, f"same image as {drop.of} (record {row['source_id']})")
    image, turns = row[IMAGE], row[TURNS]
    assert isinstance(image, dict) and isinstance(turns, list)
    texts = [str(row[name]) for name in TEXT_COLUMNS] + [text for turn in turns for text in turn.values()]
    taken.num_bytes += len(image["bytes"]) + sum(map(len, texts))


def _named(
    manifest: Manifest, kept: Sequence[tuple[ShardFacts, Path]], folder: Path
) -> tuple[ShardFacts, ...]:
    """The shards under their new names; `folder` gets all that do not lie under theirs."""
    named, moved = [], []
    for i, (facts, path) in enumerate(kept):
        name = f"{manifest.task}/{manifest.split}-{i:05}-of-{len(kept):05}.parquet"
        if path.parent != folder and name != facts.path:
            beside = folder / f"kept-{i:05}.parquet"
            _link(path, beside)
            path = beside
        if path.parent == folder:
            moved.append(asdict(replace(facts, path=path.name)))
        named.append(replace(facts, path=name))
    write_atomically(folder / _FACTS, json.dumps({"shards": moved}))
    return tuple(named)


def _link(path: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)


def _counts(manifest: Manifest, taken: _Dropped) -> dict[str, object]:
    counts = manifest.counts
    dropped = Counter(counts["dropped"]) + taken.reasons
    return {
        **counts,
        "written": counts["written"] - taken.reasons.total(),
        "dropped": dict(sorted(dropped.items())),
        "examples": dict(sorted((taken.examples | counts.get("examples", {})).items())),
    }


def _credits(out: Path, manifest: Manifest, drops: DropList) -> Mapping[str, object]:
    """The facts of the attribution table without the dropped instances."""
    if not manifest.attribution.get("sha256"):
        return manifest.attribution
    gone = {f"{manifest.task}/{key}" for key in drops.drops}
    rest = [one for one in read_attribution(out, manifest) if one.id not in gone]
    rows, size, digest = write_attribution(attribution_path(out, manifest.task), rest)
    return {**manifest.attribution, "rows": rows, "bytes": size, "sha256": digest}


def _finish_installation(work: Path, out: Path, task: str, report: Reporter) -> Manifest:
    """The installed manifest; what an earlier call of `drop_installed` left half done is done first."""
    record = BuildRecord.read(work / COMPLETE)
    if record is not None and record.recipe.get("drop_list") == read_list(out, task).facts() != {}:
        return install(work, out, record, report)
    try:
        return read_manifest(manifest_path(out, task))
    except OSError as error:
        hint = f"compile {task} again"
        raise VflanError(f"cannot read the manifest: {error}", where=Location(out), hint=hint) from error
