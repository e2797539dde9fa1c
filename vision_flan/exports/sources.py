"""What an export reads: the shards of a compiled folder, or of whole tasks in a repository on the Hub."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import pyarrow as pa
import pyarrow.parquet as pq

from vision_flan.columns import TURNS, arrow_type
from vision_flan.dataset.manifest import Manifest, read_manifests
from vision_flan.dataset.publication import WHOLE
from vision_flan.dataset.shards import ShardFacts
from vision_flan.errors import Location, VflanError, to_type
from vision_flan.report import Reporter
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.names import find_configs

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_COLUMNS = ["id", "image", TURNS, "task"]
_REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*")


class ExportError(VflanError):
    """The folder cannot be exported."""


class ImageCell(TypedDict):
    """An image as the shards hold it."""

    bytes: bytes | None
    path: str | None


class Row(TypedDict):
    """What an export needs of an instance."""

    id: str
    image: ImageCell | None
    turns: list[dict[str, str]]
    task: str


@dataclass(frozen=True)
class Part:
    """The first `rows` rows of a shard.

    Attributes:
        number: of the shard within its task.
    """

    task: str
    split: str
    number: int
    shard: ShardFacts
    rows: int


@dataclass(frozen=True)
class Source:
    """Tasks to export.

    Attributes:
        name: the folder or the repository, for messages.
        open: a shard as a local file.
    """

    name: str
    manifests: Mapping[str, Manifest]
    open: Callable[[ShardFacts], Path]

    def chosen(self, catalog: Catalog, names: Sequence[str]) -> list[str]:
        """The tasks that were named by id or published name; all of them for no name.

        Raises:
            SpecError: a name that is not here; names the nearest ones.
        """
        return find_configs(catalog, names, list(self.manifests), Path(self.name)) or list(self.manifests)

    def parts(self, tasks: Sequence[str], splits: Sequence[str], limit: int | None) -> list[Part]:
        """The shards of these tasks, or what `limit` leaves of them.

        Args:
            splits: only these; empty for all.
            limit: the most instances of a task.

        Raises:
            ExportError: no task has such a split.
        """
        here = {self.manifests[task].split for task in tasks}
        missing = [split for split in splits if split not in here]
        if missing:
            raise ExportError(
                f"no task here has a split {missing[0]!r}",
                where=Location(self.name),
                hint=f"splits: {', '.join(sorted(here))}",
            )
        found = []
        for task in tasks:
            manifest = self.manifests[task]
            if splits and manifest.split not in splits:
                continue
            left = manifest.rows if limit is None else min(limit, manifest.rows)
            for number, shard in enumerate(manifest.shards):
                rows = min(left, shard.rows)
                left -= rows
                if rows:
                    found.append(Part(task, manifest.split, number, shard, rows))
        return found

    def rows(self, part: Part) -> Iterator[Row]:
        """The rows of a part.

        Raises:
            ExportError: the shard is missing, damaged, or of an older version.
        """
        file, left = self.open(part.shard), part.rows
        try:
            table = pq.ParquetFile(file)
            if TURNS not in table.schema_arrow.names:
                raise ExportError(f"no column {TURNS!r}", where=Location(file), hint="compile it again")
            for name in _COLUMNS:
                if not table.schema_arrow.field(name).type.equals(arrow_type(name)):
                    raise _unreadable(file, f"the column {name!r} has another type", self.name)
            for batch in table.iter_batches(batch_size=64, columns=_COLUMNS):
                rows: list[Row] = batch.slice(0, left).to_pylist()
                yield from rows
                left -= len(rows)
                if not left:
                    return
        except (pa.ArrowException, OSError, KeyError) as error:
            raise _unreadable(file, str(error), self.name) from error
        raise _unreadable(file, f"{left:,} rows are missing", self.name)


def _unreadable(file: Path, why: str, name: str) -> ExportError:
    return ExportError(f"not readable: {why}", where=Location(file), hint=to_type("vflan", "verify", name))


def in_folder(folder: Path) -> Source:
    """The tasks of a compiled folder.

    Raises:
        ExportError: there is none.
        VflanError: a manifest is damaged.
    """
    manifests = read_manifests(folder)
    if not manifests:
        raise ExportError("no compiled folder", where=Location(folder), hint="vflan compile --task <id>")

    def opened(shard: ShardFacts) -> Path:
        path = folder / shard.path
        try:
            size = path.stat().st_size
        except OSError as error:
            raise _unreadable(path, error.strerror or str(error), str(folder)) from error
        if size != shard.bytes:
            raise _unreadable(path, f"{size:,} bytes, the manifest says {shard.bytes:,}", str(folder))
        return path

    return Source(str(folder), manifests, opened)


def on_hub(api: HfApi, repo_id: str, revision: str, report: Reporter) -> Source:
    """The whole tasks of a repository; says which tasks are not whole there.

    Raises:
        ExportError: no such repository, or none of its tasks is whole.
        HubError: the Hub refuses.
    """
    from vision_flan.hub.remote import Reader, download
    from vision_flan.hub.waiting import Patience

    patience = Patience(report.note)
    remote = Reader(api, repo_id, patience).read(revision)
    whole = {name: task for name, task in remote.tasks.items() if task.publication.form == WHOLE}
    if not whole:
        raise ExportError(
            f"{repo_id} has no task with its images that this token may see",
            hint="check OWNER/NAME; `vflan rehydrate` completes recipes",
        )
    others = [name for name in remote.tasks if name not in whole]
    if others:
        report.note(
            f"left out, not every image is there: {', '.join(others)}; "
            f"vflan rehydrate {repo_id} --raw RAW completes them"
        )

    def opened(shard: ShardFacts) -> Path:
        return download(api, remote, shard, patience)

    return Source(repo_id, {name: task.manifest for name, task in whole.items()}, opened)


def is_repository(name: str) -> bool:
    """Whether a name that is no folder can be a repository, OWNER/NAME."""
    return not Path(name).exists() and _REPOSITORY.fullmatch(name) is not None
