"""A dataset's raw folder: upstream's files as they are, unpacked or still in their archives.

Every path that a spec or a table names is resolved here, and none leaves the folder. A path is looked up on
disk, then in the dataset's archives, then likewise in the raw folders it borrows from.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import IO, Self, cast

from vision_flan.errors import DamagedFileError, Location, MissingRawError
from vision_flan.raw.archives import Archive, Mounted, mount_all
from vision_flan.raw.folders import Folders
from vision_flan.raw.names import other_spellings
from vision_flan.raw.opening import RawFile, os_error, read_all
from vision_flan.raw.patterns import Pattern, refuse_unsafe
from vision_flan.raw.roots import fetch_command
from vision_flan.raw.unpacked import Scratch
from vision_flan.raw.walk import Found, Watch, merged, walk


class RawDataset:
    """One dataset's raw folder. Methods may be called from several threads at once.

    A path that is not found as given is also tried in the other Unicode normalization, with its suffix in the
    other case, and inside one wrapper folder: the only folder in the raw folder or in an archive, or a folder
    in a folder of the same name (`train2014/train2014/`).

    Args:
        root: the folder, which may not exist yet and may be a symbolic link; or one archive with the files.
        dataset: the dataset's slug, for messages.
        archives: archives to search; missing ones are skipped.
        borrowed: raw folders to search after this one; those of the same dataset are listed as one with it.
        declared: real paths of other folders that links may end in.
        scratch: where packed tars may be unpacked.
    """

    def __init__(
        self,
        root: Path,
        dataset: str,
        archives: Sequence[Archive] = (),
        borrowed: Sequence[RawDataset] = (),
        declared: Sequence[str] = (),
        scratch: Scratch | None = None,
    ) -> None:
        self.root = Path(root)
        self.dataset = dataset
        self.archives = tuple(archives)
        self._archive_patterns = [Pattern(archive.path) for archive in archives]
        self.borrowed = tuple(borrowed)
        self._disk = Folders(self.root, dataset, remember_absent=bool(archives), declared=declared)
        self._scratch = scratch
        self._was_there = self.root.exists()
        self._is_archive = self.root.is_file()
        self.watch: Watch | None = None
        self._mounted: Sequence[Mounted] | None = None
        self._names: list[str] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read_bytes(self, path: str, at_most: int | None = None) -> bytes:
        """The whole file, or its first `at_most` bytes.

        Raises:
            MissingRawError: it is neither on disk nor in an archive.
            BadRawError: the path leaves the folder, or the archive is damaged.
            MachineError: access is refused.
        """
        data = self.read_stamped(path, at_most)[0]
        if data is None:
            raise self._missing(path)
        return data

    def read_stamped(self, path: str, at_most: int | None = None) -> tuple[bytes | None, str]:
        """The bytes of a file, None for a missing one, and its stamp from before they were read: one opening
        gives both. Raises what `read_bytes` and `stamp` raise, except MissingRawError."""
        refuse_unsafe(path)
        for raw, spelling in self._tries(path):
            opened = raw._disk.open(spelling)
            if opened is not None:
                descriptor, status = opened
                try:
                    return read_all(descriptor, status.st_size, at_most), raw._stamp_of(status)
                except OSError as error:
                    raise os_error(self.root / path, error) from error
                finally:
                    os.close(descriptor)
            found = raw._member(spelling)
            if found:
                return found[0].members.read(found[1], at_most), raw._stamp_of(found)
        return None, ""

    def open(self, path: str) -> IO[bytes]:
        """The file as a seekable binary stream; for what it raises see `read_bytes`."""
        refuse_unsafe(path)
        for raw, spelling in self._tries(path):
            opened = raw._disk.open(spelling)
            if opened is not None:
                return os.fdopen(opened[0], "rb")
            found = raw._member(spelling)
            if found:
                return cast("IO[bytes]", found[0].members.open(found[1]))
        raise self._missing(path)

    def stat(self, path: str) -> RawFile:
        """Size and origin of a file; for what it raises see `read_bytes`."""
        found = self._find(path)
        if found is None:
            raise self._missing(path)
        return found

    def stamp(self, path: str) -> str:
        """A text that changes when a file does: its size, its time in nanoseconds, its folder or archive.

        An archive is checked once, when it is opened; `changed_archive` checks again. A change that keeps
        size and time goes unnoticed. "" stands for a missing file.

        Raises:
            BadRawError: the path leaves the folder.
            MachineError: access is refused.
        """
        refuse_unsafe(path)
        status = self._disk.status(path)  # where nearly all are; `_located` looks there too
        if status is not None:
            return self._stamp_of(status)
        for raw, found in self._located(path):
            return raw._stamp_of(found)
        return ""

    def perhaps_changed(self, stamps: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        """Paths and their stamps of before, without those whose file on disk is seen to be the same: a
        quarter less work than `stamp`, which says of the others whether they have changed."""
        return self._disk.not_as_they_were(stamps)

    def _stamp_of(self, found: os.stat_result | tuple[Mounted, str]) -> str:
        if isinstance(found, os.stat_result):
            return f"{found.st_size} {found.st_mtime_ns} {self.dataset}"
        return found[0].stamp(found[1], self.dataset)

    def gone(self) -> Path | None:
        """A raw folder that has disappeared: this one, or one that it borrows from."""
        there = (raw.root for raw in (self, *self.borrowed) if raw._was_there)
        return next((root for root in there if not root.exists()), None)

    def changed_archive(self) -> Path | None:
        """An open archive that has changed on disk since it was opened."""
        for raw in (self, *self.borrowed):
            for mounted in raw._mounted or ():
                full = raw._full(mounted)
                try:
                    status = full.stat()
                except OSError:
                    return full
                if (status.st_size, status.st_mtime_ns) != (mounted.bytes, mounted.mtime_ns):
                    return full
        return None

    def exists(self, path: str) -> bool:
        """Whether a file exists.

        Raises:
            BadRawError: the path leaves the folder.
        """
        return self._find(path) is not None

    def list(self, pattern: Pattern | str) -> Iterator[Found]:
        """Paths that match, sorted, each with the pattern's named parts.

        Borrowed folders are listed only when nothing here matches. Files that desktops leave behind
        are never listed.

        Raises:
            BadRawError: a matching link leaves the folder.
            SpecError: the pattern does.
        """
        wanted = Pattern(pattern) if isinstance(pattern, str) else pattern
        for _, parts in groupby((self, *self.borrowed), key=lambda raw: raw.dataset):
            nothing = True
            for found in _list_parts(list(parts), wanted):
                nothing = False
                yield found
            if not nothing:
                return

    def local_path(self, path: str) -> Path | None:
        """Path of a file or folder on disk, None when it is not unpacked; for libraries that need a path."""
        refuse_unsafe(path)
        for raw, spelling in self._tries(path):
            folder, _, name = spelling.rpartition("/")
            for known in raw._disk.of(folder, path):
                full = known + name
                if os.path.exists(full):  # noqa: PTH110 - a string path, as everywhere here
                    raw._disk.confine(full, path)
                    return Path(full)
        return None

    def place_of(self, path: str) -> tuple[str, str | None, str] | None:
        """Where a path of the layout really is: the dataset, the archive or None, and the name there."""
        refuse_unsafe(path)
        for raw, spelling in self._tries(path):
            folder, _, name = spelling.rpartition("/")
            for known in raw._disk.of(folder, path):
                if os.path.isfile(known + name):  # noqa: PTH113
                    return raw.dataset, None, os.path.relpath(known + name, raw._disk.base)
            found = raw._member(spelling)
            if found:
                return raw.dataset, found[0].path, found[1]
        return None

    def packed_at(self, path: str) -> tuple[str, int] | None:
        """Archive and offset of a member that is quicker to read after those before it; None for others."""
        raw, found = next(self._located(path), (self, None))
        if found is None or isinstance(found, os.stat_result) or not found[0].members.in_order:
            return None
        return str(raw._full(found[0])), found[0].members.offset(found[1])

    def close(self) -> None:
        """Close the archives of this folder and of the borrowed ones. They reopen when needed."""
        with self._lock:
            mounted, self._mounted = self._mounted or (), None
            for one in mounted:
                one.members.close()
        for raw in self.borrowed:
            raw.close()

    def looked_in(self) -> str:
        """The folders and archives that are searched, for error messages."""
        return "looked in " + ", in ".join(place for raw in (self, *self.borrowed) for place in raw._places())

    @property
    def parts(self) -> tuple[RawDataset, ...]:
        """The raw folders of this dataset: this one, and those on other disks."""
        return (self, *(raw for raw in self.borrowed if raw.dataset == self.dataset))

    def _full(self, mounted: Mounted) -> Path:
        return (self.root.parent if self._is_archive else self.root) / mounted.path

    def _places(self) -> Iterator[str]:
        yield str(self.root)
        if wrapper := self._disk.wrapper():
            yield f"{self.root / wrapper}"
        yield from (f"{self.root / name}" for name in self._names if not self._is_archive)

    def _tries(self, path: str) -> Iterator[tuple[RawDataset, str]]:
        """Where to look, in order: the path as given, here and in borrowed folders; then other spellings."""
        yield self, path  # where nearly all are
        all_raw = (self, *self.borrowed)
        yield from ((raw, path) for raw in self.borrowed)
        yield from ((raw, other) for other in other_spellings(path) for raw in all_raw)
        for raw in all_raw:
            for places in ([raw._disk], raw._mounted or ()):
                yield from ((raw, odd) for place in places if (odd := place.odd(path)))

    def _find(self, path: str) -> RawFile | None:
        for _, found in self._located(path):
            if isinstance(found, os.stat_result):
                return RawFile(path, found.st_size, found.st_mtime)
            mounted, name = found
            return RawFile(path, mounted.members.size(name), mounted.mtime, mounted.path)
        return None

    def _located(self, path: str) -> Iterator[tuple[RawDataset, os.stat_result | tuple[Mounted, str]]]:
        """Where a path is found, first to last: the status of a file on disk, or a member."""
        refuse_unsafe(path)
        for raw, spelling in self._tries(path):
            status = raw._disk.status(spelling)
            if status is not None:
                yield raw, status
            elif found := raw._member(spelling):
                yield raw, found

    def _member(self, path: str) -> tuple[Mounted, str] | None:
        all_mounted = self._mounted if self._mounted is not None else self._mount()
        for wrapped in (False, True):
            for mounted in all_mounted:
                name = mounted.name_of(path, wrapped=wrapped)
                if name is not None:
                    return mounted, name
        return None

    def _mount(self) -> Sequence[Mounted]:
        """Open and index the archives, once."""
        with self._lock:
            if self._mounted is None:
                self._mounted = mount_all(self._archives_there(), self._scratch)
                self._names = [mounted.path for mounted in self._mounted]
            return self._mounted

    def _archives_there(self) -> Iterator[tuple[Path, str, Archive]]:
        """Folder, path and declaration of each archive; the one that this dataset is needs no declaration."""
        if self._is_archive:
            name = self.root.name
            into = next((archive.into for archive in self.archives if archive.path == name), "")
            yield self.root.parent, name, Archive(name, into)
            return
        for archive, pattern in zip(self.archives, self._archive_patterns, strict=True):
            for path, _ in walk(self._disk.base, pattern, self._disk.confine):
                yield self.root, path, archive

    def _streams(self, pattern: Pattern, watch: Watch | None, *, wrapped: bool) -> Iterator[Iterator[Found]]:
        if wrapped:
            yield from self._disk.unwrapped(pattern, watch)
        else:
            yield walk(self._disk.base, pattern, self._disk.confine, watch)
        yield from (mounted.list(pattern, watch, wrapped=wrapped) for mounted in self._mount())

    def _missing(self, path: str) -> MissingRawError | DamagedFileError:
        for raw in (self, *self.borrowed):
            for mounted in raw._mounted or ():
                why = mounted.why_unread(path)
                if why:
                    return DamagedFileError(
                        f"{path!r} cannot be read: {why}",
                        where=Location(raw._full(mounted)),
                        hint="unpack the archive in the raw folder",
                    )
        looked = list(dict.fromkeys(raw.dataset for raw in self.borrowed if raw.dataset != self.dataset))
        also = f", nor in {', '.join(looked)}" if looked else ""
        return MissingRawError(
            f"{path[:300]!r} is neither in the raw folder of {self.dataset!r} nor in its archives{also} "
            f"({self.looked_in()})",
            where=Location(self.root / path[:300]),
            hint=fetch_command(self.dataset, self.root),
        )


def _list_parts(parts: Sequence[RawDataset], pattern: Pattern) -> Iterator[Found]:
    """What the folders of one dataset hold together; wrapper folders are entered only if that is nothing."""
    watch = parts[0].watch
    for wrapped in (False, True):
        found = merged([one for raw in parts for one in raw._streams(pattern, watch, wrapped=wrapped)])
        first = next(found, None)
        if first is not None:
            yield first
            yield from found
            return
