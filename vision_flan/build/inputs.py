"""Which raw files a build reads, and whether they have changed since.

A stamp is size, time in nanoseconds and origin (`RawDataset.stamp`), taken before a file is read. A missing
file has the stamp "", so that its arrival is noticed too. Content that changes with the same size and time
is found only by checksums, which `--verify-raw` keeps and compares.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import pyarrow as pa

from vision_flan.errors import BadRawError, DamagedFileError, Location, MissingRawError, VflanError
from vision_flan.raw.folder import RawDataset
from vision_flan.readers.ahead import Ahead
from vision_flan.readers.image_refs import ImageStore
from vision_flan.records.sources import TaskSources

#: A manifest lists up to this many files of a table; beyond it, their number and a checksum.
LISTED_FILES = 100

#: Prefix of a listing's key among the stamps; a path of a layout cannot have it.
_LISTING = "\0listing "
#: A text as JSON.
_quoted = json.encoder.encode_basestring_ascii
_REFUSED = "refused"
#: Paths that are written to a checksum at a time.
_AT_ONCE = 10_000
#: Stamps of what no file is behind.
NOT_THERE = frozenset({"", _REFUSED})


@dataclass
class Seen:
    """Files that were looked up: path -> stamp, and path -> sha256 if checksums are kept."""

    stamps: dict[str, str] = field(default_factory=dict)
    sums: dict[str, str] = field(default_factory=dict)

    def add(self, other: Seen) -> None:
        """Merge another set of files into this one.

        Of two stamps of one file the first stays: it changed between two blocks, which is to be noticed.
        """
        first = {path: self.stamps[path] for path in other.stamps.keys() & self.stamps.keys()}
        self.stamps.update(other.stamps)
        self.stamps.update(first)
        self.sums.update(other.sums)


class ImageInputs:
    """Reads images and records their files.

    Args:
        raw: the dataset's raw folder.
        images: resolves references to images.
        checksums: keep the sha256 of each file.
    """

    def __init__(self, raw: RawDataset, images: ImageStore, checksums: bool) -> None:
        self.raw = raw
        self.images = images
        self.checksums = checksums
        self._sums: dict[tuple[str, str], str] = {}

    def checksum(self, file: str, was: str) -> str:
        """sha256 of a file of many images, which many blocks ask for, as long as its stamp is the same."""
        if (file, was) not in self._sums:
            self._sums[file, was] = checksum(self.raw, file)
        return self._sums[file, was]

    def watch(self) -> Watch:
        """A reader of images for one block."""
        if self.images.spools:
            self.images.spools.look()
        return Watch(self)


class Watch:
    """Reads images for one block; `seen` are the files it looked up."""

    def __init__(self, inputs: ImageInputs) -> None:
        self._inputs = inputs
        self._read = inputs.images.read
        self._early: dict[str, str] = {}
        self._ahead = Ahead(inputs.images)
        self.seen = Seen()

    def ahead(
        self,
        tables: Iterable[pa.Table],
        refs_in: Callable[[pa.Table], Iterable[str]],
        at_most: int | None,
    ) -> Iterator[pa.Table]:
        """The same rows; images that are quicker to read together are read before. See `readers.ahead`."""
        return self._ahead.tables(tables, refs_in, at_most, self._stamp_early)

    def _stamp_early(self, ref: str) -> None:
        file = self._inputs.images.file_of(ref)
        if file not in self._early:
            self._early[file] = stamp(self._inputs.raw, file)

    def read(self, ref: str) -> bytes:
        """The bytes of an image; raises what `ImageStore.read` raises."""
        inputs, stamps = self._inputs, self.seen.stamps
        file = inputs.images.file_of(ref)
        held = self._ahead.held(ref)
        if file in stamps:
            return self._read(ref) if held is None else held
        if (
            held is None and file == ref and not inputs.checksums
        ):  # an image of its own: one opening gives all
            try:
                data, stamps[file] = inputs.images.read_stamped(ref)
            except DamagedFileError:
                stamps[file] = stamp(inputs.raw, file)
                raise
            return self._read(ref) if data is None else data
        copied = inputs.images.spools.stamp(ref) if inputs.images.spools else None
        early = self._early.get(file) if copied is None else copied
        stamps[file] = stamp(inputs.raw, file) if early is None else early
        if inputs.checksums and stamps[file] not in ("", _REFUSED):
            one = checksum(inputs.raw, file) if file == ref else inputs.checksum(file, stamps[file])
            self.seen.sums[file] = one
        return self._read(ref) if held is None else held


def stamp(raw: RawDataset, path: str) -> str:
    """The stamp of a file; an impossible path has a stamp of its own."""
    try:
        return raw.stamp(path)
    except BadRawError:
        return _REFUSED


def checksum(raw: RawDataset, path: str) -> str:
    """sha256 of a file, "" if it is missing or damaged."""
    try:
        digest = hashlib.sha256()
        with raw.open(path) as file:
            while data := file.read(1 << 20):
                digest.update(data)
        return digest.hexdigest()
    except (MissingRawError, BadRawError):
        return ""


def first_change(raw: RawDataset, seen: Seen, *, checksums: bool = False) -> str | None:
    """The first file that has changed since it was looked up.

    Args:
        checksums: compare contents too, for files whose checksum is known.
    """
    for path, was in raw.perhaps_changed(seen.stamps.items()):
        if not path.startswith(_LISTING) and stamp(raw, path) != was:
            return path
    if checksums:
        for path, known in seen.sums.items():
            if checksum(raw, path) != known:
                return path
    return None


def first_change_among(raw: RawDataset, pieces: Iterable[Seen], *, checksums: bool = False) -> str | None:
    """The same of many files, a piece at a time."""
    found = (first_change(raw, seen, checksums=checksums) for seen in pieces)
    return next((path for path in found if path is not None), None)


def annotation_files(sources: TaskSources, raw: RawDataset) -> Seen:
    """The files that a task's tables are read from; for tables of file names, only the names."""
    seen = Seen()
    for name in sources.readers:
        table = sources.dataset.tables[name]
        paths = (path for path, _ in raw.list(table["file"]))
        if table["reader"] == "files":
            seen.stamps[_LISTING + table["file"]] = _listing(paths)
        else:
            seen.stamps.update((path, stamp(raw, path)) for path in paths)
    return seen


def _listing(paths: Iterator[str]) -> str:
    """The number of paths and a checksum, a part at a time: there may be millions."""
    count, digest = 0, hashlib.sha256()
    while some := list(islice(paths, _AT_ONCE)):
        digest.update((("\0" if count else "") + "\0".join(some)).encode("utf-8", "surrogateescape"))
        count += len(some)
    return f"{count} {digest.hexdigest()}"


def with_checksums(raw: RawDataset, seen: Seen) -> Seen:
    """The same files with their checksums."""
    paths = [path for path in seen.stamps if not path.startswith(_LISTING)]
    return Seen(seen.stamps, {path: checksum(raw, path) for path in paths})


def differing(was: Mapping[str, str], now: Mapping[str, str]) -> str | None:
    """The first file, or listing of files, whose stamps differ."""
    for key in sorted(was.keys() | now.keys()):
        if was.get(key) != now.get(key):
            return f"the files that match {key[len(_LISTING) :]}" if key.startswith(_LISTING) else key
    return None


def raw_files(sources: TaskSources, raw: RawDataset, seen: Seen) -> tuple[dict[str, Any], ...]:
    """Annotation files for the manifest: each one, or the number and a checksum of many."""
    found: dict[str, dict[str, Any]] = {}
    for name in sources.readers:
        table = sources.dataset.tables[name]
        pattern = table["file"]
        listing = seen.stamps.get(_LISTING + pattern)
        if table["reader"] == "files" and listing is not None:
            count, digest = listing.split(" ")
            found[pattern] = {"path": pattern, "files": int(count), "names_sha256": digest}
            continue
        paths = [path for path, _ in raw.list(pattern)]
        if len(paths) > LISTED_FILES:
            sizes = {path: size_of(seen.stamps.get(path, "")) for path in paths}
            total, digest_of_sizes = sum(sizes.values()), SizesDigest()
            digest_of_sizes.add(sorted(sizes.items()))
            found[pattern] = {
                "path": pattern,
                "files": len(paths),
                "bytes": total,
                "sha256": digest_of_sizes.finish(),
            }
            continue
        for path in paths:
            file = raw.stat(path)
            found[path] = {
                "path": path,
                "bytes": file.bytes,
                "mtime": round(file.mtime, 3),
                "archive": file.archive,
            }
    return tuple(found[key] for key in sorted(found))


def check_unchanged(
    raw: RawDataset, sources: TaskSources, annotations: Seen, changed_image: Callable[[], str | None]
) -> None:
    """Refuse to install a config whose raw files changed during the build.

    Args:
        annotations: the files of the tables as they were when they were read.
        changed_image: the first image file that has changed since it was read.

    Raises:
        MissingRawError, BadRawError: the raw folder is gone, or a file has changed.
    """
    if raw.gone() is not None:
        raise changed_while_built(raw, "the folder is gone")
    changed = (
        raw.changed_archive()
        or differing(annotations.stamps, annotation_files(sources, raw).stamps)
        or changed_image()
    )
    if changed:
        raise changed_while_built(raw, str(changed))


def changed_while_built(raw: RawDataset, what: str) -> VflanError:
    """The error for raw files that change, or disappear, while they are read."""
    gone = raw.gone()
    if gone is not None:
        return MissingRawError(
            "the raw folder disappeared during the build",
            where=Location(gone),
            hint="mount it again and run the same command: finished shards are kept",
        )
    return BadRawError(
        f"raw files changed during the build: {what}",
        where=Location(raw.root),
        hint="wait until nothing writes there, then run the same command",
    )


def is_listing(path: str) -> bool:
    """Whether a key of stamps stands for the names of many files."""
    return path.startswith(_LISTING)


def size_of(text: str) -> int:
    """The size in a stamp."""
    return int(text.split(" ", 1)[0]) if text not in ("", _REFUSED) else 0


class SizesDigest:
    """Checksum of paths and sizes, which come sorted: of the JSON list of [path, size]."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256(b"[")
        self._between = ""

    def add(self, sizes: Sequence[tuple[str, int | str]]) -> None:
        """The next files."""
        if sizes:
            listed = ", ".join([f"[{_quoted(path)}, {size}]" for path, size in sizes])
            self._digest.update(f"{self._between}{listed}".encode())
            self._between = ", "

    def finish(self) -> str:
        """The checksum, in hex."""
        self._digest.update(b"]")
        return self._digest.hexdigest()
