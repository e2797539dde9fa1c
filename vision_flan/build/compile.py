"""The way of a task on one screen: spec -> raw files -> records -> instances -> shards -> manifest -> card.

Candidates are cut into blocks in selection order. A block is the unit of everything: one worker makes it, it
becomes one shard, a resumed build skips it. So the shards do not depend on the number of workers, and what
was finished before a Ctrl-C or a kill stays finished. Nothing appears in the compiled folder before the
whole config is there.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb

from vision_flan import __version__
from vision_flan.build.blocks import MISSING_IMAGE, Block, BlockMaker, run_blocks
from vision_flan.dataset.card import write_card
from vision_flan.dataset.manifest import (
    Manifest,
    manifest_path,
    read_manifest,
    source_block,
    write_atomically,
)
from vision_flan.dataset.shards import ShardFacts
from vision_flan.errors import MachineError, MissingRawError, Location, SpecError, VflanError
from vision_flan.instances.maker import InstanceMaker
from vision_flan.instances.rendering import read_template
from vision_flan.raw.folder import RawDataset, RawFile
from vision_flan.readers.image_refs import ImageStore
from vision_flan.records.store import RecordStore
from vision_flan.records.tables import (
    TaskSources,
    all_readers,
    how_to_get,
    load_records,
    missing_files,
    next_step,
    open_raw,
    task_sources,
)
from vision_flan.report import Reporter
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.model import TaskSpec

WORK_FOLDER = ".vflan"

#: Packages whose change may change bytes.
_PACKAGES = ("pyarrow", "duckdb", "jinja2", "pillow")


@dataclass(frozen=True)
class Options:
    """How to compile; none of it but `seed`, `limit` and `full_check` may change the shards.

    Attributes:
        limit: quota; "spec" takes the task's own, None takes all.
        workers: threads (reading, hashing and writing release the interpreter lock).
        full_check: decode every image instead of checking header and end.
        force: build even if the config is there and up to date.
    """

    seed: int = 0
    limit: int | str | None = "spec"
    workers: int = 2
    full_check: bool = False
    force: bool = False


@dataclass(frozen=True)
class Result:
    """A compiled config; `built` is False when it was already up to date."""

    manifest: Manifest
    folder: Path
    built: bool


def compile_task(
    name: str, raw_root: Path, out: Path, catalog: Catalog, options: Options, report: Reporter
) -> Result:
    """Compile one task into `out/<task>/` and refresh the card.

    Raises:
        SpecError: the spec is wrong.
        MissingRawError: raw files are not there; says which, from where, and where to put them.
        BadRawError: a raw file is not what its format says.
        MachineError: disk full, no permission, another compile of this task runs.
    """
    task = catalog.task(name)
    sources = task_sources(task, catalog)
    raw = open_raw(sources.dataset, catalog, raw_root)
    problem = missing_files(sources, raw)
    if problem:
        raise problem
    with _machine_errors(out), _task_lock(out, task.id) as work:
        identity = _identity(task, sources, raw, catalog, options)
        done = _up_to_date(out, task.id, identity)
        if done and not options.force and not (work / "manifest.json").exists():
            return Result(done, out, built=False)
        _begin(work, identity)
        if not (work / "manifest.json").exists():
            manifest = _build(task, sources, raw, catalog, options, work, identity, report)
            write_atomically(work / "manifest.json", manifest.to_json())
        manifest = _install(work, out, task.id)
    return Result(manifest, out, built=True)


def _build(
    task: TaskSpec,
    sources: TaskSources,
    raw: RawDataset,
    catalog: Catalog,
    options: Options,
    work: Path,
    identity: dict[str, Any],
    report: Reporter,
) -> Manifest:
    (work / "records.duckdb").unlink(missing_ok=True)
    quota = _quota(task, options)
    with RecordStore(work) as store:
        candidates = load_records(task, sources, raw, options.seed, store, report)
        maker = InstanceMaker(
            task, sources.labels, catalog.instruction_file(task.id), options.seed, candidates
        )
        images = ImageStore(raw, all_readers(sources.dataset))
        blocks = BlockMaker(maker, images.read, work / "blocks", options.full_check, report)
        report.stage(f"writing {task.id}", min(quota or candidates.count, candidates.count))
        finished = run_blocks(blocks, candidates, quota, options.workers)
    raw.close()
    dropped = Counter(candidates.dropped)
    for block in finished:
        dropped.update(block.dropped)
    written = sum(block.rows for block in finished)
    if not written:
        raise _nothing_written(task, sources, raw, dropped)
    counts = {
        "candidates": candidates.total,
        "written": written,
        "dropped": dict(sorted(dropped.items())),
        "not_needed": candidates.total - written - sum(dropped.values()),
    }
    shards = [block for block in finished if block.rows]
    return _manifest(task, sources, catalog, identity, counts, shards)


def _quota(task: TaskSpec, options: Options) -> int | None:
    return task.limit if options.limit == "spec" else options.limit  # type: ignore[return-value]


def _nothing_written(
    task: TaskSpec, sources: TaskSources, raw: RawDataset, dropped: Mapping[str, int]
) -> VflanError:
    reasons = ", ".join(f"{reason}: {count:,}" for reason, count in sorted(dropped.items())) or "no records"
    if dropped.get(MISSING_IMAGE):
        return MissingRawError(
            f"no image of {task.id} was found ({reasons})\n"
            + how_to_get(sources.dataset, sources.dataset.files),
            where=Location(raw.root),
            hint=next_step(sources.dataset),
        )
    return SpecError(
        f"{task.id} yields no instance ({reasons})",
        where=task.place(),
        hint=f"`vflan preview {task.id}` shows what the records look like",
    )


def _identity(
    task: TaskSpec, sources: TaskSources, raw: RawDataset, catalog: Catalog, options: Options
) -> dict[str, Any]:
    """Everything that decides the bytes of a config: same identity, same shards."""
    tables = {name: sources.dataset.tables[name] for name in sources.readers}
    instruction = read_template(catalog.instruction_file(task.id))
    spec = json.dumps([task.document.data, tables, sources.labels, instruction], sort_keys=True)
    files: dict[str, RawFile] = {}
    for table in tables.values():
        if table["reader"] == "files":
            continue  # nothing is read of them but their names, which the records hold
        for path, _ in raw.list(table["file"]):
            files[path] = raw.stat(path)
    return {
        "spec_sha256": hashlib.sha256(spec.encode()).hexdigest(),
        "versions": {name: version(name) for name in _PACKAGES} | {"vision_flan": __version__},
        "seed": options.seed,
        "limit": _quota(task, options),
        "image_check": "full" if options.full_check else "header",
        "raw_files": [
            {"path": file.path, "bytes": file.bytes, "mtime": round(file.mtime, 3), "archive": file.archive}
            for _, file in sorted(files.items())
        ],
    }


def _up_to_date(out: Path, task: str, identity: dict[str, Any]) -> Manifest | None:
    try:
        manifest = read_manifest(manifest_path(out, task))
    except (OSError, VflanError):
        return None
    same = all(_plain(getattr(manifest, key)) == _plain(value) for key, value in identity.items())
    sizes = all(_size(out / shard.path) == shard.bytes for shard in manifest.shards)
    return manifest if same and sizes else None


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else -1


def _begin(work: Path, identity: dict[str, Any]) -> None:
    """Keep what an interrupted run of the same build finished; clear the rest."""
    text = json.dumps(identity, sort_keys=True)
    mark = work / "build.json"
    if not mark.exists() or mark.read_text() != text:
        for path in work.iterdir():
            if path.name != "lock":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        write_atomically(mark, text)


def _manifest(
    task: TaskSpec,
    sources: TaskSources,
    catalog: Catalog,
    identity: dict[str, Any],
    counts: dict[str, Any],
    blocks: list[Block],
) -> Manifest:
    shards = tuple(
        ShardFacts(f"{task.id}/{task.split}-{i:05}-of-{len(blocks):05}.parquet", b.rows, b.bytes, b.sha256)
        for i, b in enumerate(blocks)
    )
    return Manifest(
        task=task.id,
        title=task.title,
        alias=task.alias,
        dataset=task.dataset,
        category=task.category,
        suites=task.suites,
        split=task.split,
        form=task.form,
        counts=counts,
        shards=shards,
        num_bytes=sum(block.content_bytes for block in blocks),
        source=source_block(sources.dataset),
        instruction=read_template(catalog.instruction_file(task.id)).strip(),
        **identity,
    )


def _install(work: Path, out: Path, task: str) -> Manifest:
    """Move a complete config into place: the old manifest goes first, the new one comes last.

    Runs again from where it was cut off: what is moved already is not there to move.
    """
    manifest = read_manifest(work / "manifest.json")
    folder = out / task
    folder.mkdir(exist_ok=True)
    manifest_path(out, task).unlink(missing_ok=True)
    blocks = sorted(path for path in (work / "blocks").glob("*.json"))
    files = [json.loads(path.read_text()) for path in blocks]
    by_sha = {block["sha256"]: work / "blocks" / block["file"] for block in files if block["rows"]}
    for shard in manifest.shards:
        source = by_sha.get(shard.sha256)
        if source is not None and source.exists():
            source.replace(out / shard.path)
    keep = {out / shard.path for shard in manifest.shards}
    for stale in folder.glob("*.parquet"):
        if stale not in keep:
            stale.unlink()
    write_atomically(manifest_path(out, task), manifest.to_json())
    with _locked(out / WORK_FOLDER / "card.lock", wait=True):
        write_card(out)
    for path in work.iterdir():
        if path.name != "lock":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return manifest


@contextmanager
def _task_lock(out: Path, task: str) -> Iterator[Path]:
    """The task's work folder, for one process at a time."""
    work = out / WORK_FOLDER / task
    work.mkdir(parents=True, exist_ok=True)
    with _locked(work / "lock", wait=False):
        yield work


@contextmanager
def _locked(path: Path, *, wait: bool) -> Iterator[None]:
    with path.open("w") as file:  # the kernel lets go of the lock when the process dies
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise MachineError(
                "another compile of this task runs in this folder",
                where=Location(path.parent),
                hint="wait for it, or compile into another --out",
            ) from error
        yield


@contextmanager
def _machine_errors(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise MachineError(
                f"cannot write: {error.strerror}",
                where=Location(out),
                hint="free some space, then the same command again: finished shards are kept",
            ) from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EEXIST):
            raise MachineError(
                f"cannot write: {error.strerror}",
                where=Location(error.filename or out),
                hint="choose another --out",
            ) from error
        raise
    except duckdb.Error as error:
        raise MachineError(
            f"DuckDB: {str(error).splitlines()[0]}",
            where=Location(out),
            hint="is there space for the work folder?",
        ) from error
