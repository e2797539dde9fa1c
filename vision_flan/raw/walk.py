"""Walk a folder for the files that match a pattern, entering only folders that can hold one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from vision_flan.errors import MachineError, Location
from vision_flan.raw.members import is_junk
from vision_flan.raw.patterns import Pattern

#: Takes a full path and its path below the root; raises when it leads out, returns its real path.
Confine = Callable[[str, str], str]


def walk(base: str, pattern: Pattern, confine: Confine) -> Iterator[tuple[str, dict[str, str]]]:
    """Matching files below `base` (which ends in a slash), sorted by path, with the pattern's named parts.

    One folder's names are held at a time for each level, so millions of files need little memory.

    Raises:
        BadRawError: what `confine` raises for links that lead out.
        MachineError: a folder cannot be listed.
    """
    yield from _folder(base, "", 0, pattern, confine)


def _folder(
    base: str, folder: str, level: int, pattern: Pattern, confine: Confine
) -> Iterator[tuple[str, dict[str, str]]]:
    segment = pattern.segments[level] if level < len(pattern.segments) else None
    deep = pattern.depth is not None and level >= pattern.depth
    last = level == len(pattern.segments) - 1
    if segment is not None and not deep:
        names, unsure = [segment if last else segment + "/"], {segment}
    else:
        names, unsure = _names(base + folder, files=deep or last, folders=deep or not last)
    for name in names:
        path = folder + name
        if name[-1] == "/":
            if pattern.may_enter(path[:-1], level) and _is_folder(base, path[:-1], confine):
                yield from _folder(base, path, level + 1, pattern, confine)
            continue
        parts = pattern.match(path)
        if parts is not None and not is_junk(name) and (name not in unsure or _is_file(base, path, confine)):
            yield path, parts


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
    except FileNotFoundError:
        return [], set()  # the raw folder itself is not there yet
    except OSError as error:
        raise MachineError(
            f"cannot list the folder: {error.strerror}",
            where=Location(full),
            hint="check the folder's permissions",
        ) from error
    names.sort()
    return names, links


def _is_folder(base: str, path: str, confine: Confine) -> bool:
    full = base + path
    if is_junk(path) or not os.path.isdir(full):  # noqa: PTH112 - string paths: this runs for every folder
        return False
    if not os.path.islink(full):  # noqa: PTH114
        return True
    parent = os.path.realpath(os.path.dirname(full))  # noqa: PTH120
    # A link to a folder above itself would be walked for ever.
    return not (parent + "/").startswith(confine(full, path) + "/")


def _is_file(base: str, path: str, confine: Confine) -> bool:
    full = base + path
    if os.path.islink(full):  # noqa: PTH114
        confine(full, path)
    return os.path.isfile(full)  # noqa: PTH113
