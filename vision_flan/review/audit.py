"""`vflan audit`: images and answers of a compiled folder that a person should look at.

Images are read once, a hundred rows at a time. Kept of each are its measures, its checksum, its perceptual
hash and a few hundred bytes of colors, of one task at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from vision_flan.columns import IMAGE, OPTIONS
from vision_flan.dataset.manifest import Manifest
from vision_flan.instances.images import BadImageError
from vision_flan.report import Reporter
from vision_flan.review import looks, odd_labels, same
from vision_flan.review.duplicates import USUAL, Hashing, Images, Place, hashes_of, hashing_library
from vision_flan.review.looks import Looks
from vision_flan.review.odd_labels import Features, Odd
from vision_flan.review.stored import manifests_of, shown_image, stored_batches
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.names import find_configs

_COLUMNS = ("id", IMAGE, "instruction", "input", "target", OPTIONS)
#: Kind -> what it means, for people.
KINDS = looks.KINDS | {
    "two_answers": "two answers: one question about one image, or nearly one, is answered in two ways",
    "outlier": "outlier: the image looks like those with another answer",
}


@dataclass(frozen=True)
class Limits:
    """What counts as odd.

    Attributes:
        looks: limits of cleanvision by kind.
        bits: in which hashes of images that are nearly the same may differ.
        outlier: an answer is odd if its image's neighbors are nearer than this share of the distance to the
            nearest image with the same answer; 0 looks for none.
        sample: at most so many instances of a task, evenly over it; None for all.
    """

    looks: Mapping[str, float] = field(default_factory=lambda: dict(looks.USUAL))
    bits: int = USUAL
    outlier: float = odd_labels.USUAL
    sample: int | None = None


class Finding(NamedTuple):
    """An instance to look at; its score is 0 at worst and 1 at best."""

    kind: str
    task: str
    id: str
    score: float
    note: str = ""


@dataclass
class Audit:
    """What was found: by kind, the worst first."""

    folder: Path
    images: int = 0
    tasks: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    unread: Counter[str] = field(default_factory=Counter)

    def counts(self) -> Counter[tuple[str, str]]:
        """(task, kind) -> findings."""
        return Counter((one.task, one.kind) for one in self.findings)


@dataclass
class _Task:
    """The images of one task."""

    images: Images = field(default_factory=Images)
    looks: Looks = field(default_factory=Looks)
    features: list[Features] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)


def audit_folder(
    folder: Path, catalog: Catalog, report: Reporter, tasks: Sequence[str] = (), limits: Limits = Limits()
) -> Audit:
    """Look at the images and answers of a compiled folder, task by task.

    Args:
        tasks: only these configs.

    Raises:
        VflanError: no compiled config, a shard that cannot be read, or a library is not installed.
        SpecError: a name that the folder has no config of.
    """
    looks.check_library()
    hashing = hashing_library()
    manifests = manifests_of(folder)
    chosen = find_configs(catalog, tasks, list(manifests), folder) or list(manifests)
    audit = Audit(folder, tasks=list(chosen))
    report.stage("looking at images", sum(_looked_at(manifests[name], limits) for name in chosen))
    for name in chosen:
        audit.findings += _audit(audit, manifests[name], limits, hashing, report)
    order = {kind: number for number, kind in enumerate(KINDS)}
    audit.findings.sort(key=lambda one: (order[one.kind], one.score, one.id))
    return audit


def _looked_at(manifest: Manifest, limits: Limits) -> int:
    return manifest.rows if limits.sample is None else min(limits.sample, manifest.rows)


def _audit(
    audit: Audit, manifest: Manifest, limits: Limits, hashing: Hashing, report: Reporter
) -> Iterator[Finding]:
    """The findings of one task."""
    task = _Task()
    for rows in _sampled(audit.folder, manifest, _looked_at(manifest, limits)):
        _add(audit, manifest.task, task, rows, hashing)
        report.advance(rows.num_rows)
    audit.images += len(task.answers)
    for kind, found in task.looks.issues(limits.looks).items():
        for i, score in found:
            yield _finding(kind, task, Odd(i, score, ""))
    if not odd_labels.is_closed(task.answers):
        return
    for odd in odd_labels.different_answers(task.images, task.answers, limits.bits):
        yield _finding("two_answers", task, odd)
    if limits.outlier and len(set(task.images.signatures)) == 1:  # all are asked the same
        names = [place.id for place in task.images.places]
        for odd in odd_labels.outliers(np.stack(task.features), task.answers, names, limits.outlier):
            yield _finding("outlier", task, odd)


def _sampled(folder: Path, manifest: Manifest, wanted: int) -> Iterator[pa.RecordBatch]:
    """So many rows of a config, evenly over it."""
    start = 0
    for batch in stored_batches(folder, manifest, _COLUMNS):
        if wanted == manifest.rows:
            yield batch
            continue
        inside = [
            row
            for row in range(batch.num_rows)
            if (start + row + 1) * wanted // manifest.rows > (start + row) * wanted // manifest.rows
        ]
        start += batch.num_rows
        yield batch.take(pa.array(inside, pa.int64()))


def _add(audit: Audit, name: str, task: _Task, rows: pa.RecordBatch, hashing: Hashing) -> None:
    data = rows.column(IMAGE).field("bytes")
    ids, texts = rows.column("id").to_pylist(), (same.questions(rows), same.answers(rows))
    for key, image, question, answer in zip(ids, data, *texts, strict=True):
        content = image.as_py()
        try:
            shown = shown_image(content)
        except BadImageError as error:
            audit.unread[str(error)] += 1
            continue
        task.images.add(Place(0, name, key), content, hashes_of(shown, hashing), question)
        task.looks.add(shown)
        task.features.append(odd_labels.feature(shown))
        task.answers.append(answer)


def _finding(kind: str, task: _Task, odd: Odd) -> Finding:
    place = task.images.places[odd.number]
    return Finding(kind, place.task, place.id, round(odd.score, 4), odd.note)
