"""Finds the files of a layout on disk, through wrapper folders but never outside the raw folder."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from vision_flan.errors import BadRawError, Location, VflanError, to_type
from vision_flan.raw.members import is_junk
from vision_flan.raw.names import is_odd, is_text, other_spellings, same_name
from vision_flan.raw.opening import NO_SUCH_PATH, OPEN_FLAGS, is_folder, os_error
from vision_flan.raw.patterns import Pattern
from vision_flan.raw.roots import blobs_of
from vision_flan.raw.walk import Found, Watch, walk

#: The ASCII characters that others are composed to, as the sign of kelvin.
_COMPOSED_TO = re.compile("[K;`]")


class Folders:
    """The folders of one raw folder on disk.

    Args:
        root: the raw folder, which may not exist yet.
        dataset: the dataset's slug, for messages.
        remember_absent: whether to search for a missing folder only once.
        declared: real paths of other folders that links may end in.

    Attributes:
        base: the raw folder with a trailing slash.
    """

    def __init__(
        self, root: Path, dataset: str, *, remember_absent: bool, declared: Sequence[str] = ()
    ) -> None:
        self.root = root
        self.dataset = dataset
        self.base = os.fspath(root) + "/"
        real = os.path.realpath(root)
        allowed = (real, *declared, *blobs_of(real))
        self._allowed = frozenset(allowed)
        self._below = tuple(dict.fromkeys(one.rstrip("/") + "/" for one in allowed))
        self._remember_absent = remember_absent
        self._folders: dict[str, tuple[str, ...]] = {}
        self._odd: dict[str, dict[str, str]] = {}
        self._wrapper_name: str | None = None

    def open(self, path: str) -> tuple[int, os.stat_result] | None:
        """An open descriptor of a regular file on disk with its status, None when there is none."""
        folder, _, name = path.rpartition("/")
        folders = self._folders.get(folder)
        for known in self.of(folder, path) if folders is None else folders:
            try:
                descriptor = os.open(known + name, OPEN_FLAGS)
            except OSError as error:
                if error.errno in NO_SUCH_PATH:
                    continue
                if error.errno != errno.ELOOP:
                    raise os_error(self.root / path, error) from error
                descriptor = self._follow(known + name, path)
                if descriptor < 0:
                    continue
            status = os.fstat(descriptor)
            if stat.S_ISREG(status.st_mode):
                return descriptor, status
            os.close(descriptor)
        return None

    def status(self, path: str) -> os.stat_result | None:
        """The status of a regular file on disk, None when there is none. A link costs opening what it names;
        anything else costs one look, and may turn out not to be readable."""
        folder, _, name = path.rpartition("/")
        folders = self._folders.get(folder)
        for known in self.of(folder, path) if folders is None else folders:
            try:
                status = os.lstat(known + name)
            except OSError as error:
                if error.errno in NO_SUCH_PATH:
                    continue
                raise os_error(self.root / path, error) from error
            if stat.S_ISREG(status.st_mode):
                return status
            if stat.S_ISLNK(status.st_mode):
                return self._status_of_opened(path)
        return None

    def not_as_they_were(self, stamps: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        """Those paths and stamps whose file does not, at one look, have the size and time of its stamp.

        It is for many files of which hardly any has changed: what is yielded has to be looked at again by
        `RawDataset.stamp`, which also knows archives and raises errors.
        """
        ending, folders = f" {self.dataset}", self._folders
        for path, was in stamps:
            folder, _, name = path.rpartition("/")
            try:
                known = folders.get(folder) or self.of(folder, path)
                status = os.lstat(known[0] + name)
            except (VflanError, OSError, ValueError, IndexError):
                yield path, was
                continue
            if not stat.S_ISREG(status.st_mode) or f"{status.st_size} {status.st_mtime_ns}{ending}" != was:
                yield path, was

    def _status_of_opened(self, path: str) -> os.stat_result | None:
        found = self.open(path)
        if found is None:
            return None
        os.close(found[0])
        return found[1]

    def _follow(self, full: str, path: str) -> int:
        """Open a path whose last name is a link, if the link stays in the folder."""
        real = self.confine(full, path)
        try:
            return os.open(real, OPEN_FLAGS)
        except OSError as error:
            if error.errno in NO_SUCH_PATH:
                return -1
            raise os_error(self.root / path, error) from error

    def of(self, folder: str, path: str) -> tuple[str, ...]:
        """Folders on disk that may hold the files of a folder of the layout, each with a trailing slash."""
        known = self._folders.get(folder)
        if known is not None:
            return known
        tried = [folder, *(twice for twice in _doubled(folder)), *self._below_wrapper(folder)]
        found = []
        for candidate in tried:
            full = self.base + candidate
            if is_folder(full):
                self.confine(full, candidate or path)
                found.append(full + "/" if candidate else full)
        # A missing folder may still be unpacked while we run, so only existing ones are remembered, unless
        # there are archives: then every image would pay for another search on disk.
        if found or self._remember_absent:
            self._folders[folder] = tuple(found)
        return tuple(found)

    def odd(self, path: str) -> str | None:
        """The spelling of a path whose names here are odd (`is_odd`), None if there is none."""
        if path.isascii() and not _COMPOSED_TO.search(path):
            return None
        made = ""
        for name in path.split("/"):
            made += self._name_in(made.rstrip("/"), name) + "/"
        return made[:-1] if made[:-1] != path else None

    def _name_in(self, folder: str, name: str) -> str:
        for known in self.of(folder, folder):
            for spelling in (name, *other_spellings(name)):
                if os.path.lexists(known + spelling):
                    return spelling
            odd = self._odd_in(known).get(same_name(name))
            if odd:
                return odd
        return name

    def _odd_in(self, full: str) -> dict[str, str]:
        """The odd names of a folder on disk by the form they share with others."""
        found = self._odd.get(full)
        if found is None:
            try:
                with os.scandir(full) as entries:
                    names = [each.name for each in entries if is_odd(each.name) and is_text(each.name)]
            except OSError as error:
                raise os_error(full, error, "list the folder") from error
            found = self._odd[full] = {same_name(name): name for name in sorted(names, reverse=True)}
        return found

    def _below_wrapper(self, folder: str) -> Sequence[str]:
        wrapper = self.wrapper()
        return [f"{wrapper}/{folder}" if folder else wrapper] if wrapper else []

    def wrapper(self) -> str:
        """The only folder in the raw folder, "" when there are none or several."""
        if self._wrapper_name is None:
            folders: list[str] = []
            try:
                with os.scandir(self.base) as entries:
                    for entry in entries:
                        if not is_junk(entry.name) and entry.name[0] != "." and entry.is_dir():
                            folders.append(entry.name)
            except OSError as error:
                if error.errno in NO_SUCH_PATH:
                    return ""
                raise os_error(self.root, error, "list the folder") from error
            self._wrapper_name = folders[0] if len(folders) == 1 and is_text(folders[0]) else ""
        return self._wrapper_name

    def confine(self, full: str, path: str) -> str:
        """The real path of a file or folder.

        Raises:
            BadRawError: it is neither in this folder nor in one that was declared.
        """
        real = os.path.realpath(full)
        if real not in self._allowed and not real.startswith(self._below):
            there = to_type("--raw", os.path.dirname(real))  # noqa: PTH120
            raise BadRawError(
                f"path leaves the folder of dataset {self.dataset!r}: {path!r} is a link to {real}",
                where=Location(self.root),
                hint=f"declare that folder too ({there}), copy the files in, or make the dataset's folder "
                "itself the link",
            )
        return real

    def unwrapped(self, pattern: Pattern, watch: Watch | None) -> Iterator[Iterator[Found]]:
        """Listings through a wrapper folder: the only folder here, or a folder in one of the same name."""
        names = pattern.prefix.split("/") if pattern.prefix else []
        below = [self.wrapper()] if self.wrapper() else []
        below += [names[0]] if names and names[0] not in below else []
        for folder in below:
            base = f"{self.base}{folder}/"
            if is_folder(base):
                self.confine(base, folder)
                yield walk(base, pattern, self.confine, watch)


def _doubled(folder: str) -> Iterator[str]:
    """A folder with one of its names twice: `a/b` is also searched for in `a/a/b` and `a/b/b`."""
    names = folder.split("/") if folder else []
    for at, name in enumerate(names):
        yield "/".join((*names[: at + 1], name, *names[at + 1 :]))
