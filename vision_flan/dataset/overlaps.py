"""What a compiled folder shares with benchmarks: `overlaps.json`, as `vflan duplicates --against` found it.

An entry is of one task and one benchmark, and true as long as the task's shards are those that were compared.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from vision_flan.dataset.manifest import Manifest, write_atomically

FILE = "overlaps.json"
VERSION = 1


@dataclass(frozen=True)
class Overlap:
    """What a task shares with a benchmark.

    Attributes:
        benchmark_images: images of the benchmark that were compared.
        bits: in which perceptual hashes might differ; -1 if only bytes were compared.
        instances: instances of the task that were compared.
        exact, near: of these, those with an image of the benchmark, byte for byte or to the eye.
        dropped: of these, those that were then dropped.
        shards: checksum of the task's shards.
    """

    benchmark_images: int
    bits: int
    instances: int
    exact: int
    near: int
    dropped: int
    shards: str


#: Task -> benchmark, by the name of its folder -> what they share.
Overlaps = dict[str, dict[str, Overlap]]


def read_overlaps(folder: Path, manifests: Mapping[str, Manifest]) -> Overlaps:
    """What is known of tasks of a compiled folder, and still true of their shards.

    Returns:
        An entry of zero overlaps for a task that was compared, none for one that was not. Empty if the file
        is missing or not one of ours.
    """
    try:
        data = json.loads((folder / FILE).read_text("utf-8"))
        if data["version"] != VERSION:
            return {}
        known = {
            task: {name: Overlap(**facts) for name, facts in found.items()}
            for task, found in data["tasks"].items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
    current = {
        task: {
            name: one
            for name, one in sorted(found.items())
            if task in manifests and one.shards == shards_checksum(manifests[task])
        }
        for task, found in sorted(known.items())
    }
    return {task: found for task, found in current.items() if found}


def write_overlaps(folder: Path, manifests: Mapping[str, Manifest], found: Overlaps) -> None:
    """Add what was found to the file; entries of other benchmarks stay as long as they are true.

    Raises:
        OSError: the folder cannot be written.
    """
    known = read_overlaps(folder, manifests)
    tasks = {
        task: {name: asdict(one) for name, one in sorted((known.get(task, {}) | found.get(task, {})).items())}
        for task in sorted({*known, *found})
    }
    write_atomically(folder / FILE, json.dumps({"version": VERSION, "tasks": tasks}, indent=2) + "\n")


def shards_checksum(manifest: Manifest) -> str:
    """A checksum of the shards of a config."""
    return hashlib.sha256(" ".join(shard.sha256 for shard in manifest.shards).encode()).hexdigest()
