"""Compiled folders, and repositories on the Hub, in the forms other trainers read. Needs no torch.

| format | written | read by |
|---|---|---|
| llava | `llava.json`, `images/` | LLaVA (`--data_path`, `--image_folder`) |
| messages | `train.jsonl`, `dataset_info.json`, `images/` | ms-swift, LLaMA-Factory |
| trl | `data/train-*.parquet`, images inside; a row an answer | TRL's SFTTrainer |
| axolotl | `train.jsonl`, `images/` | axolotl |
| nanovlm | `data/train-*.parquet`, images inside | nanoVLM |

Other splits get files of their own (`llava-test.json`, `test.jsonl`, `data/test-*.parquet`). Images are
copied byte for byte. ms-swift and axolotl look for relative paths where they are started, so these two get
absolute ones; write the export where it is to stay.

An export is made in a hidden folder beside the one asked for and moved there when it is complete. After an
interruption the same call goes on with the parts that are missing.
"""

from __future__ import annotations

import fcntl
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vision_flan.dataset.manifest import write_atomically
from vision_flan.errors import Location
from vision_flan.exports.formats import FORMATS, Format, Place
from vision_flan.exports.sources import ExportError, Part, Source, in_folder, is_repository, on_hub
from vision_flan.report import Reporter, Silent
from vision_flan.spec.catalog import Catalog
from vision_flan.train.use import permitted
from vision_flan.versions import deciding_versions

__all__ = ["FORMATS", "ExportChoices", "ExportError", "Exported", "export"]


@dataclass(frozen=True)
class ExportChoices:
    """What to export.

    Attributes:
        tasks: ids or published names; empty for all.
        splits: empty for all.
        limit: the most instances of a task, None for no limit.
        include_forbidden: tasks to write although their makers forbid to train on them.
        reason: why.
        revision: branch, tag or commit of a repository on the Hub.
    """

    tasks: Sequence[str] = ()
    splits: Sequence[str] = ()
    limit: int | None = None
    include_forbidden: Sequence[str] = ()
    reason: str = ""
    revision: str = "main"


@dataclass(frozen=True)
class Exported:
    """A finished export: its instances by split."""

    instances: dict[str, int]

    @property
    def total(self) -> int:
        """Instances of all splits."""
        return sum(self.instances.values())


def export(
    source: Path | str,
    out: Path,
    form: str,
    choices: ExportChoices | None = None,
    report: Reporter | None = None,
) -> Exported:
    """Write a compiled folder, or some of its tasks, into `out` for another trainer.

    Args:
        source: a compiled folder, or OWNER/NAME on the Hub.
        form: a key of `FORMATS`.

    Raises:
        ForbiddenError: forbidden tasks are asked for, and no reason is given.
        SpecError: a task that is not in the source; names the nearest ones.
        ExportError: no compiled folder, no such split, a damaged shard, an `out` that holds something
            already, or another export to it that is running.
        HubError: the Hub refuses.
    """
    choices, report = choices or ExportChoices(), report or Silent()
    read = _source(source, choices, report)
    parts = _chosen_parts(read, choices)
    work = _Work(out.resolve(), FORMATS[form], report)
    plan: dict[str, object] = {
        "form": form,
        "parts": [[part.task, part.split, part.rows, part.shard.sha256] for part in parts],
        "versions": {package.name: package.installed for package in deciding_versions()},
    }
    with _alone(work.out):
        work.begin(plan)
        work.run(read, parts)
    counts: Counter[str] = Counter()
    for part in parts:
        counts[part.split] += part.rows
    return Exported(dict(counts))


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Hold the lock of an export.

    Raises:
        ExportError: another export to the same place is running.
    """
    path = out.with_name(f".{out.name}.export.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ExportError(
                "another export to this folder is running",
                where=Location(out),
                hint="wait for it, or give another --out",
            ) from error
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _source(source: Path | str, choices: ExportChoices, report: Reporter) -> Source:
    if not is_repository(str(source)):
        return in_folder(Path(source))
    from vision_flan.hub.client import client

    return on_hub(client(), str(source), choices.revision, report)


def _chosen_parts(source: Source, choices: ExportChoices) -> list[Part]:
    catalog = Catalog.default()
    included = source.chosen(catalog, choices.include_forbidden) if choices.include_forbidden else []
    tasks = permitted(source.chosen(catalog, choices.tasks), included, choices.reason)
    if not tasks:
        raise ExportError(
            "every task here is one that its makers forbid to train on",
            where=Location(source.name),
            hint='--include-forbidden TASK --reason "..."',
        )
    return source.parts(tasks, choices.splits, choices.limit)


class _Work:
    """An export being made, in a hidden folder beside its place."""

    def __init__(self, out: Path, form: Format, report: Reporter) -> None:
        self.out, self.form, self.report = out, form, report
        self.staging = out.with_name(f".{out.name}.export")
        self.place = Place(self.staging / "tree", self.staging / "parts", out)

    def begin(self, plan: dict[str, object]) -> None:
        """Go on with an interrupted export of the same plan, or begin a new one.

        Raises:
            ExportError: `out` holds something.
        """
        if self.out.exists() and (not self.out.is_dir() or any(self.out.iterdir())):
            raise ExportError("the folder is not empty", where=Location(self.out), hint="give another --out")
        text, file = json.dumps(plan, sort_keys=True), self.staging / "plan.json"
        if self.staging.exists() and not (file.exists() and file.read_text("utf-8") == text):
            self.report.note(f"{self.staging}: an unfinished export of something else is discarded")
            shutil.rmtree(self.staging)
        for folder in (self.place.tree / "data", self.place.parts):
            folder.mkdir(parents=True, exist_ok=True)
        write_atomically(file, text)

    def run(self, source: Source, parts: Sequence[Part]) -> None:
        """Write the parts that are missing, join them, and move the export to its place."""
        self.report.stage("exporting", sum(part.rows for part in parts))
        totals = Counter(part.split for part in parts)
        written: dict[str, list[Path]] = {split: [] for split in totals}
        for part in parts:
            target = self.form.target(self.place, part, len(written[part.split]), totals[part.split])
            if not target.exists():
                temporary = target.with_name(f".{target.name}.tmp")
                self.form.write(self.place, temporary, source.rows(part))
                temporary.replace(target)
            written[part.split].append(target)
            self.report.advance(part.rows, part.shard.bytes)
        self.form.join(self.place, written)
        self._move()

    def _move(self) -> None:
        """One rename: the folder is there completely or not at all."""
        for left in self.place.tree.rglob(".*.tmp"):
            left.unlink()
        data = self.place.tree / "data"
        if not any(data.iterdir()):
            data.rmdir()
        if self.out.exists():
            self.out.rmdir()
        self.place.tree.replace(self.out)
        shutil.rmtree(self.staging)
