"""Progress of a long upload: one updated line on a terminal, separate lines elsewhere."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import TextIO

#: Seconds between lines where there is no terminal.
LINE_EVERY = 10.0


def size(count: float) -> str:
    """Bytes as `1.2 GB` (powers of a thousand, as the Hub counts them)."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def duration(seconds: float) -> str:
    """Seconds as `40 s`, `12 min`, `3 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def counted(count: int, name: str) -> str:
    """`1 commit`, `2 commits`."""
    return f"{count:,} {name}{'' if count == 1 else 's'}"


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
        print(text, file=self.out, flush=True)

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
            f"{self.files:,} of {self.total_files:,} files, {size(self.bytes)} of {size(self.total_bytes)}, "
            f"{size(rate)}/s, {duration(left)} left, {commits}"
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
