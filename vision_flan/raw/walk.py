"""Walks a folder for files that match a pattern, entering only folders that may contain one."""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from vision_flan.raw.members import is_junk
from vision_flan.raw.names import is_text, same_name
from vision_flan.raw.opening import NO_SUCH_PATH, is_folder, os_error
from vision_flan.raw.patterns import Pattern

#: A path of the layout and the pattern's named parts.
Found = tuple[str, dict[str, str]]

#: Takes a full path and its path below the root; returns its real path, raises if it leads out.
Confine = Callable[[str, str], str]


class Watch(Protocol):
    """Receives the files that a listing skips."""

    def unread(self, path: str, why: str) -> None:
        """A file that the pattern matches but that cannot be read."""
        ...

    def beside(self, paths: list[str]) -> None:
        """Files that do not match, in a folder where others do."""
        ...


def walk(base: str, pattern: Pattern, confine: Confine, watch: Watch | None = None) -> Iterator[Found]:
    """Matching files below `base` (which ends in a slash), sorted by path, with their named parts.

    Only one folder's names per level are in memory, so millions of files need little. Names that are not
    UTF-8 are never yielded; `watch` receives them.

    Raises:
        BadRawError: what `confine` raises for links that lead out.
        MachineError: a folder cannot be listed.
    """
    yield from _folder(base, "", 0, pattern, confine, watch)


def _folder(
    base: str, folder: str, level: int, pattern: Pattern, confine: Confine, watch: Watch | None
) -> Iterator[tuple[str, dict[str, str]]]:
    segment = pattern.segments[level] if level < len(pattern.segments) else None
    deep = pattern.depth is not None and level >= pattern.depth
    last = level == len(pattern.segments) - 1
    if segment is not None and not deep:
        names, unsure = _literal(base, folder, segment, last=last, confine=confine)
    else:
        names, unsure = _names(base + folder, files=deep or last, folders=deep or not last)
    others: list[str] = []
    matched = False
    for name in names:
        path = folder + name
        if name[-1] == "/":
            if pattern.may_enter(path[:-1], level) and _is_folder(base, path[:-1], confine):
                yield from _folder(base, path, level + 1, pattern, confine, watch)
            continue
        parts = pattern.match(path)
        if parts is None:
            if watch:
                others.append(path)
        elif not is_junk(name) and (name not in unsure or _is_file(base, path, confine)):
            if is_text(path):
                matched = True
                yield path, parts
            elif watch:
                watch.unread(path, "a name that is not UTF-8")
    if matched and others and watch:
        watch.beside(others)


def _literal(
    base: str, folder: str, name: str, *, last: bool, confine: Confine
) -> tuple[list[str], set[str]]:
    """The file or folder of this name; if missing, those that differ in normalization or suffix case."""
    there = _is_file(base, folder + name, confine) if last else is_folder(base + folder + name)
    found = [name] if there else []
    if not there and (last or not name.isascii()):
        others, _ = _names(base + folder, files=last, folders=not last)
        found = [other.rstrip("/") for other in others if same_name(other.rstrip("/")) == same_name(name)]
    return [other if last else other + "/" for other in found], set(found)


def _names(full: str, *, files: bool, folders: bool) -> tuple[list[str], set[str]]:
    """Names in a folder, folders with a slash, in the order of the paths below; which files are links."""
    names = []
    links = set()
    try:
        with os.scandir(full) as entries:
            for entry in entries:
                if entry.is_dir():
                    if folders:
                        names.append(entry.name + "/")
                elif files and entry.is_symlink():
                    names.append(entry.name)
                    links.add(entry.name)
                elif files and entry.is_file():
                    names.append(entry.name)
    except OSError as error:
        if error.errno in NO_SUCH_PATH:
            return [], set()  # the raw folder itself does not exist yet
        raise os_error(full, error, "list the folder") from error
    names.sort()
    return names, links


def _is_folder(base: str, path: str, confine: Confine) -> bool:
    full = base + path
    if is_junk(path) or not is_folder(full):
        return False
    if not os.path.islink(full):  # noqa: PTH114 - string paths: this runs for every folder
        return True
    parent = os.path.realpath(os.path.dirname(full))  # noqa: PTH120
    # A link to a folder above itself would be walked forever.
    return not (parent + "/").startswith(confine(full, path) + "/")


def _is_file(base: str, path: str, confine: Confine) -> bool:
    full = base + path
    if os.path.islink(full):  # noqa: PTH114
        confine(full, path)
    return os.path.isfile(full)  # noqa: PTH113


def merged(streams: Sequence[Iterator[Found]]) -> Iterator[Found]:
    """Sorted listings as one, each path once: the first listing that has it gives its fields."""
    last = None
    for path, parts in heapq.merge(*streams, key=lambda found: found[0]):
        if path != last:
            last = path
            yield path, parts
