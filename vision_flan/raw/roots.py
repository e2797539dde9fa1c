"""Where the raw files of each dataset are: one or more raw roots, and datasets that lie somewhere else.

A raw root has one folder per dataset, named by its slug. `raw.yaml` maps a dataset to any other folder or
archive, or to several folders that are read as one. Nothing is ever written to a root by a compile.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vision_flan.errors import Location, MissingRawError, SpecError, to_type
from vision_flan.limits import Step
from vision_flan.raw.members import is_junk
from vision_flan.raw.unpacked import FOLDER, Scratch
from vision_flan.spec.files import read_bytes
from vision_flan.spec.nearest import did_you_mean
from vision_flan.spec.text import Document, load_yaml

#: The map in the working folder, and the table of pyproject.toml that replaces it.
MAP_FILE, PYPROJECT, TABLE = "raw.yaml", "pyproject.toml", ("tool", "vision-flan", "raw")

_LONGEST_LINE, _MOST_PLACES = 20_000, 100
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".gz")


@dataclass(frozen=True)
class Mapped:
    """A dataset's entry of a map: folders or archives, in order, and where they are named."""

    paths: tuple[Path, ...]
    place: Location


@dataclass(frozen=True)
class RawRoots:
    """Raw roots, searched in order, and the datasets that are mapped to other places.

    Attributes:
        roots: folders with one subfolder per dataset.
        mapped: slug -> its own folders or archives; the roots are not searched for it.
        scratch: where packed archives may be unpacked; None reads them where they are.
    """

    roots: tuple[Path, ...] = ()
    mapped: Mapping[str, Mapped] = field(default_factory=dict)
    scratch: Scratch | None = None

    @classmethod
    def of(cls, raw: RawPlaces) -> RawRoots:
        """Roots from what a caller gives: one folder, several, or roots."""
        if isinstance(raw, RawRoots):
            return raw
        given = [raw] if isinstance(raw, str | Path) else list(raw)
        return cls(tuple(Path(one) for one in given))

    @classmethod
    def for_build(cls, raw: RawPlaces, work: Path, *, read_only: bool = False) -> RawRoots:
        """The same places, with packed archives unpacked into a folder of ours.

        Args:
            work: the work folder of a compiled folder.
            read_only: take what is unpacked there, unpack nothing.
        """
        return replace(cls.of(raw), scratch=Scratch(work / FOLDER, read_only))

    def __str__(self) -> str:
        return ", ".join(str(root) for root in self.roots)

    def places(self, dataset: str) -> tuple[Path, ...]:
        """The folders or archives of a dataset that exist, in the order in which they are searched.

        Also found: other capitals (`TextOCR`), and the only folder of a root that has the dataset's.

        Raises:
            MissingRawError: a root, or a place that the map names, does not exist.
        """
        mapped = self.mapped.get(dataset)
        if mapped:
            for path in mapped.paths:
                if not os.path.exists(path):  # noqa: PTH110 - false for what no path can be
                    raise MissingRawError(
                        f"{dataset} is mapped to {str(path)[:300]}, which does not exist",
                        where=mapped.place,
                        hint="mount it, or correct the map",
                    )
            return mapped.paths
        for root in self.roots:
            if not root.is_dir():
                raise MissingRawError(
                    "the raw folder does not exist",
                    where=Location(root),
                    hint="give --raw DIR or set VFLAN_RAW",
                )
        found = (_in_root(root, dataset) for root in self.roots)
        return tuple(place for place in found if place)

    def home(self, dataset: str) -> Path:
        """Where a dataset's files are, or where they go if there are none yet."""
        if dataset in self.mapped:
            return self.mapped[dataset].paths[0]
        first = self.roots[0] if self.roots else Path("raw")
        found = (_in_root(root, dataset) for root in self.roots if root.is_dir())
        return next((place for place in found if place), first / dataset)

    def declared(self) -> tuple[str, ...]:
        """Real paths of all declared places: a link that ends inside one of them is followed."""
        mapped = (path for one in self.mapped.values() for path in one.paths)
        return tuple(dict.fromkeys(os.path.realpath(place) for place in (*self.roots, *mapped)))

    def suggestion(self, dataset: str) -> str:
        """What in the roots may be the dataset that was not found, "" for nothing."""
        for root in self.roots:
            if _folded(root.resolve().name) == _folded(dataset):
                return f"{root} looks like the dataset itself: give the folder above it, --raw {root.parent}"
        names = {name: root for root in self.roots if root.is_dir() for name in _names(root)}
        alike = [name for name in names if _folded(_stem(name)) == _folded(dataset)]
        near = alike or [name for name in names if _may_be(_stem(name), dataset)]
        if not near:
            return ""
        path = names[near[0]] / near[0]
        return f"is it {path}? Then write into {MAP_FILE}: {dataset}: {path}"


#: What functions take for `raw`.
RawPlaces = RawRoots | Path | str | Sequence[Path | str]


def read_map(
    path: Path | None, datasets: Collection[str] | None, folder: Path | None = None
) -> dict[str, Mapped]:
    """The map of a file, or the one of the working folder: raw.yaml, else the table in pyproject.toml.

    Args:
        path: the file to read; None looks in `folder`.
        datasets: the slugs that exist; None takes any.
        folder: the working folder.

    Raises:
        SpecError: not a map from datasets to folders or archives; names the line.
    """
    if path is None:
        here = folder or Path()
        if (here / MAP_FILE).is_file():
            path = here / MAP_FILE
        elif (here / PYPROJECT).is_file():
            return _from_pyproject(here / PYPROJECT, datasets)
        else:
            return {}
    if path.suffix == ".toml":
        return _from_pyproject(path, datasets)
    document = load_yaml(path)
    return _entries(document, document.data, datasets)


def _from_pyproject(path: Path, datasets: Collection[str] | None) -> dict[str, Mapped]:
    Step("reading the raw map", Location(path)).begin()
    try:
        text = read_bytes(path.resolve()).decode()
        longest = max(map(len, text.splitlines()), default=0)
        if longest > _LONGEST_LINE:  # keys of many dots take the square of their number
            raise SpecError(f"a line of {longest:,} characters", where=Location(path), hint="break it")
        data: object = tomllib.loads(text) if TABLE[1] in text else {}
    except (OSError, ValueError, RecursionError) as error:
        what = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise SpecError(f"cannot read the raw map: {what}", where=Location(path)) from error
    for name in TABLE:
        data = data.get(name, {}) if isinstance(data, dict) else {}
    return _entries(Document(path, data, {}), data, datasets)


def _entries(document: Document, data: object, datasets: Collection[str] | None) -> dict[str, Mapped]:
    hint = "write one dataset a line: mscoco: /nfs/coco"
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise SpecError("not a map from datasets to folders", where=document.place(), hint=hint)
    mapped = {}
    for name, value in data.items():
        place = document.place(name)
        if datasets is not None and name not in datasets:
            hint = did_you_mean(str(name), datasets, "`vflan list` shows all datasets")
            raise SpecError(f"there is no dataset {name!r}", where=place, hint=hint)
        paths = value if isinstance(value, list) else [value]
        if not paths or not all(isinstance(path, str) and path for path in paths):
            raise SpecError(f"{name}: not a folder or an archive: {value!r}", where=place, hint=hint)
        if len(paths) > _MOST_PLACES:
            raise SpecError(f"{name}: more than {_MOST_PLACES} places", where=place)
        mapped[str(name)] = Mapped(tuple(_place(document.path.parent, path, place) for path in paths), place)
    return mapped


def _place(base: Path, path: str, place: Location) -> Path:
    try:
        return base / Path(path).expanduser()
    except RuntimeError as error:  # there is no such user
        raise SpecError(f"{path[:200]!r}: {error}", where=place, hint="write the path out") from error


def fetch_command(dataset: str, home: Path) -> str:
    """The command that downloads a dataset's files to where they are looked for.

    Args:
        home: its folder; the raw folder is the one above it, unless a map names the folder.
    """
    root = home.parent
    given = root != Path("raw") and _folded(home.name) == _folded(dataset)
    return to_type("vflan", "fetch", dataset, *(("--raw", root) if given else ()))


def _in_root(root: Path, dataset: str) -> Path | None:
    """A dataset's folder in a root, under its slug or other capitals; also below the root's only folder."""
    if (root / dataset).is_dir():
        return root / dataset
    folders = [name for name in _names(root) if (root / name).is_dir()]
    alike = [name for name in folders if _folded(name) == _folded(dataset)]
    if len(alike) == 1:
        return root / alike[0]
    if len(folders) == 1 and (root / folders[0] / dataset).is_dir():
        return root / folders[0] / dataset
    return None


def _names(root: Path) -> list[str]:
    with os.scandir(root) as entries:
        return sorted(
            entry.name
            for entry in entries
            if not is_junk(entry.name)
            and entry.name[0] != "."
            and (entry.is_dir() or entry.name.lower().endswith(_ARCHIVES))
        )


def _folded(name: str) -> str:
    return "".join(char for char in name.casefold() if char.isalnum())


def _stem(name: str) -> str:
    lower = name.lower()
    suffix = max((one for one in _ARCHIVES if lower.endswith(one)), key=len, default="")
    return name[: len(name) - len(suffix)]


def _may_be(name: str, dataset: str) -> bool:
    """Whether one name is a part of the other, as `coco` of `mscoco`; short ones say nothing."""
    short, long = sorted((_folded(name), _folded(dataset)), key=len)
    return len(short) >= 4 and short in long


def blobs_of(real: str) -> Iterator[str]:
    """The folder that a snapshot of the Hub's cache links to: `blobs/` beside `snapshots/<revision>/`."""
    parts = Path(real).parts
    for at in range(1, len(parts) - 1):
        if parts[at] == "snapshots":
            blobs = os.path.join(*parts[:at], "blobs")  # noqa: PTH118 - compared as text with real paths
            if os.path.isdir(blobs):  # noqa: PTH112
                yield os.path.realpath(blobs)
