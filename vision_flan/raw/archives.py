"""Opens archives in place, by their real format, with members as paths of the layout."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from vision_flan.errors import BadRawError, DamagedFileError, Location
from vision_flan.raw.gzip_stream import MAGIC as GZIP
from vision_flan.raw.gzip_stream import GunzipStream
from vision_flan.raw.members import OpenArchive, is_junk, reading
from vision_flan.raw.names import is_odd, is_text, same_name
from vision_flan.raw.opening import os_error
from vision_flan.raw.patterns import Pattern
from vision_flan.raw.tar_archive import GzipArchive, TarArchive
from vision_flan.raw.tar_headers import BLOCK, is_header
from vision_flan.raw.unpacked import Scratch
from vision_flan.raw.walk import Watch
from vision_flan.raw.zip_archive import ZipArchive

_PACKED = {b"BZh": "bz2", b"\xfd7zXZ\0": "xz"}
_OTHER_FORMATS = {
    b"version https://git-lfs": ("a Git LFS pointer", "git lfs pull where it comes from, then copy it again"),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", "unpack it: 7z x"),
    b"Rar!": ("a RAR archive", "unpack it: unar, or 7z x"),
    b"\x28\xb5\x2f\xfd": ("Zstandard data", "decompress it: zstd -d"),
}


@dataclass(frozen=True)
class Archive:
    """An archive as upstream ships it.

    Attributes:
        path: its file name in the raw folder; `*` matches numbered parts. .zip, .tar, .tar.gz (.tgz),
            .tar.bz2, .tar.xz, or a single .gz, whose one member is named like the file without `.gz`.
        into: the folder of the layout that its members appear under; "" is the raw folder itself.
        bytes: size of upstream's file, where it is known.
    """

    path: str
    into: str = ""
    bytes: int | None = None


@dataclass(frozen=True)
class Mounted:
    """An archive with its index in memory.

    Attributes:
        prefix: the folder its members appear under, "" or `folder/`.
        wrapper: the only top-level folder, "" or `folder/`; also searched when a path is not found.
        bytes, mtime_ns: size of the archive, and its modification time in nanoseconds.
    """

    path: str
    prefix: str
    members: OpenArchive
    wrapper: str
    bytes: int
    mtime_ns: int

    @property
    def mtime(self) -> float:
        """Time of the archive in seconds."""
        return self.mtime_ns / 1e9

    def stamp(self, name: str, dataset: str) -> str:
        """The stamp of a member (`RawDataset.stamp`). Of many members they are equal: one text."""
        return sys.intern(f"{self.members.size(name)} {self.mtime_ns} {dataset} {self.bytes} {self.path}")

    def name_of(self, path: str, *, wrapped: bool = False) -> str | None:
        """The member behind a path of the layout."""
        if not path.startswith(self.prefix):
            return None
        name = (self.wrapper if wrapped else "") + path[len(self.prefix) :]
        return name if name in self.members.rows else None

    def odd(self, path: str) -> str | None:
        """The spelling of a path whose member has an odd name (`is_odd`), None if there is none."""
        return self._odd.get(same_name(path))

    @cached_property
    def _odd(self) -> dict[str, str]:
        names = sorted((name for name in self.members.rows if is_odd(name) and is_text(name)), reverse=True)
        below = {self.prefix + name.removeprefix(self.wrapper) for name in names}
        return {same_name(path): path for path in (*below, *(self.prefix + name for name in names))}

    def why_unread(self, path: str) -> str | None:
        """Why a member cannot be read, or the folder it is in; None for any other path."""
        if not path.startswith(self.prefix) or not self.members.unread:
            return None
        name = path[len(self.prefix) :]
        for known in (name, *(name[:at] for at, char in enumerate(name) if char == "/")):
            if known in self.members.unread:
                return f"member {known!r} of {self.path} is {self.members.unread[known]}"
        return None

    def list(
        self, pattern: Pattern, watch: Watch | None = None, *, wrapped: bool = False
    ) -> Iterator[tuple[str, dict[str, str]]]:
        """Members that match, as paths of the layout, sorted."""
        cut = self.wrapper if wrapped else ""
        if (wrapped and not cut) or not _may_meet(self.prefix, pattern.prefix):
            return
        if pattern.is_literal and self.name_of(pattern.literal, wrapped=wrapped):
            if not is_junk(pattern.literal):
                yield pattern.literal, {}
            return
        folders: set[str] = set()
        others: list[str] = []
        for name in self.members.rows.in_order():
            path = self.prefix + name[len(cut) :]
            parts = pattern.match(path)
            if parts is not None:
                if watch:
                    folders.add(path.rpartition("/")[0])
                yield path, parts
            elif watch:
                others.append(path)
        if watch:
            watch.beside([path for path in others if path.rpartition("/")[0] in folders])
            for name, why in self.members.unread.items():
                if pattern.match(self.prefix + name[len(cut) :]) is not None:
                    watch.unread(self.prefix + name, why)


def mount_all(found: Iterable[tuple[Path, str, Archive]], scratch: Scratch | None) -> list[Mounted]:
    """Open and index archives, each given as `mount` takes it; all or none. Raises what `mount` raises."""
    with ExitStack() as opened:
        mounted = []
        for folder, path, archive in found:
            mounted.append(mount(folder, path, archive, scratch))
            opened.callback(mounted[-1].members.close)
        opened.pop_all()
        return mounted


def mount(root: Path, path: str, archive: Archive, scratch: Scratch | None = None) -> Mounted:
    """Open an archive by its content, whatever its suffix.

    Args:
        scratch: where a packed tar may be unpacked.

    Raises:
        BadRawError: it is not an archive, or is cut short.
        MachineError: access is refused.
    """
    full = root / path
    try:
        status = full.stat()
    except OSError as error:
        raise os_error(full, error, "open the archive") from error
    wrong_size = archive.bytes is not None and "*" not in archive.path and status.st_size != archive.bytes
    is_whole = archive.bytes is not None and not wrong_size
    try:
        members = _opened(full, scratch, is_whole=is_whole)
    except BadRawError as error:
        if wrong_size and not isinstance(error, DamagedFileError):
            sizes = f"it has {status.st_size:,} bytes, upstream's has {archive.bytes:,}"
            raise BadRawError(f"{error.what}; {sizes}", where=error.where, hint=error.hint) from error
        raise
    folder = archive.into.strip("/")
    prefix = folder + "/" if folder else ""
    return Mounted(path, prefix, members, _wrapper(members), status.st_size, status.st_mtime_ns)


def _opened(path: Path, scratch: Scratch | None, *, is_whole: bool) -> OpenArchive:
    with reading(path), path.open("rb") as file:
        head = file.read(BLOCK)
    lower = path.name.lower()
    if head.startswith(GZIP):
        if lower.endswith((".tar.gz", ".tgz", ".tar")) or is_header(_first_block(path)):
            return TarArchive(path, "gz", is_whole=is_whole, scratch=scratch)
        return GzipArchive(path)
    for magic, packing in _PACKED.items():
        if head.startswith(magic):
            return TarArchive(path, packing, is_whole=is_whole, scratch=scratch)
    if head.startswith(b"PK"):
        return ZipArchive(path)
    if is_header(head) or (head and not head.strip(b"\0")):
        return TarArchive(path, is_whole=is_whole)
    what, hint = _other_format(head)
    if what:
        raise BadRawError(f"the file is {what}, not an archive", where=Location(path), hint=hint)
    if lower.endswith(".zip"):
        return ZipArchive(path)  # self-extracting
    raise BadRawError(
        f"the archive is damaged: its first bytes are {head[:8].hex(' ')}, not a supported format",
        where=Location(path),
        hint="fetch it again, or unpack it and remove the archive",
    )


def _first_block(path: Path) -> bytes:
    with path.open("rb") as file, GunzipStream(file, path) as stream:
        data = b""
        while len(data) < BLOCK and (more := stream.read(BLOCK - len(data))):
            data += more
        return data


def _other_format(head: bytes) -> tuple[str, str]:
    if not head:
        return "empty", "fetch it again"
    for magic, known in _OTHER_FORMATS.items():
        if head.startswith(magic):
            return known
    text = head.lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml")):
        return (
            "an HTML or XML page",
            "fetch it again; servers send such pages to ask for a login",
        )
    if all(byte >= 32 or byte in b"\t\r\n" for byte in head):
        return "plain text", "fetch it again"
    return "", ""


def _wrapper(members: OpenArchive) -> str:
    first: str | None = None
    for name in members.rows:
        folder = name.partition("/")[0] + "/" if "/" in name else ""
        if not folder or (first is not None and folder != first):
            return ""
        first = folder
    return first or ""


def _may_meet(mount: str, folder: str) -> bool:
    folder = folder + "/" if folder else ""
    return mount.startswith(folder) or folder.startswith(mount)
