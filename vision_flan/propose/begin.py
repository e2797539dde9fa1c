"""`vflan new --raw`: looks at raw files, writes the files of a task, and shows its first records."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vision_flan.build.open_task import open_task
from vision_flan.errors import Location, SpecError
from vision_flan.instances.maker import Dropped, Text
from vision_flan.propose.draft import Draft, draft
from vision_flan.propose.look import Looked, look
from vision_flan.propose.source import Source
from vision_flan.propose.sources import best_source, seen
from vision_flan.propose.survey import dataset_folder, surveyed
from vision_flan.propose.write import dataset_text, task_text
from vision_flan.raw.roots import Mapped, RawPlaces, RawRoots
from vision_flan.review.scaffold import check_names, schema_comment_for, write_new
from vision_flan.spec.catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Records shown.
SHOWN = 5


@dataclass(frozen=True)
class Proposal:
    """What `vflan new --raw` is about to write.

    Attributes:
        folder: the dataset's raw folder.
        unmatched: files that no table of the task matches, with the reason.
    """

    folder: Path
    looked: Looked
    source: Source
    draft: Draft
    unmatched: Mapping[str, str]


@dataclass(frozen=True)
class Begun:
    """What was written.

    Attributes:
        shown: the first records: key, and the text of the instance or the reason why there is none.
        available: records that become candidates.
    """

    files: tuple[Path, ...]
    shown: tuple[tuple[str, Text | Dropped], ...]
    available: int


@contextmanager
def proposed(
    catalog: Catalog, dataset: str, raw: RawPlaces, form: str = "", chosen: Mapping[str, str] | None = None
) -> Iterator[Proposal]:
    """Look at a raw folder and propose a task; its archives are open until the end.

    Args:
        chosen: roles and columns that a person named; see `best_source`.

    Raises:
        MissingRawError: there is no such folder, or it is empty.
        SpecError: nothing can be proposed; says why. Or the dataset has a spec already.
    """
    if dataset in catalog.dataset_files:
        raise SpecError(
            f"the dataset {dataset!r} has a spec already",
            where=Location(catalog.dataset_files[dataset]),
            hint=f"vflan new {dataset} TASK, without --raw, starts another task of its tables",
        )
    folder = dataset_folder(RawRoots.of(raw), dataset)
    with surveyed(folder, dataset) as survey:
        looked = look(survey)
        source = best_source(looked, chosen or {})
        made = _drafted(source, form, looked)
        yield Proposal(folder, looked, source, made, _unmatched(looked, source))


def _drafted(source: Source, form: str, looked: Looked) -> Draft:
    try:
        return draft(source, form)
    except SpecError as error:
        error.what += seen(looked)
        raise


def _unmatched(looked: Looked, source: Source) -> dict[str, str]:
    used = {path for table in source.used for path in table.paths}
    needs_images = source.table.reader != "files"
    found = {path: why for path, why in looked.unmatched.items() if path not in used}
    for table in looked.tables:
        if table not in source.used and not (table.reader == "files" and needs_images):
            found |= {
                path: f"the task does not read it (table {table.name})"
                for path in table.paths
                if path not in used
            }
    if source.named_by:
        found[source.named_by] = "its names are in `labels`"
    return found


def write(catalog: Catalog, task: str, category: str, proposal: Proposal) -> Begun:
    """Write dataset.yaml, the task and its instruction, and read the first records by them.

    Raises:
        SpecError: a name that is not a slug, or a task that exists already.
        MachineError: a file cannot be written.
    """
    dataset = proposal.looked.survey.raw.dataset
    check_names(catalog, dataset, task)
    folder, made = catalog.home.specs / dataset, proposal.draft
    heads = {kind: schema_comment_for(catalog, kind) for kind in ("dataset", "task")}
    spec = folder / f"{task}.yaml"
    texts = {
        folder / "dataset.yaml": dataset_text(
            dataset, proposal.looked, proposal.source, made, heads["dataset"]
        ),
        spec: task_text(task, dataset, category, made, None, heads["task"]),
        catalog.instruction_file(task): f"{made.instruction}\n",
    }
    write_new(texts)
    try:
        shown, available = _first_records(Catalog.of(catalog.roots), task, proposal.folder)
    except BaseException:
        for path in texts:
            path.unlink()
        with suppress(OSError):
            folder.rmdir()
        raise
    spec.write_text(task_text(task, dataset, category, made, available, heads["task"]), "utf-8")
    return Begun(tuple(texts), tuple(shown), available)


def places_of(dataset: str, folder: Path) -> RawRoots:
    """Raw roots with this folder for a dataset, whatever its name."""
    return RawRoots((), {dataset: Mapped((folder,), Location(folder))})


def _first_records(catalog: Catalog, task: str, folder: Path) -> tuple[list[tuple[str, Text | Dropped]], int]:
    """The first records as instances."""
    with open_task(task, places_of(catalog.task(task).dataset, folder), catalog) as opened:
        shown = [(str(row["_key"]), text) for row, text in opened.texts(SHOWN, seed=0)]
        return shown, opened.candidates.count
