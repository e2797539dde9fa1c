"""Errors a user can act on: what is wrong, where, and what to do next.

Every error that reaches the command line is a `VflanError`; `cli.main` prints its three parts and exits
with its code. A traceback on the terminal is a bug.
"""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

#: Where the package is installed from until it is on an index; `[project.urls]` has it too.
REPOSITORY = "https://github.com/vision-flan/vision-flan"


def install_command(extra: str = "") -> str:
    """The command that installs the package, with an extra."""
    return f'pip install "vision-flan{f"[{extra}]" if extra else ""} @ git+{REPOSITORY}"'


def system_words(error: OSError) -> str:
    """What the system says of an error; Arrow puts its own words around that."""
    return os.strerror(error.errno) if error.errno else error.strerror or str(error)


#: What steers a terminal, or turns text around, instead of being shown; and bytes that are no UTF-8.
UNSHOWN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
#: How a line begins that GitHub's runner takes for a command, and what it takes for one anywhere.
_COMMAND = re.compile(r"^(\s*)::|##\[", re.MULTILINE)


def escaped(text: str) -> str:
    r"""Text with control characters escaped, as `\x1b`; line breaks and tabs stay."""
    return UNSHOWN.sub(lambda match: match.group().encode("unicode_escape").decode("ascii"), text)


def plain(text: str) -> str:
    """Text of others for a terminal or a log: `escaped`, and no command of a runner that logs it."""
    shown = escaped(text)
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return shown
    return _COMMAND.sub(lambda match: match[0].replace("::", ": :").replace("##[", "## ["), shown)


def to_type(*words: object) -> str:
    """A command to copy into a shell; a path or a name in it is one word there, whatever it holds."""
    return shlex.join(map(str, words))


class ExitCode(IntEnum):
    """Exit codes of every `vflan` command; scripts may rely on them."""

    OK = 0
    FAILED = 1  # findings in a spec, a folder that does not verify, an unknown name
    USAGE = 2  # click's own code for wrong arguments
    MISSING_RAW = 3  # raw files are missing, or did not come
    BAD_RAW = 4  # raw files, or what a server sends for them, cannot be taken as what the spec says
    SYSTEM = 5  # disk full, no permission, folder locked by another run
    HUB = 6  # the Hub refused or cannot be reached
    INTERRUPTED = 130
    READER_GONE = 141  # the reader of our output ended first, as in `vflan list | head -1`


@dataclass(frozen=True)
class Location:
    """A position in a file; lines and columns count from 1, 0 means unknown."""

    file: Path | str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        parts = [str(self.file)]
        if self.line:
            parts.append(str(self.line))
            if self.column:
                parts.append(str(self.column))
        return ":".join(parts)


class VflanError(Exception):
    """Something went wrong that the user can fix.

    Args:
        what: one sentence that names the wrong value.
        where: the file it is in.
        hint: the next step, usually a command.
    """

    exit_code: ExitCode = ExitCode.FAILED

    def __init__(self, what: str, *, where: Location | None = None, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n  next: {self.hint}" if self.hint else text


class SpecError(VflanError):
    """A spec, template or label table is wrong."""


class MissingRawError(VflanError):
    """Raw files are missing."""

    exit_code = ExitCode.MISSING_RAW


class BadRawError(VflanError):
    """A raw file does not match its format."""

    exit_code = ExitCode.BAD_RAW


class DamagedFileError(BadRawError):
    """One file or archive member is damaged. A damaged image drops its instance, which is counted; any other
    `BadRawError` stops the run."""


class MachineError(VflanError):
    """The machine refused: disk full, no permission, a lock held by another run.

    Attributes:
        errno: the system's number for it, None for none.
    """

    errno: int | None = None

    exit_code = ExitCode.SYSTEM


class StoreError(MachineError):
    """The store of a compiled folder, such as `s3://bucket/name`, refused or did not answer."""


class HubError(VflanError):
    """The Hub refused, or did not answer."""

    exit_code = ExitCode.HUB
