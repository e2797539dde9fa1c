"""Rebuilds full configs from published recipes and raw files, checked against what was published.

The task is compiled again from the local spec with the published seed and quota. With the same package
versions (pyarrow above all) the shards are the same byte for byte; with others, rows are compared, images by
checksum.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from huggingface_hub import HfApi

from vision_flan.build.compile import Options, compile_task
from vision_flan.build.engines import EngineSpec
from vision_flan.build.locks import WORK_FOLDER
from vision_flan.build.notices import write_notices
from vision_flan.columns import COLUMNS, IMAGE
from vision_flan.dataset.attribution import FOLDER as CREDITS_FOLDER
from vision_flan.dataset.attribution import NOTICES, attribution_path
from vision_flan.dataset.card import write_card
from vision_flan.dataset.drop_list import FOLDER as DROPS_FOLDER
from vision_flan.dataset.drop_list import DropList, write_list
from vision_flan.dataset.gallery import FOLDER as GALLERY_FOLDER
from vision_flan.dataset.manifest import (
    FOLDER,
    Manifest,
    manifest_path,
    readable_manifests,
    write_atomically,
)
from vision_flan.dataset.overlaps import write_overlaps
from vision_flan.dataset.publication import WHOLE, PublishedTask
from vision_flan.errors import BadRawError, HubError, Location, SpecError
from vision_flan.hub.changelog import version_changes
from vision_flan.hub.remote import Reader, Remote, download
from vision_flan.hub.waiting import Patience
from vision_flan.raw.roots import RawPlaces, RawRoots
from vision_flan.report import Reporter
from vision_flan.spec.catalog import Catalog

#: Inside the output folder: configs not checked yet.
STAGING = ".rehydrate"
SHARDS, ROWS = "shards", "rows"
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+!-]*")


@dataclass(frozen=True)
class Rehydrated:
    """A rehydrated config; `same` is what matched: the shards, or every row."""

    task: str
    manifest: Manifest
    same: str


@dataclass
class Rehydrator:
    """Rehydrates published tasks into a folder.

    Attributes:
        raw: raw folders, with one subfolder per dataset.
        out: compiled folder; its other configs are kept.
        revision: branch, tag or commit of the repository.
    """

    api: HfApi
    repo_id: str
    raw: RawPlaces
    out: Path
    catalog: Catalog
    report: Reporter
    patience: Patience
    revision: str = "main"
    jobs: int | None = None

    def tasks(self, names: Sequence[str]) -> tuple[Remote, list[PublishedTask]]:
        """The published tasks with these names; all that lack images if no names are given.

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
        recipes = [name for name, task in remote.tasks.items() if task.publication.form != WHOLE]
        return remote, [remote.tasks[name] for name in names or recipes]

    def run(self, remote: Remote, published: PublishedTask) -> Rehydrated:
        """Compile one task, check it, and move it into the folder.

        Raises:
            MissingRawError: raw files are missing.
            SpecError: the local spec differs from the published one.
            BadRawError: images or texts differ from the published ones.
        """
        task, wanted = published.task, published.manifest
        staging = self.out / STAGING
        self.catalog.task(task)  # a name from the Hub becomes a path only if it is that of a task here
        write_list(staging, DropList.of_manifest(wanted))
        options = Options(wanted.seed, wanted.limit, EngineSpec(jobs=self.jobs), wanted.image_check == "full")
        built = compile_task(task, self.raw, staging, self.catalog, options, self.report).manifest
        if built.spec_sha256 != wanted.spec_sha256:
            raise SpecError(
                f"the local spec of {task} differs from the one {self.repo_id} was made with",
                where=Location(str(self.catalog.task_files[task])),
                hint=install_hint(wanted.versions),
            )
        same = SHARDS
        if [s.sha256 for s in built.shards] != [s.sha256 for s in wanted.shards]:
            versions = version_changes(wanted.versions, built.versions) or "the same package versions"
            self.report.note(f"{task}: shards differ ({versions}); comparing row by row")
            self._compare_rows(remote, published, built, staging)
            same = ROWS
        self._move(published, built, staging)
        return Rehydrated(task, built, same)

    def _compare_rows(self, remote: Remote, published: PublishedTask, built: Manifest, staging: Path) -> None:
        ours = (row for shard in built.shards for row in fingerprints(staging / shard.path))
        theirs = self._published_rows(remote, published)
        for at, (our, their) in enumerate(zip_longest(ours, theirs)):
            if our != their:
                raise BadRawError(
                    f"row {at} of {published.task} differs from the published one: "
                    + first_difference(our, their),
                    where=Location(RawRoots.of(self.raw).home(published.manifest.dataset)),
                    hint="compare your raw files with `raw_files` in the manifest; "
                    f"what was built is in {staging}",
                )

    def _published_rows(self, remote: Remote, published: PublishedTask) -> Iterator[dict[str, Any]]:
        with tempfile.TemporaryDirectory(prefix="vflan-") as folder:
            for shard in published.publication.shards:
                local = download(self.api, remote, shard, self.patience, folder)
                try:
                    yield from fingerprints(local)
                except (pa.ArrowException, OSError, LookupError, TypeError, AttributeError) as error:
                    where = Location(f"{self.repo_id}/{shard.path}")
                    raise HubError(f"not a recipe: {type(error).__name__}: {error}", where=where) from error

    def _move(self, published: PublishedTask, built: Manifest, staging: Path) -> None:
        """Move a config: the old manifest is removed first, the new one is written last."""
        task = published.task
        manifest_path(self.out, task).unlink(missing_ok=True)
        shutil.rmtree(self.out / task, ignore_errors=True)
        (staging / task).replace(self.out / task)
        authors, table = attribution_path(staging, task), attribution_path(self.out, task)
        table.unlink(missing_ok=True)
        if authors.exists():
            table.parent.mkdir(exist_ok=True)
            authors.replace(table)
        write_notices(self.out, built)
        write_list(self.out, DropList.of_manifest(built))
        write_atomically(manifest_path(self.out, task), built.to_json())
        manifest_path(staging, task).unlink()
        write_list(staging, DropList(task))
        if published.publication.overlaps:
            manifests, _ = readable_manifests(self.out)
            write_overlaps(self.out, manifests, {task: dict(published.publication.overlaps)})
        _tidy(staging, task)
        write_card(self.out)


def _tidy(staging: Path, task: str) -> None:
    """Remove what a moved config leaves; the whole folder, unless a config is there that is not moved yet."""
    work = staging / WORK_FOLDER
    shutil.rmtree(work / task, ignore_errors=True)
    beside = {FOLDER, GALLERY_FOLDER, WORK_FOLDER, CREDITS_FOLDER, NOTICES, DROPS_FOLDER}
    configs = [path for path in staging.iterdir() if path.is_dir() and path.name not in beside]
    begun = [path for path in work.glob("*/") if path.name != CREDITS_FOLDER]
    if not configs and not begun:
        shutil.rmtree(staging)


def install_hint(versions: Mapping[str, str]) -> str:
    """The command that installs what a config was made with; the bytes depend on pyarrow, too.

    The versions come from the Hub; what is not a version number is left out.
    """
    wanted = {"vision-flan": versions.get("vision_flan", ""), "pyarrow": versions.get("pyarrow", "")}
    known = [f"{name}=={version}" for name, version in wanted.items() if _VERSION.fullmatch(str(version))]
    return f"pip install {' '.join(known)}" if known else "install the vision-flan it was published with"


def fingerprints(shard: Path) -> Iterator[dict[str, Any]]:
    """Rows of a shard or recipe for comparison, the image as its path and sha256."""
    with pq.ParquetFile(shard) as file:
        for batch in file.iter_batches(batch_size=100):
            for row in batch.to_pylist():
                if IMAGE in row and "image_sha256" not in row:
                    image = row[IMAGE] or {}
                    content = image.get("bytes")
                    row["image_path"] = image.get("path")
                    row["image_sha256"] = "" if content is None else hashlib.sha256(content).hexdigest()
                names = [name for name in COLUMNS if name != IMAGE]
                yield {name: row[name] for name in (*names, "image_path", "image_sha256")}


def first_difference(ours: dict[str, Any] | None, theirs: dict[str, Any] | None) -> str:
    """The first column in which two rows differ."""
    if ours is None or theirs is None:
        return "one side has fewer rows"
    name = next(name for name in ours if ours[name] != theirs[name])
    return f"{name} is {ours[name]!r:.80}, published {theirs[name]!r:.80}"
