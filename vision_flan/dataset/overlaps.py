"""What a compiled folder shares with benchmarks: `overlaps.json`, as `vflan duplicates --against` found it.

An entry is of one task and one benchmark, and true as long as the task's shards are those that were compared.
A published manifest repeats those of its task, so that the card on the Hub names them, too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from vision_flan.dataset.manifest import Manifest, write_atomically
from vision_flan.dataset.plain import record_from
from vision_flan.places.place import Place

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

    @property
    def left(self) -> int:
        """Instances with an image of the benchmark that the task still has."""
        return self.exact + self.near - self.dropped


#: Task -> benchmark, by the name of its folder -> what they share.
Overlaps = dict[str, dict[str, Overlap]]


def read_overlaps(folder: Place, manifests: Mapping[str, Manifest]) -> Overlaps:
    """What is known of tasks of a compiled folder, and still true of their shards.

    Returns:
        An entry of zero overlaps for a task that was compared, none for one that was not. Empty if the file
        is missing or not one of ours.
    """
    try:
        data = json.loads((folder / FILE).read_text("utf-8"))
        if data["version"] != VERSION:
            return {}
        known = {task: overlaps_from(found) for task, found in data["tasks"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
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


def overlaps_from(data: object) -> dict[str, Overlap]:
    """The entries of one task, by benchmark.

    Raises:
        ValueError: they are not ours.
    """
    if not isinstance(data, Mapping):
        raise ValueError("the overlaps are not a mapping")  # noqa: TRY004
    found = {str(name): record_from(Overlap, facts) for name, facts in sorted(data.items())}
    for name, one in found.items():
        counts = (one.benchmark_images, one.instances, one.exact, one.near, one.dropped, one.left)
        if min(counts) < 0 or one.exact + one.near > one.instances:
            raise ValueError(f"the overlap with {name!r:.80} counts what cannot be")
    return found


def write_overlaps(folder: Place, manifests: Mapping[str, Manifest], found: Overlaps) -> None:
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


@dataclass(frozen=True)
class Benchmark:
    """What all tasks of a folder or repository share with one benchmark.

    Attributes:
        images, bits: as in the entries; a benchmark that was compared in two ways is there twice.
        compared: how many tasks were compared.
        shared: the tasks that had images of it, those with most left first.
    """

    name: str
    images: int
    bits: int
    compared: int
    shared: tuple[tuple[str, Overlap], ...]

    @property
    def found(self) -> int:
        """Instances with an image of it, of all tasks."""
        return sum(one.exact + one.near for _, one in self.shared)

    @property
    def dropped(self) -> int:
        """Of these, those that were then dropped."""
        return sum(one.dropped for _, one in self.shared)

    @property
    def left(self) -> list[tuple[str, int]]:
        """Tasks that still have such instances, and how many."""
        return [(task, one.left) for task, one in self.shared if one.left]


def by_benchmark(tasks: Mapping[str, Mapping[str, Overlap]]) -> list[Benchmark]:
    """The entries of all tasks by benchmark, sorted by name."""
    groups: dict[tuple[str, int, int], list[tuple[str, Overlap]]] = {}
    for task, found in tasks.items():
        for name, one in found.items():
            groups.setdefault((name, one.benchmark_images, one.bits), []).append((task, one))
    return [
        Benchmark(
            *key,
            compared=len(members),
            shared=tuple(
                sorted(
                    ((task, one) for task, one in members if one.exact + one.near),
                    key=lambda item: (-item[1].left, item[0]),
                )
            ),
        )
        for key, members in sorted(groups.items())
    ]
