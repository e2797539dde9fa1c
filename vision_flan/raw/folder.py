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
from typing import IO, cast

from vision_flan.errors import BadRawError, MachineError, MissingRawError, Location
from vision_flan.raw.members import OpenArchive, is_junk
from vision_flan.raw.patterns import Pattern, is_inside
from vision_flan.raw.tar_archive import GzipArchive, TarArchive
from vision_flan.raw.walk import walk
from vision_flan.raw.zip_archive import ZipArchive

_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # O_NONBLOCK: a pipe must not hang us


@dataclass(frozen=True)
class Archive:
    """An archive as upstream ships it.

    Attributes:
        path: its file name in the raw folder; `*` matches numbered parts. .zip, .tar, .tar.gz (.tgz),
            .tar.bz2, .tar.xz, or a single .gz, whose one member is named like the file without `.gz`.
        into: the folder of the layout that its members appear under; "" is the raw folder itself.
    """

    path: str
    into: str = ""


@dataclass(frozen=True)
class RawFile:
    """Where a path was found; `bytes` uncompressed, `mtime` in seconds (the archive's, for a member)."""

    path: str
    bytes: int
    mtime: float
    archive: str | None = None


@dataclass(frozen=True)
class _Mounted:
    """An archive with its index in memory, and the folder its members appear under ("" or `folder/`)."""

    path: str
    prefix: str
    members: OpenArchive
    mtime: float

    def name_of(self, path: str) -> str | None:
        """The member behind a path of the layout."""
        if not path.startswith(self.prefix):
            return None
        name = path[len(self.prefix) :]
        return name if name in self.members.rows else None


class RawDataset:
    """One dataset's raw folder. Methods may be called from several threads at once.

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
        self._folders: dict[str, bool] = {}
        self._mounted: Sequence[_Mounted] | None = None
        self._lock = threading.Lock()

    def read_bytes(self, path: str) -> bytes:
        """The whole file.

        Raises:
            MissingRawError: it is neither on disk nor in an archive.
            BadRawError: the path leaves the folder, or the archive is damaged.
            MachineError: the machine does not let us read it.
        """
        for raw in (self, *self.borrowed):
            descriptor = raw._descriptor(path)
            if descriptor >= 0:
                try:
                    return _read_all(descriptor)
                finally:
                    os.close(descriptor)
            found = raw._member(path)
            if found:
                return found[0].members.read(found[1])
        raise self._missing(path)

    def open(self, path: str) -> IO[bytes]:
        """The file as a seekable binary stream; for what it raises see `read_bytes`."""
        for raw in (self, *self.borrowed):
            descriptor = raw._descriptor(path)
            if descriptor >= 0:
                return os.fdopen(descriptor, "rb")
            found = raw._member(path)
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

    def list(self, pattern: Pattern | str) -> Iterator[tuple[str, dict[str, str]]]:
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
        for raw in (self, *self.borrowed):
            full = raw._base + path
            if os.path.exists(full):  # noqa: PTH110 - a string path, as everywhere here
                raw._confine(full, path)
                return Path(full)
        return None

    def close(self) -> None:
        """Close the archives of this folder and of the borrowed ones. They open again when needed."""
        with self._lock:
            for mounted in self._mounted or ():
                mounted.members.close()
            self._mounted = None
        for raw in self.borrowed:
            raw.close()

    def _find(self, path: str) -> RawFile | None:
        for raw in (self, *self.borrowed):
            descriptor = raw._descriptor(path)
            if descriptor >= 0:
                status = os.fstat(descriptor)
                os.close(descriptor)
                return RawFile(path, status.st_size, status.st_mtime)
            found = raw._member(path)
            if found:
                mounted, name = found
                return RawFile(path, mounted.members.size(name), mounted.mtime, mounted.path)
        return None

    def _descriptor(self, path: str) -> int:
        """An open descriptor of a regular file on disk, -1 when there is none."""
        folder = path.rpartition("/")[0]
        on_disk = self._folders.get(folder)
        if on_disk is None:
            on_disk = self._check_folder(folder, path)
        if "/." in path or "\\" in path or "\0" in path or path[:1] in ("", ".", "/") or path[-1] == "/":
            _refuse_unsafe(path)
        if not on_disk:
            return -1
        try:
            descriptor = os.open(self._base + path, _OPEN)
        except FileNotFoundError:
            return -1
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise self._unreadable(path, error) from error
            descriptor = self._follow(path)
        if descriptor >= 0 and not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            return -1
        return descriptor

    def _follow(self, path: str) -> int:
        """Open a path whose last name is a link, when the link stays in the folder."""
        real = self._confine(self._base + path, path)
        try:
            return os.open(real, _OPEN)
        except FileNotFoundError:
            return -1
        except OSError as error:
            raise self._unreadable(path, error) from error

    def _check_folder(self, folder: str, path: str) -> bool:
        _refuse_unsafe(path)
        full = self._base + folder
        there = os.path.isdir(full)  # noqa: PTH112
        if there:
            self._confine(full, path)
        # An absent folder may still be unpacked while we run, so only what is there is remembered,
        # unless archives make the search on disk a detour for every image.
        if there or self.archives:
            self._folders[folder] = there
        return there

    def _confine(self, full: str, path: str) -> str:
        real = os.path.realpath(full)
        if real != self._real and not real.startswith(self._real.rstrip("/") + "/"):
            raise BadRawError(
                f"path leaves the folder of dataset {self.dataset!r}: {path!r} is a link to {real}",
                where=Location(self.root),
                hint="copy the files in, or make the dataset's folder itself the link",
            )
        return real

    def _member(self, path: str) -> tuple[_Mounted, str] | None:
        for mounted in self._mounted if self._mounted is not None else self._mount():
            name = mounted.name_of(path)
            if name is not None:
                return mounted, name
        return None

    def _mount(self) -> Sequence[_Mounted]:
        """Open and index the archives, once."""
        with self._lock:
            if self._mounted is None:
                self._mounted = [
                    self._open_archive(path, archive.into)
                    for archive, pattern in zip(self.archives, self._archive_patterns, strict=True)
                    for path, _ in walk(self._base, pattern, self._confine)
                ]
            return self._mounted

    def _open_archive(self, path: str, into: str) -> _Mounted:
        full = Path(self._base + path)
        lower = path.lower()
        members: OpenArchive
        if lower.endswith(".zip"):
            members = ZipArchive(full)
        elif lower.endswith(".gz") and not lower.endswith(".tar.gz"):
            members = GzipArchive(full)
        else:
            members = TarArchive(full)
        prefix = into.strip("/") + "/" if into.strip("/") else ""
        return _Mounted(path, prefix, members, full.stat().st_mtime)

    def _list_own(self, pattern: Pattern) -> Iterator[tuple[str, dict[str, str]]]:
        streams = [walk(self._base, pattern, self._confine)]
        streams += [_list_members(mounted, pattern) for mounted in self._mount()]
        last = None
        for path, parts in heapq.merge(*streams, key=lambda found: found[0]):
            if path != last:
                last = path
                yield path, parts

    def _missing(self, path: str) -> MissingRawError:
        looked = [raw.dataset for raw in self.borrowed]
        also = f", nor in {', '.join(looked)}" if looked else ""
        return MissingRawError(
            f"{path!r} is neither in the raw folder of {self.dataset!r} nor in its archives{also}",
            where=Location(self.root / path),
            hint=f"vflan fetch {self.dataset}",
        )

    def _unreadable(self, path: str, error: OSError) -> MachineError | BadRawError:
        if error.errno in (errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL):
            return self._missing_name(path, error)
        return MachineError(
            f"cannot read the file: {error.strerror}",
            where=Location(self.root / path),
            hint="check the file's permissions and the disk",
        )

    def _missing_name(self, path: str, error: OSError) -> BadRawError:
        return BadRawError(
            f"no file can have the path {path[:200]!r}: {error.strerror}", where=Location(self.root)
        )


def _refuse_unsafe(path: str) -> None:
    if not is_inside(path):
        raise BadRawError(
            f"path leaves the folder or is no plain relative path: {path!r}",
            hint="paths are relative to the raw folder, with / and without ..",
        )


def _read_all(descriptor: int) -> bytes:
    size = os.fstat(descriptor).st_size
    data = os.read(descriptor, size + 1)
    if len(data) >= size:
        return data
    parts = [data]  # a single read returns 2 GiB at most
    while data:
        data = os.read(descriptor, 1 << 30)
        parts.append(data)
    return b"".join(parts)


def _list_members(mounted: _Mounted, pattern: Pattern) -> Iterator[tuple[str, dict[str, str]]]:
    prefix = mounted.prefix
    if not _may_meet(prefix, pattern.prefix):
        return
    if pattern.is_literal:
        path = pattern.literal
        if mounted.name_of(path) is not None and not is_junk(path):
            yield path, {}
        return
    for name in sorted(mounted.members.rows):
        parts = pattern.match(prefix + name)
        if parts is not None:
            yield prefix + name, parts


def _may_meet(mount: str, folder: str) -> bool:
    folder = folder + "/" if folder else ""
    return mount.startswith(folder) or folder.startswith(mount)
