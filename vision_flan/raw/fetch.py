"""`vflan fetch`: download what may be downloaded, name what a person has to ask for.

Decide, then do: `plan` looks at the folder and says what happens to each file, `download` does it for one.
`transfer` brings the bytes to `<name>.part`, which stays after a cut. Size, first bytes and checksum are
checked there; only what passes gets the file's name.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Final

from vision_flan import limits
from vision_flan.errors import BadRawError, Location, MachineError, SpecError
from vision_flan.raw.links import page_instead_of_file, wrong_path, wrong_url
from vision_flan.raw.roots import RawPlaces, RawRoots
from vision_flan.raw.signatures import HEAD_BYTES, looks_like, what_it_is_not
from vision_flan.raw.terms import Terms
from vision_flan.raw.transfer import Transfer, validator_file
from vision_flan.report import Reporter, counted, human_bytes
from vision_flan.spec.model import DatasetSpec, UpstreamFile

#: `access` of datasets whose files a link gives: all of them, or some beside those that a page gives.
LINKED: Final = ("direct", "manual")


class Action(StrEnum):
    """What happens to a file."""

    PRESENT = "present"  # and right, as far as is known
    UNPACKED = "unpacked"  # what it provides is present
    DIFFERENT = "different"  # present, but not the file that upstream ships: left alone
    DOWNLOAD = "download"
    BY_HAND = "by_hand"


@dataclass(frozen=True)
class Step:
    """What happens to one file.

    Attributes:
        path: where it goes.
        reason: why, in words.
        done: its bytes that an earlier run downloaded.
    """

    file: UpstreamFile
    path: Path
    action: Action
    reason: str
    done: int = 0

    @property
    def part(self) -> Path:
        return self.path.with_name(self.path.name + ".part")

    @property
    def bytes_left(self) -> int:
        return max((self.file.bytes or 0) - self.done, 0) if self.action == Action.DOWNLOAD else 0


def plan(
    dataset: DatasetSpec, raw: RawPlaces, names: Sequence[str] = (), *, checksums: bool = True
) -> list[Step]:
    """Decide about each file of a dataset, or about the named ones (`*` matches).

    Args:
        checksums: read the files that are there and compare their checksums, not only sizes.

    Raises:
        SpecError: a name that is no file of the dataset, or a path or URL that cannot be used.
        BadRawError: a subfolder or a `.part` is a symbolic link out of the folder, or no plain file.
        MachineError: the dataset is mapped to an archive.
    """
    for name in names:
        if not any(fnmatchcase(file.path, name) for file in dataset.files):
            known = ", ".join(file.path for file in dataset.files)
            raise SpecError(f"{dataset.dataset} has no file {name!r}", hint=f"its files are: {known}")
    wanted = [f for f in dataset.files if not names or any(fnmatchcase(f.path, name) for name in names)]
    roots = RawRoots.of(raw)
    home = roots.home(dataset.dataset)
    if dataset.dataset in roots.mapped and home.is_file():
        raise MachineError(
            f"{dataset.dataset} is mapped to an archive; nothing can be downloaded into it",
            where=Location(home),
            hint="map the dataset to a folder, or leave it out of the map",
        )
    places = roots.places(dataset.dataset) if all(root.is_dir() for root in roots.roots) else ()
    return [_decide_anywhere(dataset, file, home, places, checksums) for file in wanted]


def _decide_anywhere(
    dataset: DatasetSpec, file: UpstreamFile, home: Path, places: Sequence[Path], checksums: bool
) -> Step:
    """The step of a file in the first folder that has it; if none has, it goes home."""
    steps = [_decide(dataset, file, place, checksums) for place in dict.fromkeys((home, *places))]
    there = (step for step in steps if step.action in (Action.PRESENT, Action.UNPACKED))
    return next(there, steps[0])


def total_bytes(steps: Sequence[Step]) -> int:
    """Bytes still to download, of the files whose size is known."""
    return sum(step.bytes_left for step in steps)


def amount(steps: Sequence[Step]) -> str:
    """What is still to download, for a person: `3 files, 2.0 MB and 1 of unknown size`."""
    unknown = sum(step.file.bytes is None for step in steps)
    files = counted(len(steps), "file")
    if steps and unknown == len(steps):
        return f"{files} of unknown size"
    more = f" and {unknown} of unknown size" if unknown else ""
    return f"{files}, {human_bytes(total_bytes(steps))}{more}"


def _decide(dataset: DatasetSpec, file: UpstreamFile, folder: Path, checksums: bool) -> Step:
    wrong = wrong_path(file.path)
    if wrong:
        raise SpecError(
            wrong, where=dataset.document.place("files"), hint="a relative path below the raw folder"
        )
    path = folder / file.path
    if "*" in file.path:
        found = len(list(folder.glob(file.path)))
        if found:
            return Step(file, path, Action.PRESENT, f"{found} files, not checked")
        return Step(file, path, Action.BY_HAND, "several files; see where they are")
    _stays_inside(path, folder)
    if os.path.lexists(path) and path.exists():
        known = file if checksums else replace(file, md5=None, sha256=None)
        wrong = what_differs(path, known)
        return (
            Step(file, path, Action.DIFFERENT, wrong)
            if wrong
            else Step(file, path, Action.PRESENT, _known_of(file, path, checksums))
        )
    if file.provides and all(is_unpacked(folder, prefix) for prefix in file.provides):
        return Step(file, path, Action.UNPACKED, ", ".join(file.provides))
    if dataset.access not in LINKED or not file.url:
        return Step(file, path, Action.BY_HAND, file.note or f"access is {dataset.access}")
    wrong = wrong_url(file.url)
    if wrong:
        raise SpecError(
            f"{file.path}: {wrong}",
            where=dataset.document.place("files", dataset.files.index(file)),
            hint="the link as a browser copies it",
        )
    page = page_instead_of_file(file.url, file.path)
    if page:
        return Step(file, path, Action.BY_HAND, page)
    done = _bytes_of_part(path.with_name(path.name + ".part"))
    return Step(file, path, Action.DOWNLOAD, "resumes where it stopped" if done else "not there yet", done)


def _stays_inside(path: Path, folder: Path) -> None:
    """Refuse a subfolder that is a link out of the dataset's folder; that folder itself may be a link."""
    if not path.parent.resolve().is_relative_to(folder.resolve()):
        raise BadRawError(
            f"{path.parent} is a symbolic link that leads out of {folder}",
            where=Location(path),
            hint="a folder in its place; only the dataset's folder itself may be a link",
        )


def _bytes_of_part(part: Path) -> int:
    """Bytes that an earlier run brought.

    Raises:
        BadRawError: the `.part`, or what stands beside it, is no plain file.
    """
    for path in (part, validator_file(part)):
        try:
            mode = path.lstat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            continue
        if not stat.S_ISREG(mode):
            raise BadRawError(
                f"it is {_kind_of_node(mode)}, not a file of ours",
                where=Location(path),
                hint=f"remove {path}",
            )
    return part.stat().st_size if part.exists() else 0


def _kind_of_node(mode: int) -> str:
    kinds = {
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a FIFO",
        stat.S_IFSOCK: "a socket",
    }
    return kinds.get(stat.S_IFMT(mode), "a device")


def _known_of(file: UpstreamFile, path: Path, checksums: bool) -> str:
    if path.is_dir():
        return "a folder, not checked"
    if file.md5 or file.sha256:
        return "checksum right" if checksums else "size right, checksum not compared"
    return "size right, no checksum known" if file.bytes is not None else "neither size nor checksum known"


def is_unpacked(folder: Path, prefix: str) -> bool:
    """Whether something unpacked is there: a prefix is a folder if it ends in `/`, else a start of names."""
    if prefix.endswith("/"):
        return (folder / prefix).is_dir() and any((folder / prefix).iterdir())
    return any(not found.name.endswith((".part", ".part.etag")) for found in folder.glob(prefix + "*"))


def what_differs(path: Path, file: UpstreamFile) -> str:
    """Why a file is not the one upstream ships; empty when it is, as far as that is known.

    Size first, then the checksum; where none is known, the first bytes must go with the name.
    """
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode) and file.bytes is None and not (file.md5 or file.sha256):
        return ""
    if not stat.S_ISREG(mode):
        return f"it is {_kind_of_node(mode)}, not a file"
    size = path.stat().st_size
    if file.bytes is not None and size != file.bytes:
        return f"it has {size:,} bytes, upstream's has {file.bytes:,}"
    with path.open("rb") as content:
        head = content.read(HEAD_BYTES)
        content.seek(0)
        name, known = ("sha256", file.sha256) if file.sha256 else ("md5", file.md5)
        if known:
            found = hashlib.file_digest(content, name).hexdigest()
            return "" if found == known else f"its {name} is {found}, upstream's is {known}; {_seems(head)}"
    if not size and file.bytes == 0:
        return ""
    wrong = what_it_is_not(file.path, head)
    return f"it is {wrong}" if wrong else ""


def _seems(head: bytes) -> str:
    return f"it looks like {looks_like(head)}"


def check_space(steps: Sequence[Step]) -> None:
    """Refuse what does not fit on the disks that the files go to.

    Raises:
        MachineError: fewer bytes are free than are still to come.
    """
    disks: dict[int, tuple[Path, list[Step]]] = {}
    for step in steps:
        folder = next(path for path in step.path.absolute().parents if path.exists())
        disks.setdefault(folder.stat().st_dev, (folder, []))[1].append(step)
    for folder, coming in disks.values():
        wanted, free = total_bytes(coming), shutil.disk_usage(folder).free
        if wanted > free:
            raise MachineError(
                f"{wanted:,} bytes are still to come, {free:,} are free",
                where=Location(folder),
                hint="free some space, give another --raw, or fetch one file at a time with --file",
            )


def download(step: Step, report: Reporter, terms: Terms | None = None) -> None:
    """Download one file, check it, and move it into place.

    Args:
        terms: None for those of the environment.

    Raises:
        MissingRawError: the server refuses, or cannot be reached.
        BadRawError: what it sends is not upstream's file, or breaks the terms; nothing of it is kept.
        MachineError: another fetch of the file runs, or it cannot be written.
    """
    file, path = step.file, step.path
    limits.Step(f"downloading {file.path}", Location(path), of_raw=True).begin()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(step.part) as part:
            Transfer(file, path, step.part, part, report, terms or Terms.of()).run()
            part.flush()
            wrong = what_differs(step.part, file)
            if wrong:
                step.part.unlink()
                raise BadRawError(
                    f"{file.path} came whole, but {wrong}",
                    where=Location(path),
                    hint=f"retry; if it fails again, upstream changed the file: {file.url}",
                )
            step.part.replace(path)
    except OSError as error:
        raise MachineError(
            f"cannot write: {error.strerror or error}",
            where=Location(path),
            hint="free some space or give another --raw; what came so far is kept",
        ) from error
    finally:
        if path.parent.is_dir():
            _forget_empty(step.part)


@contextmanager
def _locked(part: Path) -> Iterator[IO[bytes]]:
    """The `.part`, open for appending, never through a link, and ours alone."""
    _bytes_of_part(part)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
    with os.fdopen(os.open(part, flags, 0o666), "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise MachineError(
                "another vflan fetch brings this file", where=Location(part), hint="wait for it"
            ) from error
        yield file


def _forget_empty(part: Path) -> None:
    if part.is_file() and not part.is_symlink() and not part.stat().st_size:
        part.unlink()
    if not part.exists():
        validator_file(part).unlink(missing_ok=True)
