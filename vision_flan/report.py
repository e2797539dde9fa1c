"""How long work shows itself; `cli.output` has a reporter for terminals, logs and scripts."""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """What a long piece of work tells while it runs; may be called from several threads."""

    def stage(self, name: str, total: int | None = None) -> None:
        """A stage begins; `total` is its number of steps if known."""
        ...

    def advance(self, steps: int, size: int = 0) -> None:
        """Steps done since the last call, and the bytes they moved."""
        ...

    def note(self, message: str) -> None:
        """Something a user should know."""
        ...


class Silent:
    """Tells nothing; for callers that do not show progress."""

    def stage(self, name: str, total: int | None = None) -> None:
        """A stage begins."""

    def advance(self, steps: int, size: int = 0) -> None:
        """Steps done."""

    def note(self, message: str) -> None:
        """Something a user should know."""
