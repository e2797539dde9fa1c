"""`vflan miniature cut`: a miniature made of a few records of real files, without Python.

The records of every task that show a label or an oddity are chosen; the rows of the annotation files that
they need are found (`records.needed`) and the files written with these alone, in the same format, encoding
and archive; images are replaced by drawn ones. Then the tasks are run on the result, and what they make of
it is written down for a person to read once.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vision_flan.build.open_task import open_task
from vision_flan.errors import BadRawError, Location, MissingRawError, SpecError, to_type
from vision_flan.instances.maker import Dropped
from vision_flan.miniatures.cut_choice import Chosen, choose
from vision_flan.miniatures.cut_folder import EXPECTED, LARGEST, Expected, copy_into, write_expected
from vision_flan.miniatures.cut_write import (
    NAMED_IMAGES,
    Kept,
    contents_of,
    reader_of,
    stored_images,
    write_files,
)
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.scrub import Scrubber
from vision_flan.miniatures.stand_ins import facts_of
from vision_flan.raw.folder import RawDataset
from vision_flan.raw.roots import RawPlaces
from vision_flan.records.needed import Row, RowFinder
from vision_flan.records.tables import open_raw, task_sources
from vision_flan.report import Reporter, Silent
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.files import read_text
from vision_flan.spec.model import DatasetSpec
from vision_flan.spec.names import tasks_of

#: Positions up to which all rows of a file are kept where records refer to rows by position.
_MOST_ROWS = 5_000


@dataclass(frozen=True)
class CutResult:
    """What was written.

    Attributes:
        records: task -> records.
        bytes: size of all files.
    """

    folder: Path
    expected: tuple[Expected, ...]
    bytes: int


def cut(
    catalog: Catalog,
    dataset: str,
    places: RawPlaces,
    n: int = 8,
    *,
    scrub: bool = False,
    report: Reporter | None = None,
) -> CutResult:
    """Write `tests/miniatures/<dataset>` of the catalog's last root.

    Args:
        places: where the raw files are.
        n: records of each task, at least.
        scrub: replace the words of free text and people's names.

    Raises:
        SpecError: it exists already, the dataset has no task, or its files cannot be cut.
        MissingRawError, BadRawError: as for a compile.
    """
    folder = catalog.home.miniatures / dataset
    if folder.exists():
        hint = f"remove it first: {to_type('rm', '-r', folder)}"
        raise SpecError("there is a cut miniature already", where=Location(folder), hint=hint)
    tasks = tasks_of(catalog, dataset)
    spec = catalog.dataset(dataset)
    if not tasks:
        raise SpecError(f"the dataset {dataset!r} has no task", hint=f"vflan new {dataset} TASK --raw DIR")
    report = report or Silent()
    with open_raw(spec, catalog, places) as raw, tempfile.TemporaryDirectory(prefix="vflan-") as work:
        chosen, kept = _chosen(catalog, spec, places, raw, n, Path(work), report)
        stage = Path(work) / "stage"
        scrubber = _scrubber(catalog, spec, chosen) if scrub else None
        _write_verified(catalog, spec, raw, chosen, kept, stage, scrubber)
        expected = tuple(expected_of(catalog, dataset, stage))
        write_expected(stage, expected)
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(stage, folder)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return CutResult(folder, expected, size)


def _chosen(
    catalog: Catalog,
    spec: DatasetSpec,
    places: RawPlaces,
    raw: RawDataset,
    n: int,
    work: Path,
    report: Reporter,
) -> tuple[dict[str, Chosen], dict[str, set[Row]]]:
    """The records of each task, and the rows they need."""
    chosen: dict[str, Chosen] = {}
    kept: dict[str, set[Row]] = defaultdict(set)
    for name in tasks_of(catalog, spec.dataset):
        report.note(f"{name}: choosing records")
        with open_task(name, places, catalog) as opened:
            chosen[name] = choose(opened, n)
        task = catalog.task(name)
        if not chosen[name].keys:
            raise SpecError(f"{name} has no records in these files", where=task.records_place)
        sources = task_sources(task, catalog)
        if task.table in sources.readers and {"_file", "_index"} <= chosen[name].rows[0].keys():
            kept[str(task.table)] |= {(str(r["_file"]), int(str(r["_index"]))) for r in chosen[name].rows}
        else:
            place = work / name
            place.mkdir()
            with RowFinder(task, sources, raw, place) as finder:
                for table, rows in finder.find(chosen[name].keys).items():
                    kept[table] |= set(rows)
        for table, file, record in stored_images(spec, chosen[name].images):
            if reader_of(spec, table) not in NAMED_IMAGES:
                kept[table].add((file, int(record or 0)))
    return chosen, kept


def _scrubber(catalog: Catalog, spec: DatasetSpec, chosen: Mapping[str, Chosen]) -> Scrubber:
    """Keeps labels, and what is a path of an image."""
    kept: set[str] = set()
    for name in chosen:
        for table in task_sources(catalog.task(name), catalog).labels.values():
            kept |= table.keys()
        for ref in chosen[name].images:
            kept |= {ref, ref.rpartition("/")[2], ref.rpartition("/")[2].rpartition(".")[0]}
    return Scrubber(frozenset(kept))


# --- writing


def _write_verified(
    catalog: Catalog,
    spec: DatasetSpec,
    raw: RawDataset,
    chosen: Mapping[str, Chosen],
    kept: Kept,
    stage: Path,
    scrub: Scrubber | None,
) -> None:
    """Write the files, first with their texts as they are, to see that every chosen record is as it was.

    Raises:
        SpecError: records refer to rows by position, and too many rows would have to stay.
    """
    for rows in (kept, _with_all_before(kept)):
        if sum(map(len, rows.values())) > _MOST_ROWS * max(len(rows), 1):
            break
        shutil.rmtree(stage, ignore_errors=True)
        write_files(contents_of(spec, raw, chosen, rows, None), spec.dataset, stage)
        if not _lost(catalog, spec.dataset, chosen, stage):
            if scrub:
                shutil.rmtree(stage)
                write_files(contents_of(spec, raw, chosen, rows, scrub), spec.dataset, stage)
            return
    raise SpecError(
        f"records of {spec.dataset!r} change when other rows are left out: they refer to rows by position",
        where=Location(spec.document.path),
        hint="write a generator instead: vision_flan/miniatures/miniature.py explains how",
    )


def _with_all_before(kept: Kept) -> Kept:
    """All rows up to the last one that stays, so that positions are as they were."""
    found: dict[str, set[Row]] = {}
    for table, rows in kept.items():
        last: dict[str, int] = {}
        for file, at in rows:
            last[file] = max(at, last.get(file, 0))
        found[table] = {(file, at) for file, end in last.items() for at in range(min(end, _MOST_ROWS) + 1)}
    return found


# --- what becomes of it


@contextmanager
def _as_raw(dataset: str, folder: Path) -> Iterator[Path]:
    """A raw root with the files of a cut miniature."""
    with tempfile.TemporaryDirectory(prefix="vflan-") as root:
        with Miniature(Path(root), dataset, 1, 0) as mini:
            copy_into(folder, mini)
        yield Path(root)


def _lost(catalog: Catalog, dataset: str, chosen: Mapping[str, Chosen], stage: Path) -> list[str]:
    """Chosen records that the written files do not yield as they were."""
    lost = []
    with _as_raw(dataset, stage) as root:
        for name, one in chosen.items():
            try:
                with open_task(name, root, catalog) as opened:
                    there = {_comparable(row) for row in opened.rows(opened.candidates.count)}
            except (MissingRawError, BadRawError) as error:
                lost.append(f"{name}: {error}")
                continue
            lost += [f"{name}: {row}" for row in map(_comparable, one.rows) if row not in there]
    return lost


def _comparable(row: Mapping[str, object]) -> str:
    """A record without its positions, which change when rows are left out."""
    plain = {
        name: value for name, value in row.items() if name not in ("_key", "_file", "_index", "position")
    }
    return re.sub(
        r'("@[^"]*?)#\d+"', r'\1"', json.dumps(plain, sort_keys=True, default=str, ensure_ascii=False)
    )


def expected_of(catalog: Catalog, dataset: str, folder: Path) -> Iterator[Expected]:
    """What every record of a cut miniature becomes, with seed 0.

    Raises:
        SpecError, MissingRawError, BadRawError: a task cannot be run on it.
    """
    with _as_raw(dataset, folder) as root:
        for name in tasks_of(catalog, dataset):
            with open_task(name, root, catalog) as opened:
                maker = opened.maker(0)
                for row in opened.rows(opened.candidates.count):
                    made = maker.make(row, opened.read, full_check=False)
                    key = str(row["_key"])
                    if isinstance(made, Dropped):
                        yield Expected(name, key, dropped=made.reason)
                    else:
                        turns = made.turns
                        later = tuple(tuple(turn) for turn in turns) if len(turns) > 1 else ()
                        (prompt, target), facts = turns[0], facts_of(made.image)
                        yield Expected(name, key, facts, prompt, target, turns=later)


def expect(catalog: Catalog, dataset: str) -> tuple[Path, list[str]]:
    """Write expected.jsonl of a cut miniature again, after a change of its tasks.

    Returns:
        The file, and the lines that are new or changed.

    Raises:
        SpecError: the dataset has no cut miniature.
    """
    folder = catalog.miniature_folder(dataset)
    if folder is None:
        hint = f"vflan miniature cut {dataset} --raw DIR makes one"
        raise SpecError(f"the dataset {dataset!r} has no cut miniature", hint=hint)
    before = read_text(folder / EXPECTED, LARGEST).splitlines()  # a link is refused before it is written to
    (folder / EXPECTED).write_text("", "utf-8")
    try:
        lines = list(expected_of(catalog, dataset, folder))
    except BaseException:
        (folder / EXPECTED).write_text("".join(f"{line}\n" for line in before), "utf-8")
        raise
    path = write_expected(folder, lines)
    return path, [line for line in path.read_text("utf-8").splitlines() if line not in before]
