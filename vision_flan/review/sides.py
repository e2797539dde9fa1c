"""What `vflan diff` compares: the instances of a task as records make them, or of a compiled folder."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypedDict

from vision_flan.build.open_task import OpenTask
from vision_flan.columns import COLUMNS, IMAGE, OPTIONS, TEXT_COLUMNS, TURNS, Turn
from vision_flan.dataset.manifest import Manifest
from vision_flan.instances.maker import Dropped, Instance
from vision_flan.review.stored import stored_batches

#: Columns that are compared; an instance's id says which one it is.
COMPARED = tuple(name for name in COLUMNS if name != "id")
#: Candidates that are read at a time.
_BLOCK = 100


@dataclass(frozen=True, slots=True)
class Row:
    """An instance as texts to compare.

    Attributes:
        columns: every column but the id. Options are a line each; of the turns only those after the first,
            which is prompt and target; of the image its path and the start of its SHA-256.
    """

    id: str
    columns: Mapping[str, str]


class Side(Protocol):
    """One of the two versions of a task."""

    dropped: dict[str, str]
    """Instance id -> why it is not written, as far as known; complete when all rows were read."""

    otherwise: str
    """Why an instance that is neither written nor in `dropped` may be missing."""

    counts: Mapping[str, int]
    """Reason -> records that were dropped for it; complete when all rows were read."""

    def rows(self) -> Iterator[tuple[Row, bytes | None]]:
        """The instances with their image, None where the folder holds recipes; may be read again."""
        ...


class RecordsSide:
    """Instances made from records, as many as a compile would write."""

    def __init__(self, opened: OpenTask, seed: int, limit: int | None) -> None:
        self._opened, self._seed, self._limit = opened, seed, limit
        self.dropped: dict[str, str] = {}
        self.otherwise = "there is no such record"
        self.counts: Mapping[str, int] = {}

    def rows(self) -> Iterator[tuple[Row, bytes | None]]:
        """Made one after another, until the limit is reached."""
        candidates, maker = self._opened.candidates, self._opened.maker(self._seed)
        counts, left = Counter(candidates.dropped), self._limit
        self.dropped = {}
        for start in range(0, candidates.count, _BLOCK):
            for row in candidates.block(start, _BLOCK):
                if left == 0:
                    self.otherwise = f"beyond the limit of {self._limit:,}"
                    self.counts = dict(counts)
                    return
                name = f"{self._opened.task.id}/{row['_key']}"
                made = maker.make(row, self._opened.read, full_check=False)
                if isinstance(made, Dropped):
                    self.dropped[name] = made.reason
                    counts[made.reason] += 1
                else:
                    left = left - 1 if left is not None else None
                    yield _of_instance(name, made), made.image
        self.counts = dict(counts)


class FolderSide:
    """Instances of a compiled folder. Only an example of each reason for dropping records is known."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._folder, self._manifest = folder, manifest
        self.counts: Mapping[str, int] = manifest.counts["dropped"]
        reached = manifest.limit is not None and manifest.rows >= manifest.limit
        self.otherwise = f"beyond the limit of {manifest.limit:,}" if reached else "not in the folder"
        examples: Mapping[str, str] = manifest.counts.get("examples", {})
        self.dropped = {f"{manifest.task}/{_key_of(example)}": reason for reason, example in examples.items()}

    def rows(self) -> Iterator[tuple[Row, bytes | None]]:
        """Read shard by shard, a row group at a time.

        Raises:
            VflanError: a shard is missing or damaged.
        """
        for batch in stored_batches(self._folder, self._manifest):
            yield from map(_of_stored, batch.to_pylist())


def _key_of(example: str) -> str:
    """The key in `record 17` or `images/17.jpg (record 17)`, as manifests name an example."""
    before, found, key = example.rpartition("(record ")
    return key.removesuffix(")") if found and before else example.removeprefix("record ")


class _Stored(TypedDict, total=False):
    """What is taken from a row of a shard beside its text columns."""

    image: Mapping[str, object] | None
    options: list[str] | None
    turns: list[Mapping[str, str]] | None


def _of_stored(row: _Stored) -> tuple[Row, bytes | None]:
    stored = row.get("image") or {}
    data, path = stored.get("bytes"), str(stored.get("path") or "")
    image = data if isinstance(data, bytes) else None
    turns = [Turn(**turn) for turn in row.get("turns") or ()]
    texts = {name: str(row.get(name) or "") for name in TEXT_COLUMNS}
    return _row(texts, row.get("options") or [], turns[1:], path, image), image


def _of_instance(name: str, made: Instance) -> Row:
    texts = dict(zip(TEXT_COLUMNS, made.values, strict=True))
    return _row({**texts, "id": name}, made.options, list(made.later), made.image_path, made.image)


def _row(texts: dict[str, str], options: list[str], later: list[Turn], path: str, image: bytes | None) -> Row:
    checksum = f", sha256 {hashlib.sha256(image).hexdigest()[:16]}" if image is not None else ""
    texts[IMAGE] = path + checksum
    texts[OPTIONS] = "\n".join(options)
    texts[TURNS] = "\n".join(f"user: {turn.user}\nassistant: {turn.assistant}" for turn in later)
    return Row(texts["id"], {name: texts[name] for name in COMPARED})
