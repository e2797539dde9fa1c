"""Reads the files of a catalog: specs, label tables, instructions. They arrive by pull request.

Git carries symbolic links, so a link in such a folder may lead to any file of whoever checks the request out;
a device or a pipe never ends. Only regular files are read, and no more of one than it may have.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from vision_flan.errors import Location, MachineError, SpecError, VflanError

#: Bytes of a spec or a label table; a label table of ImageNet has 700,000.
MAX_BYTES = 2_000_000

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def read_bytes(path: Path, at_most: int = MAX_BYTES) -> bytes:
    """The bytes of a regular file in a folder that is no link.

    Raises:
        SpecError: it is missing, a link, a folder, a device or a pipe, lies in a folder that is a link, or is
            larger than `at_most`.
        MachineError: too many files are open.
    """
    try:
        descriptor = _open(path)
    except OSError as error:
        raise _cannot(path, error) from error
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode):
        os.close(descriptor)
        what = "this is not a regular file"
        raise SpecError(what, where=Location(path), hint="replace it with a plain text file")
    with os.fdopen(descriptor, "rb") as file:
        # some files of /proc have no size
        data = b"" if facts.st_size > at_most else file.read(at_most + 1)
    if facts.st_size > at_most or len(data) > at_most:
        size = max(facts.st_size, len(data))
        raise SpecError(f"{size:,} bytes; the limit is {at_most:,}", where=Location(path))
    return data


def read_text(path: Path, at_most: int = MAX_BYTES) -> str:
    """The text of a regular file; bytes that are not UTF-8 are replaced. Raises as `read_bytes`."""
    return read_bytes(path, at_most).decode("utf-8", "replace")


def _open(path: Path) -> int:
    folder = os.open(path.parent, _FLAGS | os.O_DIRECTORY)
    try:
        return os.open(path.name, _FLAGS, dir_fd=folder)
    finally:
        os.close(folder)


def _cannot(path: Path, error: OSError) -> VflanError:
    linked = next((each for each in (path.parent, path) if each.is_symlink()), None)
    if linked is not None:
        what = "this is a symbolic link, and those of specs and instructions are not followed"
        return SpecError(what, where=Location(linked), hint="put the file itself there")
    if error.errno in (errno.EMFILE, errno.ENFILE):
        what = "too many open files"
        return MachineError(f"cannot read the file: {what}", where=Location(path), hint="ulimit -n 4096")
    if error.errno == errno.ENXIO:
        return SpecError("this is not a regular file", where=Location(path))
    return SpecError(f"cannot read the file: {error.strerror}", where=Location(path))
