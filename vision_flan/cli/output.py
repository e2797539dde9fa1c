"""What commands print: progress for terminals and for logs, tables, errors, JSON."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from vision_flan.errors import VflanError

#: Seconds between two lines of a log, where there is no terminal.
LOG_EVERY = 10.0


def human_bytes(size: float) -> str:
    """1536 -> 1.5 kB (powers of 1,000)."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def print_json(data: Any) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on a terminal; tab-separated lines anywhere else."""
    if not sys.stdout.isatty():
        click.echo("\t".join(columns))
        for row in rows:
            click.echo("\t".join(row))
        return
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def print_error(error: VflanError) -> None:
    """What, where and the next step, on standard error."""
    place = f"{error.where}: " if error.where else ""
    click.echo(f"{click.style('error', fg='red')}: {place}{error.what}", err=True)
    if error.hint:
        click.echo(f"  next: {error.hint}", err=True)


class _Rate(ProgressColumn):
    """Steps and bytes per second."""

    def render(self, task: Any) -> Text:
        speed = task.speed or 0
        size = task.fields.get("size", 0)
        elapsed = task.elapsed or 0
        bytes_rate = f"  {human_bytes(size / elapsed)}/s" if size and elapsed else ""
        return Text(f"{speed:,.0f}/s{bytes_rate}", style="cyan")


class TerminalReporter:
    """A rich progress bar with rate and time left."""

    def __init__(self, console: Console) -> None:
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.completed:,.0f}"),
            _Rate(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task: Any = None
        self._size = 0
        self._lock = threading.Lock()

    def stage(self, name: str, total: int | None = None) -> None:
        """Begin a bar in place of the last one."""
        with self._lock:
            if self._task is not None:
                self.progress.remove_task(self._task)
            self._task, self._size = self.progress.add_task(name, total=total, size=0), 0

    def advance(self, steps: int, size: int = 0) -> None:
        """Move the bar."""
        with self._lock:
            self._size += size
            if self._task is not None:
                self.progress.update(self._task, advance=steps, size=self._size)

    def note(self, message: str) -> None:
        """A line above the bar."""
        self.progress.console.print(message, highlight=False, markup=False)


class LogReporter:
    """A line when a stage begins and every ten seconds; for logs and pipes."""

    def __init__(self) -> None:
        self._name = ""
        self._total: int | None = None
        self._done = self._size = 0
        self._begun = self._said = time.monotonic()
        self._lock = threading.Lock()

    def stage(self, name: str, total: int | None = None) -> None:
        """Say what begins."""
        with self._lock:
            self._name, self._total, self._done, self._size = name, total, 0, 0
            self._begun = self._said = time.monotonic()
        self.note(f"{name} ..." if total is None else f"{name}: {total:,} ...")

    def advance(self, steps: int, size: int = 0) -> None:
        """Say how far it is, now and then."""
        with self._lock:
            self._done += steps
            self._size += size
            now = time.monotonic()
            if now - self._said < LOG_EVERY:
                return
            self._said = now
            rate = self._done / (now - self._begun)
            text = f"  {self._name}: {self._done:,}"
            if self._total:
                left = (self._total - self._done) / rate if rate else 0
                text += f" of {self._total:,}, {left:,.0f} s left"
            text += f", {rate:,.0f}/s"
            if self._size:
                text += f", {human_bytes(self._size / (now - self._begun))}/s"
        self.note(text)

    def note(self, message: str) -> None:
        """A line on standard error."""
        click.echo(message, err=True)


@contextmanager
def reporter(*, quiet: bool = False) -> Iterator[TerminalReporter | LogReporter | Any]:
    """The reporter that fits where standard error goes."""
    from vision_flan.report import Silent

    if quiet:
        yield Silent()
    elif sys.stderr.isatty():
        shown = TerminalReporter(Console(stderr=True))
        with shown.progress:
            yield shown
    else:
        yield LogReporter()
