"""Writes the files of a cut miniature: every file that its records need, in upstream's places."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vision_flan.errors import Location, MissingRawError
from vision_flan.miniatures.cut_arrays import Cut
from vision_flan.miniatures.cut_choice import Chosen
from vision_flan.miniatures.cut_folder import EXPECTED
from vision_flan.miniatures.cut_formats import cut_file
from vision_flan.miniatures.cut_stores import cut_lmdb
from vision_flan.miniatures.scrub import Scrubber
from vision_flan.miniatures.stand_ins import stand_in
from vision_flan.miniatures.tree import archive
from vision_flan.raw.folder import RawDataset
from vision_flan.raw.names import IMAGE_SUFFIXES
from vision_flan.readers.damage import reading
from vision_flan.records.needed import Row
from vision_flan.spec.model import DatasetSpec

#: Table -> rows that stay.
Kept = Mapping[str, set[Row]]
#: A place in the raw folder -> content: the dataset, the archive or None, the name.
Contents = dict[tuple[str, str | None, str], bytes]
#: Readers whose images have names or positions of their own, which are no positions of rows.
NAMED_IMAGES = frozenset(("lmdb", "npz"))


@dataclass
class _Stays:
    """What stays of a file for one table: positions of rows, and names of images after the `#`."""

    rows: set[int] = field(default_factory=set)
    images: set[str] = field(default_factory=set)


def contents_of(
    spec: DatasetSpec, raw: RawDataset, chosen: Mapping[str, Chosen], kept: Kept, scrub: Scrubber | None
) -> Contents:
    """Every file of the miniature, by its place.

    Raises:
        MissingRawError, BadRawError: a file has gone, or is damaged.
        SpecError: a file cannot be cut.
    """
    contents: Contents = {}
    for file, tables in _by_file(spec, chosen, kept).items():
        readers = {reader_of(spec, table) for table in tables} - {"files"}
        cuts = [
            _cut(spec, table, stays, scrub)
            for table, stays in tables.items()
            if reader_of(spec, table) != "files"
        ]
        if "lmdb" in readers:
            contents |= _environment(raw, file, cuts[0])
            continue
        data = raw.read_bytes(file)
        if readers:
            with reading(raw, file, min(readers)):
                made = cut_file(min(readers), file, data, cuts)
        else:
            made = stand_in(data, file) if file.lower().endswith(IMAGE_SUFFIXES) else data
        contents[_place(raw, file)] = made
    for one in chosen.values():
        for ref, data in one.images.items():
            if not ref.startswith("@"):
                contents[_place(raw, ref)] = stand_in(data, ref)
    return contents


def stored_images(spec: DatasetSpec, images: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Table, file and name of each image that is stored inside of a file; an empty name is all of it."""
    for ref in images:
        if not ref.startswith("@"):
            continue
        table, _, locator = ref[1:].partition("/")
        if reader_of(spec, table) == "lmdb":  # a key may hold the mark
            file, _, name = locator.partition("#")
        else:
            file, mark, name = locator.rpartition("#")
            file, name = (file, name) if mark else (locator, "")
        yield table, file, name


def _by_file(spec: DatasetSpec, chosen: Mapping[str, Chosen], kept: Kept) -> dict[str, dict[str, _Stays]]:
    found: dict[str, dict[str, _Stays]] = defaultdict(lambda: defaultdict(_Stays))
    for table, rows in kept.items():
        for file, at in rows:
            found[file][table].rows.add(at)
    for one in chosen.values():
        for table, file, name in stored_images(spec, one.images):
            if reader_of(spec, table) in NAMED_IMAGES:
                found[file][table].images.add(name)
    return found


def reader_of(spec: DatasetSpec, table: str) -> str:
    """The name of a table's reader."""
    return str(spec.tables[table]["reader"])


def _cut(spec: DatasetSpec, table: str, stays: _Stays, scrub: Scrubber | None) -> Cut:
    declared = spec.tables[table]
    options = {key: value for key, value in declared.items() if key not in ("reader", "file", "columns")}
    if (
        declared["reader"] == "delimited"
        and "delimiter" not in options
        and ".tsv" in str(declared["file"]).lower()
    ):
        options["delimiter"] = "\t"
    columns = declared.get("columns", {})
    return Cut(frozenset(stays.rows), options, columns, scrub, frozenset(stays.images))


def _environment(raw: RawDataset, folder: str, cut: Cut) -> Contents:
    """An LMDB environment, with the lock file that upstream's archives include."""
    path = f"{folder}/data.mdb"
    data = raw.local_path(path)
    place, lock = _place(raw, path), raw.place_of(f"{folder}/lock.mdb")
    made = {place: cut_lmdb(data.parent, cut)} if data else {}
    return made | ({lock: bytes(8192)} if lock else {})


def _place(raw: RawDataset, path: str) -> tuple[str, str | None, str]:
    found = raw.place_of(path)
    if found is None:
        raise MissingRawError(f"{path!r} has gone", where=Location(raw.root))
    return found


def write_files(contents: Contents, dataset: str, stage: Path) -> None:
    """Write files and archives; members are in the order of their names."""
    packed: dict[Path, dict[str, bytes]] = defaultdict(dict)
    for (owner, container, name), data in sorted(contents.items(), key=lambda item: item[0][2]):
        root = stage / "raw" if owner == dataset else stage / "borrowed" / owner
        if container is not None:
            packed[root / container][name] = data
            continue
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    for path, members in packed.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with archive(path) as tree:
            for name, data in members.items():
                tree.write_bytes(name, data)
    (stage / EXPECTED).write_text("", "utf-8")
