"""A task with its records read, for the plan, the checks and the preview."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision_flan.errors import BadRawError
from vision_flan.instances.maker import Dropped, InstanceMaker, Text
from vision_flan.raw.roots import RawPlaces, RawRoots
from vision_flan.readers.image_refs import ImageStore
from vision_flan.records.candidates import Candidates
from vision_flan.records.store import RecordStore
from vision_flan.records.table_cache import TableCache
from vision_flan.records.tables import all_readers, load_records, missing_files, open_raw, task_sources
from vision_flan.report import Reporter, Silent
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.model import TaskSpec


@dataclass(frozen=True)
class OpenTask:
    """A task whose records are read.

    Attributes:
        read: returns the image behind a reference.
        labels: label tables by name.
    """

    task: TaskSpec
    catalog: Catalog
    labels: Mapping[str, Mapping[str, str]]
    candidates: Candidates
    read: Callable[[str], bytes]

    def maker(self, seed: int) -> InstanceMaker:
        """Renders the task's records, with random draws from a seed."""
        instruction = self.catalog.instruction_file(self.task.id)
        return InstanceMaker(self.task, self.labels, instruction, seed, self.candidates)

    def rows(self, limit: int) -> list[dict[str, Any]]:
        """The first candidates in selection order."""
        return self.candidates.block(0, limit)

    def texts(self, limit: int, seed: int) -> Iterator[tuple[dict[str, Any], Text | Dropped]]:
        """Candidates with their rendered text, or the reason they are dropped. No image is read."""
        maker = self.maker(seed)
        for row in self.rows(limit):
            yield row, maker.render(row)


@contextmanager
def open_task(
    name: str,
    places: RawPlaces,
    catalog: Catalog,
    seed: int = 0,
    report: Reporter | None = None,
    kept: TableCache | None = None,
) -> Iterator[OpenTask]:
    """Read a task's records; memory and disk space are released at the end.

    Args:
        kept: tables that were read before.

    Raises:
        SpecError, MissingRawError, BadRawError: as `compile_task`.
    """
    report = report or Silent()
    task = catalog.task(name)
    sources = task_sources(task, catalog)
    with open_raw(sources.dataset, catalog, places) as raw:
        problem = missing_files(sources, raw)
        if problem:
            raise problem
        with tempfile.TemporaryDirectory(prefix="vflan-") as work, RecordStore(Path(work)) as store:
            candidates = load_records(task, sources, raw, seed, store, report, kept)
            images = ImageStore(raw, all_readers(sources.dataset))
            yield OpenTask(task, catalog, sources.labels, candidates, images.read)


def raw_files_present(name: str, places: RawPlaces, catalog: Catalog) -> bool:
    """Whether the annotation files of a task are in the raw folder (images are not checked)."""
    task = catalog.task(name)
    if not RawRoots.of(places).places(task.dataset):
        return False
    sources = task_sources(task, catalog)
    with open_raw(sources.dataset, catalog, places) as raw:
        try:
            return missing_files(sources, raw) is None
        except BadRawError:
            return False  # an archive that is truncated or split: it cannot be read
