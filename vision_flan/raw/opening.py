"""Opens and reads raw files, and turns errors of the operating system into errors a user can act on."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from vision_flan.errors import BadRawError, Location, MachineError, VflanError

#: O_NONBLOCK: opening a pipe must not block.
OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK

#: No file can have such a path, so it is not there. An archive member may still have it.
NO_SUCH_PATH = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ))

_REASONS = {
    errno.EMFILE: ("this process has too many open files", "raise the limit: ulimit -n 4096"),
    errno.ENFILE: ("the system has too many open files", "close other programs, or raise fs.file-max"),
    errno.EIO: ("the disk reports an input/output error", "check the disk, then fetch the file again"),
    errno.EACCES: ("permission denied", "make it readable: chmod -R u+rX on the raw folder"),
    errno.EPERM: ("permission denied", "make it readable: chmod -R u+rX on the raw folder"),
    errno.ENOMEM: ("out of memory", "free some memory, or compile with fewer --jobs"),
    errno.ESTALE: ("the network folder was mounted again", "retry; if it fails again, check the mount"),
}


@dataclass(frozen=True)
class RawFile:
    """Where a path was found; `bytes` uncompressed, `mtime` in seconds (the archive's, for a member)."""

    path: str
    bytes: int
    mtime: float
    archive: str | None = None


def os_error(path: Path | str, error: OSError, doing: str = "read the file") -> VflanError:
    """The error for a refusal by the operating system. All of them stop a run.

    Args:
        doing: the action that failed, as it follows "cannot".
    """
    if error.errno == errno.ELOOP:
        return BadRawError(
            f"cannot {doing}: its symbolic links lead in a circle",
            where=Location(path),
            hint="remove the link, or point it to the file",
        )
    reason, hint = _REASONS.get(
        error.errno or 0, (error.strerror or str(error), "check the file's permissions and the disk")
    )
    return MachineError(f"cannot {doing}: {reason}", where=Location(path), hint=hint)


def open_descriptor(path: Path) -> int:
    """Open a file for `os.pread`.

    Raises:
        MachineError: access is refused.
    """
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise os_error(path, error, "open the archive") from error


def read_all(descriptor: int, size: int, at_most: int | None = None) -> bytes:
    """The bytes of an open file, or its first `at_most` bytes: a file of any size costs no more than that.

    Args:
        size: its bytes when it was opened; if it has grown since, they are read too.
    """
    if at_most is not None and size > at_most:
        return _exactly(descriptor, at_most)
    data = os.read(descriptor, size + 1)
    if len(data) >= size:
        return data
    parts = [data]  # a single read returns 2 GiB at most
    while data:
        data = os.read(descriptor, 1 << 30)
        parts.append(data)
    return b"".join(parts)


def _exactly(descriptor: int, size: int) -> bytes:
    data = os.read(descriptor, size)
    while len(data) < size:
        more = os.read(descriptor, size - len(data))
        if not more:
            break
        data += more
    return data


def is_folder(path: str) -> bool:
    """Whether a folder exists. A folder that cannot be accessed is an error, not a missing one.

    Raises:
        MachineError: access is refused.
        BadRawError: symbolic links lead in a circle.
    """
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)  # noqa: PTH116 - string paths: this runs for every folder
    except OSError as error:
        if error.errno in NO_SUCH_PATH:
            return False
        raise os_error(path, error, "look into the folder") from error
