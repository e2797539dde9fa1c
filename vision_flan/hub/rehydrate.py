"""From a published recipe and raw files back to the full config, checked against what was published.

The task is compiled again from the local spec with the published seed and quota. With the same versions of
the packages the shards come out byte for byte; with others the rows are compared, images by checksum.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from huggingface_hub import HfApi

from vision_flan.build.compile import Options, compile_task
from vision_flan.columns import COLUMNS, IMAGE
from vision_flan.dataset.card import write_card
from vision_flan.dataset.manifest import Manifest, manifest_path, write_atomically
from vision_flan.dataset.publication import RECIPE, PublishedTask
from vision_flan.errors import BadRawError, HubError, Location, SpecError
from vision_flan.hub.remote import REPO_TYPE, Reader, Remote
from vision_flan.hub.waiting import Patience
from vision_flan.report import Reporter
from vision_flan.spec.catalog import Catalog

#: Inside the output folder: configs that are not checked yet.
STAGING = ".rehydrate"
SHARDS, ROWS = "shards", "rows"


@dataclass(frozen=True)
class Rehydrated:
    """A config that is whole again; `same` says what was found equal: the shards, or every row."""

    task: str
    manifest: Manifest
    same: str


@dataclass
class Rehydrator:
    """Makes published tasks whole in a folder.

    Attributes:
        raw: raw files, a subfolder per dataset.
        out: compiled folder; other configs in it stay.
        revision: branch, tag or commit of the repository.
    """

    api: HfApi
    repo_id: str
    raw: Path
    out: Path
    catalog: Catalog
    report: Reporter
    patience: Patience
    revision: str = "main"
    workers: int = 2

    def tasks(self, names: Sequence[str]) -> tuple[Remote, list[PublishedTask]]:
        """The published tasks of these names, all recipes where there are none.

        Raises:
            HubError: no such repository or task.
        """
        remote = Reader(self.api, self.repo_id, self.patience).read(self.revision)
        if remote.head is None:
            raise HubError(
                f"there is no dataset {self.repo_id} that this token may see", hint="check OWNER/NAME"
            )
        for name in names:
            if name not in remote.tasks:
                raise HubError(
                    f"{self.repo_id} has no task {name}",
                    hint=f"it has {', '.join(list(remote.tasks)[:8]) or 'none'}",
                )
        recipes = [name for name, task in remote.tasks.items() if task.publication.form == RECIPE]
        return remote, [remote.tasks[name] for name in names or recipes]

    def run(self, remote: Remote, published: PublishedTask) -> Rehydrated:
        """Compile one task, check it, and move it into the folder.

        Raises:
            MissingRawError: raw files are not there.
            SpecError: the spec here is not the one that was published.
            BadRawError: other images or texts came out.
        """
        task, wanted = published.task, published.manifest
        staging = self.out / STAGING
        options = Options(wanted.seed, wanted.limit, self.workers, wanted.image_check == "full")
        built = compile_task(task, self.raw, staging, self.catalog, options, self.report).manifest
        if built.spec_sha256 != wanted.spec_sha256:
            raise SpecError(
                f"the spec of {task} here is not the one {self.repo_id} was made with",
                where=Location(str(self.catalog.task_files[task])),
                hint=f"pip install vision-flan=={wanted.versions.get('vision_flan', '')}",
            )
        same = SHARDS
        if [s.sha256 for s in built.shards] != [s.sha256 for s in wanted.shards]:
            self.report.note(f"{task}: shards differ (other package versions?); comparing row by row")
            self._compare_rows(remote, published, built, staging)
            same = ROWS
        self._move(task, built, staging)
        return Rehydrated(task, built, same)

    def _compare_rows(self, remote: Remote, published: PublishedTask, built: Manifest, staging: Path) -> None:
        ours = (row for shard in built.shards for row in fingerprints(staging / shard.path))
        theirs = self._published_rows(remote, published)
        for at, (our, their) in enumerate(zip_longest(ours, theirs)):
            if our != their:
                raise BadRawError(
                    f"row {at} of {published.task} is not the published one: {first_difference(our, their)}",
                    where=Location(self.raw / published.manifest.dataset),
                    hint="compare your raw files with `raw_files` in the manifest; "
                    f"what was built is in {staging}",
                )

    def _published_rows(self, remote: Remote, published: PublishedTask) -> Iterator[dict[str, Any]]:
        with tempfile.TemporaryDirectory(prefix="vflan-") as folder:
            for shard in published.publication.shards:
                local = self.patience.call(
                    f"downloading {shard.path}",
                    lambda path=shard.path: self.api.hf_hub_download(  # type: ignore[misc]
                        self.repo_id, path, repo_type=REPO_TYPE, revision=remote.head, local_dir=folder
                    ),
                )
                yield from fingerprints(Path(local))

    def _move(self, task: str, built: Manifest, staging: Path) -> None:
        """The old manifest goes first, the new one comes last."""
        manifest_path(self.out, task).unlink(missing_ok=True)
        shutil.rmtree(self.out / task, ignore_errors=True)
        (staging / task).replace(self.out / task)
        write_atomically(manifest_path(self.out, task), built.to_json())
        manifest_path(staging, task).unlink()
        write_card(self.out)


def fingerprints(shard: Path) -> Iterator[dict[str, Any]]:
    """Rows of a shard or of a recipe as comparable texts, the image as its path and sha256."""
    with pq.ParquetFile(shard) as file:
        for batch in file.iter_batches(batch_size=100):
            for row in batch.to_pylist():
                if IMAGE in row:
                    image = row[IMAGE] or {}
                    content = image.get("bytes")
                    row["image_path"] = image.get("path")
                    row["image_sha256"] = "" if content is None else hashlib.sha256(content).hexdigest()
                names = [name for name in COLUMNS if name != IMAGE]
                yield {name: row[name] for name in (*names, "image_path", "image_sha256")}


def first_difference(ours: dict[str, Any] | None, theirs: dict[str, Any] | None) -> str:
    """In which column two rows differ."""
    if ours is None or theirs is None:
        return "one side has fewer rows"
    name = next(name for name in ours if ours[name] != theirs[name])
    return f"{name} is {ours[name]!r:.80}, published {theirs[name]!r:.80}"
