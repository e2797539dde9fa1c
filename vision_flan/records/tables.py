"""Finds a task's tables and raw files by its spec, and loads its records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache

import duckdb
import pyarrow as pa

from vision_flan.errors import BadRawError, Location, MissingRawError, SpecError, VflanError
from vision_flan.limits import Step
from vision_flan.raw.folder import RawDataset
from vision_flan.raw.leftovers import Leftovers
from vision_flan.raw.roots import RawPlaces
from vision_flan.raw.split import has_on_disk, split_archives
from vision_flan.readers.reader import Reader, TableSpec
from vision_flan.readers.registry import make_reader
from vision_flan.records.candidates import Candidates
from vision_flan.records.memory import memory_limit, spilling_limit
from vision_flan.records.sources import TaskSources, how_to_get, next_step, open_folder
from vision_flan.records.sql import arrow_type, check_key, check_select
from vision_flan.records.store import RecordStore
from vision_flan.records.table_cache import TableCache
from vision_flan.report import Reporter, human_bytes
from vision_flan.spec.catalog import Catalog, load_labels
from vision_flan.spec.model import DatasetSpec, TaskSpec, UpstreamFile

_COMMON = ("reader", "file", "columns")

_arrow_type = lru_cache(maxsize=None)(arrow_type)


def table_spec(dataset: DatasetSpec, name: str) -> TableSpec:
    """One declared table with Arrow types.

    Raises:
        SpecError: an unknown column type.
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
    """The readers and label tables of a task, whose SQL and key are checked before any raw file is read.

    Raises:
        SpecError: like `select_sources`, or the key is not one expression of the SQL of specs.
    """
    sources = select_sources(task, catalog)
    check_key(task.key, task.key_place)
    return sources


def select_sources(task: TaskSpec, catalog: Catalog) -> TaskSources:
    """The readers and label tables of a task's SELECT.

    Raises:
        SpecError: not the SQL of specs, or a table the dataset does not declare.
    """
    dataset = catalog.dataset_of(task)
    labels = load_labels(dataset, dataset.folder) | load_labels(task, task.document.path.parent)
    sql_place = task.place("sql" if task.sql is not None else "table")
    readers, used = _tables_of(dataset, labels, task.records_sql, task.records_place, sql_place)
    lenders = tuple(catalog.dataset(slug) for slug in dataset.borrows if slug in catalog.dataset_files)
    return TaskSources(dataset, readers, labels, used, lenders)


def credit_sources(dataset: DatasetSpec) -> TaskSources:
    """The readers of a dataset's `credits`, which it must have.

    Raises:
        SpecError: not the SQL of specs, or a table the dataset does not declare.
    """
    assert dataset.credits is not None
    place = dataset.credits_place
    labels = load_labels(dataset, dataset.folder)
    readers, used = _tables_of(dataset, labels, dataset.credits, place, place)
    return TaskSources(dataset, readers, labels, used)


def _tables_of(
    dataset: DatasetSpec,
    labels: Mapping[str, Mapping[str, str]],
    sql: str,
    place: Location,
    unknown_place: Location,
) -> tuple[dict[str, Reader], tuple[str, ...]]:
    """The readers and views behind a SELECT."""
    names = set(check_select(sql, place))
    used = _used_views(dataset, names)
    for view in used:
        names |= view_tables(dataset, view)
    names -= {f"label_{name}" for name in labels} | set(used)
    unknown = sorted(names - set(dataset.tables))
    if unknown:
        known = sorted({*dataset.tables, *dataset.views})
        raise SpecError(
            f"there is no table {unknown[0]!r}",
            where=unknown_place,
            hint=f"{dataset.document.path.name} declares: {', '.join(known)}",
        )
    return {name: make_reader(table_spec(dataset, name)) for name in sorted(names)}, used


def view_tables(dataset: DatasetSpec, name: str) -> set[str]:
    """Tables, label tables and views that a view reads.

    Raises:
        SpecError: the view is not one SELECT, or reads what is neither a table nor a view above it.
    """
    above = list(dataset.views)[: list(dataset.views).index(name)]
    known = {*dataset.tables, *above, *(f"label_{table}" for table in dataset.labels)}
    names = set(check_select(dataset.views[name], dataset.view_place(name)))
    unknown = sorted(names - known)
    if unknown:
        raise SpecError(
            f"the view {name!r} reads {unknown[0]!r}, which is neither a table of the dataset "
            "nor a view above it",
            where=dataset.view_place(name),
            hint=f"there are: {', '.join(sorted(known))}",
        )
    return names


def _used_views(dataset: DatasetSpec, names: set[str]) -> tuple[str, ...]:
    """The views among names, and those that they read, in the order of dataset.yaml."""
    used: set[str] = set()
    for view in reversed(list(dataset.views)):
        if view in names:
            used.add(view)
            names = names | view_tables(dataset, view)
    return tuple(view for view in dataset.views if view in used)


def all_readers(dataset: DatasetSpec) -> dict[str, Reader]:
    """A reader for every declared table: image references may name any of them."""
    return {name: make_reader(table_spec(dataset, name)) for name in dataset.tables}


def open_raw(dataset: DatasetSpec, catalog: Catalog, places: RawPlaces) -> RawDataset:
    """`open_folder` with the specs of the datasets it borrows from. Raises the same errors."""
    known = [slug for slug in dataset.borrows if slug in catalog.dataset_files]
    return open_folder(dataset, [catalog.dataset(slug) for slug in known], places)


def load_records(
    task: TaskSpec,
    sources: TaskSources,
    raw: RawDataset,
    seed: int,
    store: RecordStore,
    report: Reporter,
    kept: TableCache | None = None,
) -> Candidates:
    """Read the tables of a task into a store and put its records in selection order.

    Args:
        kept: tables that were read before; None reads all from the raw files.

    Raises:
        BadRawError: a raw file does not match its format.
        SpecError: the SQL does not run.
    """
    try:
        return _loaded(task, sources, raw, seed, store, report, kept)
    except VflanError as error:
        if not isinstance(error.__cause__, duckdb.OutOfMemoryException) or not store.begin_again():
            raise
    report.note(
        f"the SQL of {task.id} needs more than {human_bytes(spilling_limit())} of memory at once: it has "
        f"{human_bytes(memory_limit())} now"
    )
    return _loaded(task, sources, raw, seed, store, report, kept)


def _loaded(
    task: TaskSpec,
    sources: TaskSources,
    raw: RawDataset,
    seed: int,
    store: RecordStore,
    report: Reporter,
    kept: TableCache | None,
) -> Candidates:
    store.load_labels(sources.labels)
    leftovers = Leftovers(str(table["file"]) for table in sources.dataset.tables.values())
    for name, reader in sources.readers.items():
        report.stage(f"reading {name}")
        place = sources.dataset.document.place("tables", name)
        Step(f"reading the table {name!r}", place, of_raw=True).begin()
        lists_images = sources.dataset.tables[name]["reader"] == "files"
        raw.watch = leftovers if lists_images else leftovers.unread_only
        try:
            table = table_spec(sources.dataset, name)
            batches = reader.batches(raw) if kept is None else kept.batches(table, reader, raw)
            store.load(name, reader.schema(), _counted(batches, report))
        finally:
            raw.watch = None
    create_views(sources, store)
    for line in leftovers.lines():
        report.note(line)
    report.stage("selecting records")
    return store.prepare(task.records_sql, task.key, seed, task.records_place, task.key_place, task.splits)


def create_views(sources: TaskSources, store: RecordStore) -> None:
    """Create a task's views in a store that has its tables.

    Raises:
        SpecError: a view's SQL does not run.
    """
    for view in sources.views:
        store.create_view(view, sources.dataset.views[view], sources.dataset.view_place(view))


def _counted(batches: Iterator[pa.RecordBatch], report: Reporter) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        report.advance(batch.num_rows)
        yield batch


def missing_files(sources: TaskSources, raw: RawDataset) -> MissingRawError | None:
    """An error that names each missing file of the tables, its source and its destination.

    Raises:
        BadRawError: an archive is split into parts.
    """
    for archive, parts in split_archives(raw).items():
        file = next(file for file in sources.dataset.files if file.path == archive)
        if not any(has_on_disk(raw, prefix) for prefix in file.provides):
            raise _in_parts(raw, archive, parts)
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
        hint=next_step(dataset, raw.root),
    )


def _in_parts(raw: RawDataset, archive: str, parts: Sequence[str]) -> BadRawError:
    zipped = any(part[-3:-2].lower() == "z" for part in parts)
    join = f"zip -s 0 {archive} --out whole.zip, with the last part {archive} beside them"
    return BadRawError(
        f"{archive!r} is split into {len(parts)} parts: {', '.join(parts[:3])}",
        where=Location(raw.root),
        hint=f"join the parts: {join if zipped else 'cat ' + ' '.join(parts) + ' > ' + archive}",
    )


def _provides(file: UpstreamFile, path: str) -> bool:
    if fnmatchcase(path, file.path) or file.path == path:
        return True
    return any(path.startswith(prefix.rstrip("*")) for prefix in file.provides)
