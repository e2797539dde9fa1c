"""One task to compile: what it is made from, where it goes, and how; and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vision_flan.build.engines import HERE, EngineSpec
from vision_flan.dataset.manifest import Manifest
from vision_flan.places.place import Place
from vision_flan.raw.folder import RawDataset
from vision_flan.raw.roots import RawPlaces
from vision_flan.records.sources import TaskSources
from vision_flan.report import Reporter, counted
from vision_flan.spec.model import TaskSpec

if TYPE_CHECKING:  # which loads jsonschema, and no worker needs
    from vision_flan.spec.catalog import Catalog


@dataclass(frozen=True)
class Options:
    """How to compile. Only `seed`, `limit` and `full_check` affect the shards.

    Attributes:
        limit: maximum instances; "spec" takes the task's own limit, None takes all.
        engine: where blocks are made.
        full_check: decode every image instead of checking its header and end.
        force: build even if the config is up to date.
        verify_raw: keep checksums of all raw files that are read, and compare them with earlier ones.
    """

    seed: int = 0
    limit: int | str | None = "spec"
    engine: EngineSpec = HERE
    full_check: bool = False
    force: bool = False
    verify_raw: bool = False

    def quota_of(self, task: TaskSpec) -> int | None:
        """Maximum instances of a task, None for all."""
        return task.limit if self.limit == "spec" else self.limit  # type: ignore[return-value]


@dataclass(frozen=True)
class Result:
    """A compiled config.

    Attributes:
        folder: the compiled folder.
        built: False if the config was already up to date.
        renewed: the shards were up to date, but license, title or the like were not.
    """

    manifest: Manifest
    folder: Place
    built: bool
    renewed: bool = False

    def __repr__(self) -> str:
        """On one line: a notebook shows what a call returns, and a manifest has hundreds."""
        rows, shards = counted(self.manifest.rows, "instance"), counted(len(self.manifest.shards), "shard")
        return f"<Result of {self.manifest.task}: {rows}, {shards}, in {self.folder}, built={self.built}>"


@dataclass(frozen=True)
class Build:
    """The build of one task.

    Attributes:
        places: where the raw files are, for workers to open them.
        out: the compiled folder.
        work: folder for unfinished files; this process holds its lock.
    """

    task: TaskSpec
    sources: TaskSources
    raw: RawDataset
    places: RawPlaces
    catalog: Catalog
    options: Options
    out: Place
    work: Path
    report: Reporter

    @property
    def instruction(self) -> Path:
        """The task's .j2 file."""
        return self.catalog.instruction_file(self.task.id)

    @property
    def quota(self) -> int | None:
        """Maximum instances, None for all."""
        return self.options.quota_of(self.task)
