"""What a task reads, and the raw folder it is in.

Workers need this and no records. So nothing here loads DuckDB, which takes a process 0.1 s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vision_flan.errors import Location, MissingRawError
from vision_flan.raw.archives import Archive
from vision_flan.raw.folder import RawDataset
from vision_flan.raw.roots import RawPlaces, RawRoots, fetch_command
from vision_flan.readers.reader import Reader
from vision_flan.spec.model import DatasetSpec, UpstreamFile


@dataclass(frozen=True)
class TaskSources:
    """What a task reads.

    Attributes:
        readers: the tables its records come from, by name.
        labels: label tables of the dataset and the task (the task's override the dataset's).
        views: the views its SQL and those views read, in the order of dataset.yaml.
        lenders: the datasets it borrows images from, in the order of the raw folder's `borrowed`.
    """

    dataset: DatasetSpec
    readers: Mapping[str, Reader]
    labels: Mapping[str, Mapping[str, str]]
    views: tuple[str, ...] = ()
    lenders: tuple[DatasetSpec, ...] = ()


def open_folder(dataset: DatasetSpec, lenders: Sequence[DatasetSpec], places: RawPlaces) -> RawDataset:
    """The raw folder of a dataset, with its archives, its parts on other disks, and the datasets it borrows
    images from.

    Args:
        lenders: the specs of those datasets, as far as there are any.

    Raises:
        MissingRawError: a raw folder, or the dataset's folder in it, is missing.
    """
    roots = RawRoots.of(places)
    found = roots.places(dataset.dataset)
    if not found:
        raise MissingRawError(
            f"there is no folder {dataset.dataset!r} in the raw folder\n"
            + how_to_get(dataset, dataset.files),
            where=Location(roots.home(dataset.dataset)),
            hint=roots.suggestion(dataset.dataset) or next_step(dataset, roots.home(dataset.dataset)),
        )
    declared = roots.declared()
    known = {lender.dataset: lender for lender in lenders}

    def opened(place: Path, spec: DatasetSpec, others: Sequence[RawDataset] = ()) -> RawDataset:
        return RawDataset(place, spec.dataset, _archives(spec), others, declared, roots.scratch)

    own = [opened(place, dataset) for place in found[1:]]
    borrowed = [
        opened(place, known[slug]) if slug in known else RawDataset(place, slug, (), (), declared)
        for slug in dataset.borrows
        for place in roots.places(slug) or (roots.home(slug),)
    ]
    return opened(found[0], dataset, [*own, *borrowed])


def _archives(dataset: DatasetSpec) -> list[Archive]:
    return [Archive(file.path, file.into, file.bytes) for file in dataset.archives]


def how_to_get(dataset: DatasetSpec, files: Iterable[UpstreamFile]) -> str:
    """Each file with its URL, size and checksum; license; what to do by hand."""
    lines = []
    for file in files:
        facts = [
            f"{file.bytes:,} bytes" if file.bytes else "",
            f"md5 {file.md5}" if file.md5 else "",
            f"sha256 {file.sha256}" if file.sha256 else "",
        ]
        lines.append(f"  {file.path}  {', '.join(fact for fact in facts if fact)}".rstrip())
        if file.url:
            lines.append(f"    from {file.url}")
        if file.note:
            lines.append(f"    {' '.join(file.note.split())}")
    lines.append(f"  license: {dataset.license.name}; access: {dataset.access}; {dataset.homepage}")
    if dataset.how_to_get:
        lines.append("  " + " ".join(dataset.how_to_get.split()))
    return "\n".join(lines)


def next_step(dataset: DatasetSpec, home: Path) -> str:
    """The command or page to get the raw files from, for the folder `home`."""
    fetch = fetch_command(dataset.dataset, home)
    if dataset.access == "direct":
        return f"{fetch}, or put the files there yourself; then run this command again"
    if dataset.access == "manual":
        return f"{fetch} downloads what it can and says what to get in a browser; then run this command again"
    return f"get the files as {dataset.homepage} says, put them there, then run this command again"
