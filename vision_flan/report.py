"""Progress of long-running work; `cli.output` has reporters for terminals, logs and scripts."""

from __future__ import annotations

from typing import Protocol


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
