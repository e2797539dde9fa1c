"""A dataset's raw folder: upstream's files as they are, unpacked or still in their archives.

Every path a spec or a table names goes through here, and none leaves the folder. A path is looked up on disk,
then in the dataset's archives, then in the same way in the raw folders it borrows from.
"""

from __future__ import annotations

import errno
import heapq
import os
import stat
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self, cast

from vision_flan.errors import BadRawError, DamagedFileError, MissingRawError, Place
from vision_flan.raw.archives import Archive, Mounted, mount, parts_of
from vision_flan.raw.members import is_junk
from vision_flan.raw.names import escaped, is_text, other_spellings
from vision_flan.raw.opening import NO_SUCH_PATH, OPEN_FLAGS, is_folder, os_error, read_all
from vision_flan.raw.patterns import Pattern, is_inside
from vision_flan.raw.walk import Watch, walk

__all__ = ["Archive", "RawDataset", "RawFile"]


#: A path and the pattern's named parts.
Found = tuple[str, dict[str, str]]


@dataclass(frozen=True)
class RawFile:
    """Where a path was found; `bytes` uncompressed, `mtime` in seconds (the archive's, for a member)."""

    path: str
    bytes: int
    mtime: float
    archive: str | None = None


class RawDataset:
    """One dataset's raw folder. Methods may be called from several threads at once.

    A path that is not there as it is asked for is looked for in the other Unicode normalization, with its
    suffix in the other case, and through one wrapper folder: a lone folder of the raw folder or of an
    archive, or a folder in a folder of the same name (`train2014/train2014/`).

    Args:
        root: the folder; it need not exist, and may be reached through symbolic links.
        dataset: the dataset's slug, for messages.
        archives: archives to look into; those that are not there are passed over.
        borrowed: raw folders to look into after this one.
    """

    def __init__(
        self,
        root: Path,
        dataset: str,
        archives: Sequence[Archive] = (),
        borrowed: Sequence[RawDataset] = (),
    ) -> None:
        self.root = Path(root)
        self.dataset = dataset
        self.archives = tuple(archives)
        self._archive_patterns = [Pattern(archive.path) for archive in archives]
        self.borrowed = tuple(borrowed)
        self._base = os.fspath(self.root) + "/"
        self._real = os.path.realpath(self.root)
        self.watch: Watch | None = None
        self._folders: dict[str, tuple[str, ...]] = {}
        self._mounted: Sequence[Mounted] | None = None
        self._names: list[str] = []
        self._wrapper_name: str | None = None
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
            MachineError: the machine does not let us read it.
        """
        _refuse_unsafe(path)
        for raw, spelling in self._tries(path):
            descriptor = raw._descriptor(spelling)
            if descriptor >= 0:
                try:
                    return read_all(descriptor, at_most)
                except OSError as error:
                    raise os_error(self.root / path, error) from error
                finally:
                    os.close(descriptor)
            found = raw._member(spelling)
            if found:
                return found[0].members.read(found[1], at_most)
        raise self._missing(path)

    def open(self, path: str) -> IO[bytes]:
        """The file as a seekable binary stream; for what it raises see `read_bytes`."""
        _refuse_unsafe(path)
        for raw, spelling in self._tries(path):
            descriptor = raw._descriptor(spelling)
            if descriptor >= 0:
                return os.fdopen(descriptor, "rb")
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

    def exists(self, path: str) -> bool:
        """Whether a file is there.

        Raises:
            BadRawError: the path leaves the folder.
        """
        return self._find(path) is not None

    def list(self, pattern: Pattern | str) -> Iterator[Found]:
        """Paths that match, sorted, each with the pattern's named parts.

        Borrowed folders are listed only when nothing here matches. What desktops leave behind is never
        listed.

        Raises:
            BadRawError: a matching link leaves the folder.
            SpecError: the pattern does.
        """
        wanted = Pattern(pattern) if isinstance(pattern, str) else pattern
        for raw in (self, *self.borrowed):
            nothing = True
            for found in raw._list_own(wanted):
                nothing = False
                yield found
            if not nothing:
                return

    def local_path(self, path: str) -> Path | None:
        """Where a file or folder is on disk, None when it is not unpacked; for libraries that want a name."""
        _refuse_unsafe(path)
        for raw, spelling in self._tries(path):
            folder, _, name = spelling.rpartition("/")
            for known in raw._folders_of(folder, path):
                full = known + name
                if os.path.exists(full):  # noqa: PTH110 - a string path, as everywhere here
                    raw._confine(full, path)
                    return Path(full)
        return None

    def close(self) -> None:
        """Close the archives of this folder and of the borrowed ones. They open again when needed."""
        with self._lock:
            mounted, self._mounted = self._mounted or (), None
            for one in mounted:
                one.members.close()
        for raw in self.borrowed:
            raw.close()

    def looked_in(self) -> str:
        """Where files are looked for, in words, for errors."""
        return "looked in " + ", in ".join(place for raw in (self, *self.borrowed) for place in raw._places())

    def split_archives(self) -> dict[str, Sequence[str]]:
        """Parts of archives that were split, by the archive, where the whole one is not there."""
        found = {archive.path: parts_of(self.root, archive) for archive in self.archives}
        return {path: parts for path, parts in found.items() if parts}

    def _places(self) -> Iterator[str]:
        yield str(self.root)
        wrapper = self._wrapper()
        if wrapper:
            yield f"{self.root / wrapper}"
        yield from (f"{self.root / name}" for name in self._names)

    def _tries(self, path: str) -> Iterator[tuple[RawDataset, str]]:
        """Where to look, in order: as asked for, here and in borrowed folders; then spelled otherwise."""
        all_raw = (self, *self.borrowed)
        for raw in all_raw:
            yield raw, path
        for spelling in other_spellings(path):
            for raw in all_raw:
                yield raw, spelling

    def _find(self, path: str) -> RawFile | None:
        _refuse_unsafe(path)
        for raw, spelling in self._tries(path):
            descriptor = raw._descriptor(spelling)
            if descriptor >= 0:
                status = os.fstat(descriptor)
                os.close(descriptor)
                return RawFile(path, status.st_size, status.st_mtime)
            found = raw._member(spelling)
            if found:
                mounted, name = found
                return RawFile(path, mounted.members.size(name), mounted.mtime, mounted.path)
        return None

    def _descriptor(self, path: str) -> int:
        """An open descriptor of a regular file on disk, -1 when there is none."""
        folder, _, name = path.rpartition("/")
        folders = self._folders.get(folder)
        for known in self._folders_of(folder, path) if folders is None else folders:
            try:
                descriptor = os.open(known + name, OPEN_FLAGS)
            except OSError as error:
                if error.errno in NO_SUCH_PATH:
                    continue
                if error.errno != errno.ELOOP:
                    raise os_error(self.root / path, error) from error
                descriptor = self._follow(known + name, path)
            if descriptor >= 0 and not stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                continue
            if descriptor >= 0:
                return descriptor
        return -1

    def _follow(self, full: str, path: str) -> int:
        """Open a path whose last name is a link, when the link stays in the folder."""
        real = self._confine(full, path)
        try:
            return os.open(real, OPEN_FLAGS)
        except OSError as error:
            if error.errno in NO_SUCH_PATH:
                return -1
            raise os_error(self.root / path, error) from error

    def _folders_of(self, folder: str, path: str) -> tuple[str, ...]:
        """Folders on disk that may hold the files of a folder of the layout, each with a slash at its end."""
        known = self._folders.get(folder)
        if known is not None:
            return known
        tried = [folder, *(twice for twice in _doubled(folder)), *self._below_wrapper(folder)]
        found = []
        for candidate in tried:
            full = self._base + candidate
            if is_folder(full):
                self._confine(full, path)
                found.append(full + "/" if candidate else full)
        # An absent folder may still be unpacked while we run, so only what is there is remembered,
        # unless archives make the search on disk a detour for every image.
        if found or self.archives:
            self._folders[folder] = tuple(found)
        return tuple(found)

    def _below_wrapper(self, folder: str) -> Sequence[str]:
        wrapper = self._wrapper()
        return [f"{wrapper}/{folder}" if folder else wrapper] if wrapper else []

    def _wrapper(self) -> str:
        """The one folder in the raw folder, "" when there are none or several."""
        if self._wrapper_name is None:
            folders: list[str] = []
            try:
                with os.scandir(self._base) as entries:
                    for entry in entries:
                        if not is_junk(entry.name) and entry.name[0] != "." and entry.is_dir():
                            folders.append(entry.name)
            except OSError as error:
                if error.errno in NO_SUCH_PATH:
                    return ""
                raise os_error(self.root, error, "list the folder") from error
            self._wrapper_name = folders[0] if len(folders) == 1 and is_text(folders[0]) else ""
        return self._wrapper_name

    def _confine(self, full: str, path: str) -> str:
        real = os.path.realpath(full)
        if real != self._real and not real.startswith(self._real.rstrip("/") + "/"):
            raise BadRawError(
                f"path leaves the folder of dataset {self.dataset!r}: {path!r} is a link to {real}",
                where=Place(self.root),
                hint="copy the files in, or make the dataset's folder itself the link",
            )
        return real

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
                opened: list[Mounted] = []
                try:
                    for archive, pattern in zip(self.archives, self._archive_patterns, strict=True):
                        for path, _ in walk(self._base, pattern, self._confine):
                            opened.append(mount(self.root, path, archive))
                except BaseException:
                    for mounted in opened:
                        mounted.members.close()
                    raise
                self._mounted = opened
                self._names = [mounted.path for mounted in opened]
            return self._mounted

    def _list_own(self, pattern: Pattern) -> Iterator[Found]:
        watch = self.watch
        streams = [walk(self._base, pattern, self._confine, watch)]
        streams += [mounted.list(pattern, watch) for mounted in self._mount()]
        nothing = True
        for found in _merged(streams):
            nothing = False
            yield found
        if nothing:
            streams = list(self._unwrapped(pattern, watch))
            streams += [mounted.list(pattern, watch, wrapped=True) for mounted in self._mount()]
            yield from _merged(streams)

    def _unwrapped(self, pattern: Pattern, watch: Watch | None) -> Iterator[Iterator[Found]]:
        """Listings through a wrapper folder: the lone folder here, or a folder in one of the same name."""
        names = pattern.prefix.split("/") if pattern.prefix else []
        below = [self._wrapper()] if self._wrapper() else []
        below += [names[0]] if names and names[0] not in below else []
        for folder in below:
            base = f"{self._base}{folder}/"
            if is_folder(base):
                self._confine(base, folder)
                yield walk(base, pattern, self._confine, watch)

    def _missing(self, path: str) -> MissingRawError | DamagedFileError:
        for raw in (self, *self.borrowed):
            for mounted in raw._mounted or ():
                why = mounted.why_unread(path)
                if why:
                    return DamagedFileError(
                        f"{path!r} cannot be read: {why}",
                        where=Place(raw.root / mounted.path),
                        hint="unpack the archive in the raw folder",
                    )
        looked = [raw.dataset for raw in self.borrowed]
        also = f", nor in {', '.join(looked)}" if looked else ""
        return MissingRawError(
            f"{path[:300]!r} is neither in the raw folder of {self.dataset!r} nor in its archives{also} "
            f"({self.looked_in()})",
            where=Place(self.root / path[:300]),
            hint=f"vflan fetch {self.dataset}",
        )


def _merged(
    streams: Sequence[Iterator[Found]],
) -> Iterator[Found]:
    last = None
    for path, parts in heapq.merge(*streams, key=lambda found: found[0]):
        if path != last:
            last = path
            yield path, parts


def _doubled(folder: str) -> Iterator[str]:
    """A folder with one of its names twice: `a/b` is looked for in `a/a/b` and `a/b/b`."""
    names = folder.split("/") if folder else []
    for at, name in enumerate(names):
        yield "/".join((*names[: at + 1], name, *names[at + 1 :]))


def _refuse_unsafe(path: str) -> None:
    if not is_inside(path) or not is_text(path):
        raise DamagedFileError(
            f"path leaves the folder or is no plain relative path: {escaped(path[:300])!r}",
            hint="paths are relative to the raw folder, with / and without ..",
        )
