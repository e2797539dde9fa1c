"""Turns what parsers raise into errors of the raw file, in one place.

Parsers of damaged or hostile files raise anything. Every reader's `batches` and `open_image` go through
`reading`, so that users see the file, what is wrong with it, and the next step.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from vision_flan.errors import (
    BadRawError,
    DamagedFileError,
    Location,
    MachineError,
    MissingRawError,
    VflanError,
)
from vision_flan.raw.folder import RawDataset

_LFS = b"version https://git-lfs.github.com/spec/"
_HTML = (b"<!doctype html", b"<html")
#: Errors of the machine rather than the file.
_OF_MACHINE = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.EACCES, errno.EPERM)
)
#: Characters of what is said about a file.
_LONGEST = 1000


@contextmanager
def reading(raw: RawDataset, file: str, reader: str) -> Iterator[None]:
    """Turns whatever reading a file raises into an error a user can act on.

    Raises:
        BadRawError: the file is a Git LFS pointer or a web page, or its parser failed.
        MachineError: the disk failed, or a limit of the machine was reached.
        VflanError: as raised by the reader.
    """
    try:
        yield
    except (MissingRawError, DamagedFileError):
        raise
    except BadRawError as error:
        refuse_stand_in(raw, file)
        error.what = error.what[:_LONGEST]  # libraries quote what they read
        raise error from None
    except VflanError:
        raise
    except OSError as error:
        if error.errno in _OF_MACHINE:
            raise MachineError(
                f"cannot read the file: {error.strerror}", where=Location(file), hint="check the disk"
            ) from error
        raise _unreadable(raw, file, reader, error) from error
    except Exception as error:
        raise _unreadable(raw, file, reader, error) from error


def refuse_stand_in(raw: RawDataset, file: str) -> None:
    """Raise BadRawError for common stand-ins for a file: a Git LFS pointer, a web page."""
    head = _head(raw, file)
    if head.startswith(_LFS):
        raise BadRawError(
            "the file is a Git LFS pointer, not the file it stands for",
            where=Location(file),
            hint="fetch the file itself: `git lfs pull` in the clone, or download it from upstream",
        )
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith(_HTML) and not file.lower().endswith((".html", ".htm", ".xhtml")):
        raise BadRawError(
            "the file is a web page (HTML), not the data",
            where=Location(file),
            hint="download it again; in a browser, if upstream asks to log in or to confirm",
        )


def _head(raw: RawDataset, file: str) -> bytes:
    try:
        with raw.open(file) as stream:
            return stream.read(512)
    except (VflanError, OSError, EOFError):
        return b""


def _unreadable(raw: RawDataset, file: str, reader: str, error: Exception) -> BadRawError:
    try:
        refuse_stand_in(raw, file)
    except BadRawError as known:
        return known
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, RecursionError):
        what = "values are nested too deep"
    if isinstance(error, MemoryError):
        what = "it needs more memory than there is"
    return BadRawError(
        f"reader {reader!r} cannot read the file: {what[:300]}",
        where=Location(file),
        hint="download the file again, and check that its format is the one the table declares",
    )
