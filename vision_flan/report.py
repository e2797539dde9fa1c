"""Progress of long-running work; `cli.output` has reporters for terminals, logs and scripts."""

from __future__ import annotations

from typing import Protocol

#: How the stage that writes instances begins; its steps are instances.
WRITING = "writing"


def human_bytes(size: float) -> str:
    """1536 -> 1.5 kB (powers of 1,000)."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def duration(seconds: float) -> str:
    """Seconds as `40 s`, `12 min`, `3 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def counted(count: int, name: str) -> str:
    """`1 commit`, `2 commits`."""
    return f"{count:,} {name}{'' if count == 1 else 's'}"


class Reporter(Protocol):
    """Takes the progress of a long piece of work; may be called from several threads.

    Names and messages may hold text of specs and raw files: an implementation escapes control characters.
    """

    def stage(self, name: str, total: int | None = None) -> None:
        """A stage starts; `total` is its number of steps if known."""
        ...

    def advance(self, steps: int, size: int = 0) -> None:
        """Steps done since the last call, and the bytes they processed."""
        ...

    def note(self, message: str) -> None:
        """Something a user should know."""
        ...


class Silent:
    """Discards progress, for callers that do not show it."""

    def stage(self, name: str, total: int | None = None) -> None:
        """A stage starts."""

    def advance(self, steps: int, size: int = 0) -> None:
        """Steps done."""

    def note(self, message: str) -> None:
        """Something a user should know."""


class OnlyNotes(Silent):
    """Passes on what a user should know, of work that is itself one step of a stage."""

    def __init__(self, report: Reporter) -> None:
        self._report = report

    def note(self, message: str) -> None:
        """Something a user should know."""
        self._report.note(message)
