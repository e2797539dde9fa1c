"""Progress of a long upload: one updated line on a terminal, separate lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TextIO

from vision_flan.errors import plain
from vision_flan.report import counted, duration, human_bytes

#: Seconds between lines where there is no terminal.
LINE_EVERY = 10.0


@dataclass
class Progress:
    """Counts files, bytes and commits, and prints them."""

    total_files: int = 0
    total_bytes: int = 0
    out: TextIO = field(default_factory=lambda: sys.stderr)
    files: int = 0
    bytes: int = 0
    commits: int = 0
    _began: float = field(default_factory=time.monotonic)
    _printed: float = 0.0
    _open_line: bool = False

    def sent(self, files: int, count: int) -> None:
        """Count files that are on the Hub, committed or not."""
        self.files += files
        self.bytes += count
        self._show()

    def committed(self) -> None:
        self.commits += 1
        self._show(force=True)

    def say(self, text: str) -> None:
        """Print a message on its own line."""
        self._end_line()
        print(plain(text), file=self.out, flush=True)

    def close(self) -> None:
        self._end_line()

    def line(self) -> str:
        """The state in one line."""
        seconds = max(1e-3, time.monotonic() - self._began)
        rate = self.bytes / seconds
        left = (self.total_bytes - self.bytes) / rate if rate else 0.0
        commits = counted(self.commits, "commit")
        if not self.total_files:
            return commits
        return (
            f"{self.files:,} of {self.total_files:,} files, "
            f"{human_bytes(self.bytes)} of {human_bytes(self.total_bytes)}, "
            f"{human_bytes(rate)}/s, {duration(left)} left, {commits}"
        )

    def _show(self, force: bool = False) -> None:
        if self.out.isatty():
            self.out.write(f"\r\x1b[K{self.line()}")
            self.out.flush()
            self._open_line = True
        elif force or time.monotonic() - self._printed >= LINE_EVERY:
            self._printed = time.monotonic()
            print(self.line(), file=self.out, flush=True)

    def _end_line(self) -> None:
        if self._open_line:
            self.out.write("\n")
            self._open_line = False


def listed(names: Sequence[str], most: int = 5) -> str:
    """`a, b and 3 more`."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
