"""`vflan stats`: what a compiled folder holds, by task and by category.

Shards are read a hundred rows at a time. Kept of a row are counts, and eight bytes of its image's checksum:
two of a million images are confused in fewer than one of ten million folders.
"""

from __future__ import annotations

import hashlib
import math
import re
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np
import pyarrow as pa

from vision_flan.columns import IMAGE, OPTIONS, TURNS
from vision_flan.dataset.manifest import Manifest
from vision_flan.instances.images import BadImageError, check_image
from vision_flan.places.place import Place
from vision_flan.report import Reporter
from vision_flan.review.stored import manifests_of, stored_batches
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.names import find_configs

_COLUMNS = (IMAGE, "prompt", "target", OPTIONS, TURNS)
_LETTER = re.compile(r"\([A-Z]\) ")


class Spread(TypedDict):
    """How numbers are spread; all 0 where there are none."""

    min: int
    median: float
    mean: float
    max: int


@dataclass
class Stats:
    """What is counted of a task, a category or a whole folder.

    Attributes:
        name: the task, the category, or "all".
        shard_bytes, image_bytes: size of the shards, and of the images in them.
        prompt_words, answer_words: length in words -> how many there are; every turn counts.
        answers: checksum of an answer without its option's letter -> how often it is the target; of a task
            only.
        widths, heights: stored pixels -> images.
        formats: JPEG, PNG, ... -> images.
        unread: reason -> images that are none, or that the folder does not hold.
        digests: 64 bits of each image's SHA-256.
    """

    name: str
    category: str = ""
    source: str = ""
    tasks: int = 0
    instances: int = 0
    shard_bytes: int = 0
    image_bytes: int = 0
    prompt_words: Counter[int] = field(default_factory=Counter)
    answer_words: Counter[int] = field(default_factory=Counter)
    answers: Counter[int] = field(default_factory=Counter)
    widths: Counter[int] = field(default_factory=Counter)
    heights: Counter[int] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)
    unread: Counter[str] = field(default_factory=Counter)
    digests: array[int] = field(default_factory=lambda: array("Q"))

    @property
    def images(self) -> int:
        """Distinct images."""
        return int(np.unique(np.frombuffer(self.digests, np.uint64)).size) if self.digests else 0

    @property
    def entropy(self) -> float:
        """Entropy of the answers in bits: 0 if all are the same, log2 of their number if all occur alike."""
        total = self.answers.total()
        shares = (count / total for count in self.answers.values())
        return abs(-sum(share * math.log2(share) for share in shares))

    def add(self, other: Stats) -> None:
        """Add up all but the answers, which are those of one task."""
        for name in ("tasks", "instances", "shard_bytes", "image_bytes"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for mine, theirs in (
            (self.prompt_words, other.prompt_words),
            (self.answer_words, other.answer_words),
            (self.widths, other.widths),
            (self.heights, other.heights),
        ):
            mine.update(theirs)
        self.formats.update(other.formats)
        self.unread.update(other.unread)
        self.digests.extend(other.digests)


@dataclass(frozen=True)
class FolderStats:
    """The numbers of a compiled folder: all in all, by category (largest first) and by task."""

    total: Stats
    categories: Sequence[Stats]
    tasks: Sequence[Stats]


def folder_stats(folder: Place, catalog: Catalog, report: Reporter, tasks: Sequence[str] = ()) -> FolderStats:
    """Read a compiled folder.

    Args:
        tasks: only these, by id or published name.

    Raises:
        VflanError: no compiled config, or a manifest or shard that cannot be read.
        SpecError: a name that the folder has no config of.
    """
    manifests = manifests_of(folder)
    chosen = find_configs(catalog, tasks, list(manifests), folder) or list(manifests)
    report.stage("reading", sum(manifests[name].rows for name in chosen))
    total, categories, found = Stats("all"), dict[str, Stats](), []
    for name in chosen:
        one = _task_stats(folder, manifests[name], report)
        found.append(one)
        total.add(one)
        categories.setdefault(one.category, Stats(one.category)).add(one)
        one.digests = array("Q", sorted(set(one.digests)))
    by_size = sorted(categories.values(), key=lambda one: (-one.instances, one.name))
    return FolderStats(total, by_size, found)


def _task_stats(folder: Place, manifest: Manifest, report: Reporter) -> Stats:
    one = Stats(manifest.task, manifest.category, manifest.dataset, 1, shard_bytes=manifest.download_size)
    for batch in stored_batches(folder, manifest, _COLUMNS):
        _count_images(one, (image.as_py() for image in batch.column(IMAGE).field("bytes")))
        _count_texts(one, batch)
        one.instances += batch.num_rows
        report.advance(batch.num_rows)
    return one


def _count_images(one: Stats, images: Iterable[bytes | None]) -> None:
    for data in images:
        if data is None:
            one.unread["not in the folder"] += 1
            continue
        one.image_bytes += len(data)
        one.digests.append(int.from_bytes(hashlib.sha256(data).digest()[:8], "big"))
        try:
            facts = check_image(data)
        except BadImageError as error:
            one.unread[str(error)] += 1
            continue
        one.formats[facts.format] += 1
        one.widths[facts.width] += 1
        one.heights[facts.height] += 1


def _count_texts(one: Stats, batch: pa.RecordBatch) -> None:
    prompts, targets = (batch.column(name).to_pylist() for name in ("prompt", "target"))
    options = batch.column(OPTIONS).to_pylist()
    turns = batch.column(TURNS).to_pylist() if TURNS in batch.schema.names else [None] * len(prompts)
    for prompt, target, shown, exchange in zip(prompts, targets, options, turns, strict=True):
        spoken = exchange or [{"user": prompt, "assistant": target}]  # compiled before there were turns
        one.prompt_words.update(len(turn["user"].split()) for turn in spoken)
        one.answer_words.update(len(turn["assistant"].split()) for turn in spoken)
        answer = _LETTER.sub("", target, count=1) if shown and _LETTER.match(target) else target
        one.answers[int.from_bytes(hashlib.sha256(answer.encode()).digest()[:8], "big")] += 1


def spread(counts: Mapping[int, int]) -> Spread:
    """Smallest, median, mean and largest of numbers that are counted."""
    total = sum(counts.values())
    if not total:
        return {"min": 0, "median": 0.0, "mean": 0.0, "max": 0}
    values = sorted(counts)
    mean = sum(value * count for value, count in counts.items()) / total
    ends = np.cumsum([counts[value] for value in values])
    low, high = (values[int(np.searchsorted(ends, rank, "right"))] for rank in ((total - 1) // 2, total // 2))
    return {"min": values[0], "median": (low + high) / 2, "mean": round(mean, 2), "max": values[-1]}


def facts_of(stats: FolderStats) -> dict[str, object]:
    """The numbers for JSON."""
    return {
        "total": _facts(stats.total),
        "categories": [{"category": one.name, **_facts(one)} for one in stats.categories],
        "tasks": [
            {
                "task": one.name,
                "category": one.category,
                "source": one.source,
                **_facts(one),
                "distinct_answers": len(one.answers),
                "answer_entropy_bits": round(one.entropy, 4),
            }
            for one in stats.tasks
        ],
    }


def _facts(one: Stats) -> dict[str, object]:
    return {
        "tasks": one.tasks,
        "instances": one.instances,
        "distinct_images": one.images,
        "shard_bytes": one.shard_bytes,
        "image_bytes": one.image_bytes,
        "prompt_words": spread(one.prompt_words),
        "answer_words": spread(one.answer_words),
        "image_width": spread(one.widths),
        "image_height": spread(one.heights),
        "image_formats": dict(one.formats.most_common()),
        "images_not_read": dict(sorted(one.unread.items())),
    }
