"""From a dataset's spec to its tables and raw folder: which files a task needs, and where they lie."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path

import pyarrow as pa

from vision_flan.errors import MissingRawError, Location, SpecError
from vision_flan.raw.folder import Archive, RawDataset
from vision_flan.readers.reader import Reader, TableSpec
from vision_flan.readers.registry import make_reader
from vision_flan.records.sql import arrow_type, check_select
from vision_flan.records.store import Candidates, RecordStore
from vision_flan.report import Reporter
from vision_flan.spec.catalog import Catalog, load_labels
from vision_flan.spec.model import DatasetSpec, TaskSpec, UpstreamFile

_COMMON = ("reader", "file", "columns")

_arrow_type = lru_cache(maxsize=None)(arrow_type)


@dataclass(frozen=True)
class TaskSources:
    """What a task reads.

    Attributes:
        readers: the tables its records come from, by name.
        labels: label tables of the dataset and the task (the task's win).
    """

    dataset: DatasetSpec
    readers: Mapping[str, Reader]
    labels: Mapping[str, Mapping[str, str]]


def table_spec(dataset: DatasetSpec, name: str) -> TableSpec:
    """One declared table with Arrow types.

    Raises:
        SpecError: a column type that SQL does not know.
    """
    declared = dataset.tables[name]
    place = dataset.document.place("tables", name)
    columns: dict[str, pa.DataType] = {
        column: _arrow_type(sql_type, dataset.document.place("tables", name, "columns", column))
        for column, sql_type in declared.get("columns", {}).items()
    }
    options = {key: value for key, value in declared.items() if key not in _COMMON}
    return TableSpec(name, declared["reader"], declared["file"], options, columns, place)


def task_sources(task: TaskSpec, catalog: Catalog) -> TaskSources:
    """The readers and label tables of a task.

    Raises:
        SpecError: SQL that is not one SELECT, or that names a table the dataset does not declare.
    """
    dataset = catalog.dataset_of(task)
    labels = load_labels(dataset, dataset.folder) | load_labels(task, task.document.path.parent)
    names = set(check_select(task.records_sql, task.records_place))
    names -= {f"label_{name}" for name in labels}
    unknown = sorted(names - set(dataset.tables))
    if unknown:
        raise SpecError(
            f"there is no table {unknown[0]!r}",
            where=task.place("sql" if task.sql is not None else "table"),
            hint=f"{dataset.document.path.name} declares: {', '.join(sorted(dataset.tables))}",
        )
    readers = {name: make_reader(table_spec(dataset, name)) for name in sorted(names)}
    return TaskSources(dataset, readers, labels)


def all_readers(dataset: DatasetSpec) -> dict[str, Reader]:
    """A reader for every declared table: references to images may name any."""
    return {name: make_reader(table_spec(dataset, name)) for name in dataset.tables}


def open_raw(dataset: DatasetSpec, catalog: Catalog, root: Path) -> RawDataset:
    """The raw folder of a dataset, with its archives and those it borrows images from.

    Raises:
        MissingRawError: neither the folder nor one it borrows from is there.
    """
    if not root.is_dir():
        raise MissingRawError(
            "the raw folder is not there", where=Location(root), hint="give --raw DIR or set VFLAN_RAW"
        )
    borrowed = [
        RawDataset(
            root / slug, slug, _archives(catalog.dataset(slug)) if slug in catalog.dataset_files else ()
        )
        for slug in dataset.borrows
    ]
    if not (root / dataset.dataset).is_dir():
        raise MissingRawError(
            f"there is no folder {dataset.dataset!r} in the raw folder\n"
            + how_to_get(dataset, dataset.files),
            where=Location(root / dataset.dataset),
            hint=next_step(dataset),
        )
    return RawDataset(root / dataset.dataset, dataset.dataset, _archives(dataset), borrowed)


def _archives(dataset: DatasetSpec) -> list[Archive]:
    return [Archive(file.path, file.into) for file in dataset.archives]


def load_records(
    task: TaskSpec, sources: TaskSources, raw: RawDataset, seed: int, store: RecordStore, report: Reporter
) -> Candidates:
    """Read the tables of a task into a store and put its records in selection order.

    Raises:
        BadRawError: a raw file is not what its format says.
        SpecError: the SQL does not run.
    """
    store.load_labels(sources.labels)
    for name, reader in sources.readers.items():
        report.stage(f"reading {name}")
        store.load(name, reader.schema(), _counted(reader.batches(raw), report))
    report.stage("selecting records")
    return store.prepare(task.records_sql, task.key, seed, task.records_place, task.place("key"))


def _counted(batches: Iterator[pa.RecordBatch], report: Reporter) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        report.advance(batch.num_rows)
        yield batch


def missing_files(sources: TaskSources, raw: RawDataset) -> MissingRawError | None:
    """An error that names each missing file of the tables, where it comes from and where it goes."""
    missing = [
        reader_file
        for reader_file in sorted({str(sources.dataset.tables[name]["file"]) for name in sources.readers})
        if next(iter(raw.list(reader_file)), None) is None
    ]
    if not missing:
        return None
    dataset = sources.dataset
    wanted = [file for file in dataset.files if any(_provides(file, path) for path in missing)]
    return MissingRawError(
        f"raw files of {dataset.title} are missing: {', '.join(missing)}\n"
        + how_to_get(dataset, wanted or dataset.files),
        where=Location(raw.root),
        hint=next_step(dataset),
    )


def _provides(file: UpstreamFile, path: str) -> bool:
    if fnmatchcase(path, file.path) or file.path == path:
        return True
    return any(path.startswith(prefix.rstrip("*")) for prefix in file.provides)


def how_to_get(dataset: DatasetSpec, files: Iterable[UpstreamFile]) -> str:
    """Each file with its URL, size and checksum; license; what a person has to do."""
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


def next_step(dataset: DatasetSpec) -> str:
    """The command or the page that gets the raw files."""
    if dataset.access == "direct":
        return f"vflan fetch {dataset.dataset}, or put the files there yourself; then the same command again"
    if dataset.access == "manual":
        return (
            f"vflan fetch {dataset.dataset} downloads what it can and says what to get in a browser; "
            "then the same command again"
        )
    return f"get the files as {dataset.homepage} says, put them there; then the same command again"
