"""What lies in a raw folder: its archives, and all files of the layout with what each is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from vision_flan.errors import BadRawError, Location, MissingRawError
from vision_flan.raw.archives import Archive
from vision_flan.raw.folder import RawDataset
from vision_flan.raw.names import IMAGE_SUFFIXES
from vision_flan.raw.patterns import Pattern
from vision_flan.raw.roots import MAP_FILE, RawRoots
from vision_flan.raw.signatures import HEAD_BYTES, looks_like
from vision_flan.spec.model import ARCHIVE_SUFFIXES

_EVERYTHING = Pattern("{path*}")
_GZIP = (".gz",)


@dataclass(frozen=True)
class Survey:
    """A raw folder that was looked at.

    Attributes:
        raw: the folder with its archives open.
        archives: path of each archive, as dataset.yaml lists it.
        images, others: files of the layout, sorted; those in archives have their members' paths.
        unread: archives that cannot be opened, with the reason.
    """

    raw: RawDataset
    archives: tuple[str, ...]
    images: tuple[str, ...]
    others: tuple[str, ...]
    unread: dict[str, str] = field(default_factory=dict)

    def head(self, path: str, size: int = HEAD_BYTES) -> bytes:
        """The first bytes of a file."""
        return self.raw.read_bytes(path, size)

    def kind(self, path: str) -> str:
        """What a file is by its first bytes: "JSON", "Parquet", ..."""
        return looks_like(self.head(path))


def dataset_folder(raw: RawRoots, dataset: str) -> Path:
    """The dataset's folder: one below a raw root, the place that the map names, or a root of its name.

    Raises:
        MissingRawError: there is none.
    """
    found = raw.places(dataset)
    if found:
        return found[0]
    for root in raw.roots:
        if root.resolve().name == dataset:
            return root.resolve()
    root = raw.roots[0] if raw.roots else Path("raw")
    there = sorted(path.name for path in root.iterdir())[:5] if root.is_dir() else []
    whole = root.resolve()
    raise MissingRawError(
        f"there is no folder {dataset!r} here" + (f"; there are {', '.join(there)}" if there else ""),
        where=Location(root),
        hint=f"give --raw the folder that holds {dataset}/, or a folder that has this name; if the files are "
        f"in {root}, write `{dataset}: {whole}` into {MAP_FILE} and pass --raw-map {MAP_FILE}",
    )


@contextmanager
def surveyed(folder: Path, dataset: str) -> Iterator[Survey]:
    """List a dataset's raw folder; its archives are closed at the end.

    Raises:
        MissingRawError: it has no files.
        BadRawError: a link leads out of it.
    """
    with RawDataset(folder, dataset) as plain:
        on_disk = [path for path, _ in plain.list(_EVERYTHING)]
    packed = [path for path in on_disk if path.lower().endswith(ARCHIVE_SUFFIXES)]
    unread: dict[str, str] = {}
    archives = []
    for path in packed:
        try:
            with RawDataset(folder, dataset, [Archive(path)]) as one:
                next(iter(one.list(_EVERYTHING)), None)
            archives.append(path)
        except BadRawError as error:
            unread[path] = error.what
    with RawDataset(folder, dataset, [Archive(path) for path in archives]) as raw:
        paths = [path for path, _ in raw.list(_EVERYTHING) if path not in packed]
        if not paths:
            raise MissingRawError(
                f"the raw folder of {dataset!r} has no files" + _why(unread), where=Location(folder)
            )
        images = tuple(path for path in paths if path.lower().endswith(IMAGE_SUFFIXES))
        others = tuple(path for path in paths if not path.lower().endswith(IMAGE_SUFFIXES))
        yield Survey(raw, tuple(archives), images, others, unread)


def _why(unread: dict[str, str]) -> str:
    return "".join(f"\n  {path}: {why}" for path, why in unread.items())


def suffix(path: str) -> str:
    """The suffix in lower case, without that of a compression: ".json" of `a.JSON.gz`."""
    name = path.rpartition("/")[2].lower()
    for packing in _GZIP:
        name = name.removesuffix(packing)
    return "." + name.rpartition(".")[2] if "." in name else ""
