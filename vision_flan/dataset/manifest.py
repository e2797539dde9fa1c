"""What a compiled config was made from and what it holds; `verify` checks a folder against it.

Each config has one JSON file, `manifest/<task>.json`. It is written last: without it, a config is incomplete.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vision_flan.dataset.manifest_check import check_manifest
from vision_flan.dataset.plain import record_from
from vision_flan.dataset.shards import ShardFacts
from vision_flan.errors import Location, VflanError
from vision_flan.places.place import P, Place, files_in, source
from vision_flan.places.remote import RemotePath
from vision_flan.spec.license import License
from vision_flan.spec.model import DatasetSpec

MANIFEST_VERSION = 1
FOLDER = "manifest"


@dataclass(frozen=True)
class Manifest:
    """See docs/spec.md, "Manifest".

    Attributes:
        spec_sha256: checksum of the task, its dataset's tables and labels, and its instruction.
        versions: of the packages that affect bytes.
        raw_files: raw files the tables were read from: path, bytes, mtime; for many files, their number and
            a checksum.
        images: image files that were looked up: how many there are and how many are missing, a checksum.
        contents: distinct images, tokens of the answers, the smallest hashes of the images; nothing if it was
            compiled before they were counted (`vision_flan.dataset.contents`).
        limit: maximum instances, None for no limit.
        counts: candidates, written, dropped by reason, an example of each reason, not_needed.
        num_bytes: size of images and texts in memory, for `dataset_info.dataset_size`.
        source: title, homepage, license and citation of the dataset, for the card and for publishing.
        attribution: rows, bytes and sha256 of the attribution table; `missing`, the files it lacks.
        notices: file -> license text or copyright notice that travels with the images; empty text if the raw
            folder lacks it.
        drop_list: upstream's key -> reason, and the instance that stays: what `vflan duplicates --drop`
            removed. Left out of the file if it is empty.
    """

    task: str
    title: str
    alias: str | None
    dataset: str
    category: str
    suites: tuple[str, ...]
    split: str
    form: str
    spec_sha256: str
    versions: Mapping[str, str]
    seed: int
    limit: int | None
    image_check: str
    raw_files: tuple[Mapping[str, Any], ...]
    counts: Mapping[str, Any]
    shards: tuple[ShardFacts, ...]
    num_bytes: int
    source: Mapping[str, Any]
    instruction: str = ""
    images: Mapping[str, Any] = field(default_factory=dict)
    contents: Mapping[str, Any] = field(default_factory=dict)
    attribution: Mapping[str, Any] = field(default_factory=dict)
    notices: Mapping[str, str] = field(default_factory=dict)
    drop_list: Mapping[str, list[str]] = field(default_factory=dict)
    manifest_version: int = MANIFEST_VERSION

    @property
    def rows(self) -> int:
        return sum(shard.rows for shard in self.shards)

    @property
    def download_size(self) -> int:
        return sum(shard.bytes for shard in self.shards)

    def to_json(self) -> str:
        """Stable text: sorted keys, two spaces, a final newline."""
        data = asdict(self)
        if not self.drop_list:
            del data["drop_list"]
        return json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, place: Location) -> Manifest:
        """Parse a manifest.

        Raises:
            VflanError: not a manifest, or one of a newer version.
        """
        try:
            data = json.loads(text)
            version = data["manifest_version"]
            if version > MANIFEST_VERSION:
                raise VflanError(
                    f"manifest version {version} is newer than this package",
                    where=place,
                    hint="upgrade vision-flan",
                )
            check_manifest(data)
            data.pop("published", None)  # added on the Hub: vision_flan.dataset.publication
            data["shards"] = tuple(record_from(ShardFacts, shard) for shard in data["shards"])
            data["raw_files"] = tuple(data["raw_files"])
            data["suites"] = tuple(data["suites"])
            return cls(**data)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise VflanError(
                f"not a manifest: {error}", where=place, hint="compile the task again"
            ) from error


def source_block(dataset: DatasetSpec, license: License) -> dict[str, object]:
    """The facts of a task's dataset for the card and for publishing.

    Args:
        license: as it holds for the task.
    """
    facts: dict[str, object] = {
        "title": dataset.title,
        "homepage": dataset.homepage,
        "license": asdict(license),
        "citation": dataset.citation.strip(),
        "access": dataset.access,
        "sensitive": list(dataset.sensitive),
        "languages": list(dataset.languages),
        "sources": [asdict(source) for source in dataset.sources],
        "use": asdict(dataset.use) if dataset.use else None,
        "withdrawn": asdict(dataset.withdrawn) if dataset.withdrawn else None,
    }
    return facts


def manifest_path(folder: P, task: str) -> P:
    """The manifest of a task in a compiled folder."""
    return folder / FOLDER / f"{task}.json"


def read_manifest(path: Place) -> Manifest:
    """One manifest file.

    Raises:
        OSError: it cannot be read.
        VflanError: it is not a manifest, or belongs to another task.
    """
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise VflanError(
            f"not a manifest: {error}", where=Location(str(path)), hint="compile the task again"
        ) from error
    manifest = Manifest.from_json(text, Location(str(path)))
    if manifest.task != path.stem:
        raise VflanError(
            f"the manifest belongs to the task {manifest.task!r}",
            where=Location(str(path)),
            hint="compile the task again",
        )
    return manifest


def read_manifests(folder: Place) -> dict[str, Manifest]:
    """All manifests of a compiled folder, by task, sorted."""
    return {path.stem: read_manifest(path) for path in files_in(folder / FOLDER, "*.json")}


def readable_manifests(folder: Place) -> tuple[dict[str, Manifest], dict[str, VflanError]]:
    """The manifests of a compiled folder by task, sorted, and the errors of those that are broken."""
    found: dict[str, Manifest] = {}
    broken: dict[str, VflanError] = {}
    for path in files_in(folder / FOLDER, "*.json"):
        try:
            found[path.stem] = read_manifest(path)
        except VflanError as error:
            broken[path.stem] = error
    return found, broken


def write_atomically(path: Place, text: str) -> None:
    """Write a small text file; a reader sees either the old or the new one, never a part."""
    write_bytes_atomically(path, text.encode())


def write_bytes_atomically(path: Place, content: bytes, *, sync: bool = True) -> None:
    """Write a small file, as `write_atomically` does.

    Args:
        sync: wait until it is on the disk, so that a power cut leaves the old one or the new one; it may wait
            for everything else that was written.
    """
    if isinstance(path, RemotePath):
        path.write_bytes(content)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@dataclass(frozen=True)
class Problem:
    """A fault of a compiled folder."""

    task: str
    path: str
    message: str


@dataclass
class Verification:
    """Result of `verify`: what was checked, and the faults found."""

    tasks: int = 0
    shards: int = 0
    bytes: int = 0
    problems: list[Problem] = field(default_factory=list)


def verify(folder: Place, tasks: list[str] | None = None) -> Iterator[tuple[int, Verification]]:
    """Check a compiled folder against its manifests.

    Checked are every shard's size, sha256 and number of rows, the sums of the counts, and that no other
    Parquet file lies in a config's folder. Values are not decoded, so `num_bytes` is not checked; neither is
    README.md, which the next compile rewrites. `compile` checks raw files.

    Args:
        folder: a compiled folder.
        tasks: only these.

    Yields:
        (bytes read since the last item, the verification so far); the last item is complete.
    """
    result = Verification()
    manifests, broken = readable_manifests(folder)
    for task, error in broken.items():
        if not tasks or task in tasks:
            result.tasks += 1
            result.problems.append(Problem(task, f"{FOLDER}/{task}.json", f"cannot be used: {error.what}"))
    for task, manifest in manifests.items():
        if tasks and task not in tasks:
            continue
        result.tasks += 1
        result.problems.extend(
            Problem(task, f"{FOLDER}/{task}.json", message)
            for message in _sums(manifest.counts, manifest.rows)
        )
        known = set()
        for shard in manifest.shards:
            known.add(shard.path)
            result.shards += 1
            yield _check_shard(folder, task, shard, result), result
        for extra in files_in(folder / task, "*.parquet"):
            relative = f"{task}/{extra.name}"
            if relative not in known:
                result.problems.append(Problem(task, relative, "is not in the manifest"))
    yield 0, result


def _check_shard(folder: Place, task: str, shard: ShardFacts, result: Verification) -> int:
    path = folder / shard.path
    try:
        size = path.stat().st_size
    except OSError:
        result.problems.append(Problem(task, shard.path, "is missing"))
        return 0
    if size != shard.bytes:
        message = f"has {size:,} bytes, the manifest says {shard.bytes:,}"
        result.problems.append(Problem(task, shard.path, message))
        return 0
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != shard.sha256:
            result.problems.append(Problem(task, shard.path, "has a different sha256 than in the manifest"))
        elif (rows := _rows_of(path)) != shard.rows:
            message = f"has {rows:,} rows, the manifest says {shard.rows:,}"
            result.problems.append(Problem(task, shard.path, message))
    result.bytes += size
    return size


def _rows_of(path: Place) -> int:
    try:
        return int(pq.read_metadata(source(path)).num_rows)
    except (OSError, pa.ArrowException):
        return -1


def _sums(counts: Mapping[str, Any], rows: int) -> Iterator[str]:
    """Counts that do not add up, in a manifest with this many rows."""
    try:
        written, candidates = int(counts["written"]), int(counts["candidates"])
        dropped = sum(int(count) for count in counts["dropped"].values())
        rest = int(counts.get("not_needed", 0))
    except (KeyError, TypeError, ValueError, AttributeError):
        yield "has counts that are not numbers"
        return
    if written != rows:
        yield f"says {written:,} were written, its shards have {rows:,} rows"
    if written + dropped + rest != candidates:
        yield f"says {candidates:,} candidates, but counts {written:,} + {dropped:,} + {rest:,}"
