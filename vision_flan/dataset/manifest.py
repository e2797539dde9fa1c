"""What a compiled config was made from and what it holds; `verify` checks a folder against it.

One JSON file a config, `manifest/<task>.json`, written last: a config without one is not complete.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vision_flan.dataset.shards import ShardFacts
from vision_flan.errors import Location, VflanError
from vision_flan.spec.model import DatasetSpec

MANIFEST_VERSION = 1
FOLDER = "manifest"


@dataclass(frozen=True)
class Manifest:
    """See docs/spec.md, "Manifest".

    Attributes:
        spec_sha256: checksum of the task, its dataset's tables and labels, and its instruction.
        versions: of the packages whose change may change bytes.
        raw_files: raw files the tables were read from: path, bytes, mtime.
        limit: the quota, None for none.
        counts: candidates, written, dropped by reason.
        num_bytes: of the images and texts in memory, as `dataset_info.dataset_size` counts them.
        source: title, homepage, license, citation of the dataset, for card and publisher.
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
    manifest_version: int = MANIFEST_VERSION

    @property
    def rows(self) -> int:
        return sum(shard.rows for shard in self.shards)

    @property
    def download_size(self) -> int:
        return sum(shard.bytes for shard in self.shards)

    def to_json(self) -> str:
        """Stable text: sorted keys, two spaces, a final newline."""
        return json.dumps(asdict(self), indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, place: Location) -> Manifest:
        """Parse a manifest.

        Raises:
            VflanError: not a manifest, or of a newer version than this package knows.
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
            data.pop("published", None)  # how the Hub has it: vision_flan.dataset.publication
            data["shards"] = tuple(ShardFacts(**shard) for shard in data["shards"])
            data["raw_files"] = tuple(data["raw_files"])
            data["suites"] = tuple(data["suites"])
            return cls(**data)
        except (ValueError, KeyError, TypeError) as error:
            raise VflanError(
                f"not a manifest: {error}", where=place, hint="compile the task again"
            ) from error


def source_block(dataset: DatasetSpec) -> dict[str, Any]:
    """The facts of a dataset that card and publisher need."""
    return {
        "title": dataset.title,
        "homepage": dataset.homepage,
        "license": asdict(dataset.license),
        "citation": dataset.citation.strip(),
        "access": dataset.access,
        "sensitive": list(dataset.sensitive),
        "languages": list(dataset.languages),
    }


def manifest_path(folder: Path, task: str) -> Path:
    return folder / FOLDER / f"{task}.json"


def read_manifest(path: Path) -> Manifest:
    """One manifest file."""
    return Manifest.from_json(path.read_text("utf-8"), Location(path))


def read_manifests(folder: Path) -> dict[str, Manifest]:
    """All manifests of a compiled folder, by task, sorted."""
    return {path.stem: read_manifest(path) for path in sorted((folder / FOLDER).glob("*.json"))}


def write_atomically(path: Path, text: str) -> None:
    """Write a small text file so that a reader sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a compiled folder."""

    task: str
    path: str
    message: str


@dataclass
class Verification:
    """Result of `verify`: what was checked and what is wrong."""

    tasks: int = 0
    shards: int = 0
    bytes: int = 0
    problems: list[Problem] = field(default_factory=list)


def verify(folder: Path, tasks: list[str] | None = None) -> Iterator[tuple[int, Verification]]:
    """Check every shard's size and sha256 against the manifests.

    Args:
        folder: a compiled folder.
        tasks: only these.

    Yields:
        (bytes read since the last, the verification so far); the last one is complete.
    """
    result = Verification()
    for task, manifest in read_manifests(folder).items():
        if tasks and task not in tasks:
            continue
        result.tasks += 1
        known = set()
        for shard in manifest.shards:
            known.add(shard.path)
            result.shards += 1
            yield _check_shard(folder, task, shard, result), result
        for extra in sorted((folder / task).glob("*.parquet")):
            relative = f"{task}/{extra.name}"
            if relative not in known:
                result.problems.append(Problem(task, relative, "is not in the manifest"))
    yield 0, result


def _check_shard(folder: Path, task: str, shard: ShardFacts, result: Verification) -> int:
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
            result.problems.append(Problem(task, shard.path, "has another sha256 than the manifest says"))
    result.bytes += size
    return size
