"""What commands print: text without control characters, tables, JSON, errors, progress.

Specs, raw files and arguments are untrusted: whatever reaches a terminal goes through `plain` here.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TextIO

import click
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from vision_flan.errors import UNSHOWN, ExitCode, Location, MachineError, VflanError, escaped, plain
from vision_flan.report import Reporter, Silent, human_bytes

#: Seconds between two lines of a log, where there is no terminal.
LOG_EVERY = 10.0


def one_line(text: str) -> str:
    """`plain`, with line breaks and tabs escaped too."""
    return plain(text).replace("\n", "\\n").replace("\t", "\\t")


def echo(text: str, *, err: bool = False) -> None:
    """Print text and a line break, without the control characters in it."""
    click.echo(plain(text), err=err)


def echo_commands(text: str) -> None:
    """Print commands of GitHub's runner, whose texts are escaped as it wants them."""
    click.echo(escaped(text))


def write_page(path: Path, text: str) -> None:
    """Write a file that a command makes.

    Raises:
        MachineError: the place cannot be written to.
    """
    from vision_flan.dataset.manifest import write_atomically

    try:
        write_atomically(path, text)
    except OSError as error:
        raise MachineError(
            f"cannot write: {error.strerror}", where=Location(path), hint="choose another --out"
        ) from error


def print_json(data: object) -> None:
    """One JSON document on standard output; ASCII only where its encoding is not UTF-8."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    text = json.dumps(data, indent=2, ensure_ascii=not encoding.lower().startswith("utf"))
    click.echo(UNSHOWN.sub(lambda match: f"\\u{ord(match.group()):04x}", text))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on a terminal, or a paragraph a row where it is too narrow; else tab-separated lines."""
    shown = [[one_line(cell) for cell in row] for row in rows]
    if not is_terminal(sys.stdout):
        for cells in (columns, *shown):
            click.echo("\t".join(cells))
        return
    console = Console()
    if _narrowest([columns, *shown]) > console.width:
        _print_paragraphs(console, title, columns, shown)
        return
    table = Table(title=Text(title), title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    for cells in shown:
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)


def _narrowest(rows: Sequence[Sequence[str]]) -> int:
    """Cells that a table needs if no word is to be cut: each column its longest word, and the frame."""
    words = [
        max(cell_len(word) for cell in column for word in cell.split() or [""])
        for column in zip(*rows, strict=True)
    ]
    return sum(words) + 3 * len(words) + 1


def _print_paragraphs(
    console: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    if title:
        console.print(Text(title, style="italic"))
    for number, (first, *others) in enumerate([columns, *rows]):
        console.print(Text(first, style="bold" if number else "bold italic", overflow="fold"))
        rest = " | ".join(cell or "-" for cell in others)
        console.print(Padding(Text(rest, style="" if number else "italic", overflow="fold"), (0, 0, 0, 2)))


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a standard stream is a terminal; one that the caller closed is none."""
    return stream is not None and stream.isatty()


def print_error(error: VflanError) -> None:
    """What, where and the next step, on standard error."""
    place = f"{error.where}: " if error.where else ""
    click.echo(f"{click.style('error', fg='red')}: {plain(f'{place}{error.what}')}", err=True)
    if error.hint:
        echo(f"  next: {error.hint}", err=True)


def error_facts(what: str, code: int, hint: str = "", where: Location | None = None) -> Mapping[str, object]:
    """An error as `--json` prints it; a line or column of 0 is unknown."""
    place = {"file": str(where.file), "line": where.line, "column": where.column} if where else None
    return {"code": int(code), "message": what, "hint": hint, "where": place}


def common_code(errors: Iterable[VflanError]) -> int:
    """The exit code of several failures, in whatever order they came: that of all, or 1 where they differ."""
    codes = {int(error.exit_code) for error in errors}
    return ExitCode.OK if not codes else codes.pop() if len(codes) == 1 else ExitCode.FAILED


def facts_of(error: VflanError) -> Mapping[str, object]:
    """`error_facts` of one of our errors."""
    return error_facts(error.what, ExitCode(error.exit_code), error.hint, error.where)


class _Rate(ProgressColumn):
    """Steps and bytes per second."""

    def render(self, task: Task) -> Text:
        speed = task.speed or 0
        size = task.fields.get("size", 0)
        elapsed = task.elapsed or 0
        bytes_rate = f"  {human_bytes(size / elapsed)}/s" if size and elapsed else ""
        return Text(f"{speed:,.0f}/s{bytes_rate}", style="cyan")


class _Name(ProgressColumn):
    """The stage's name as text; rich's own column would read `[red]` in it as markup."""

    def render(self, task: Task) -> Text:
        return Text(one_line(task.description))


class TerminalReporter:
    """A rich progress bar with rate and time left, on a display that others may share."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._task: TaskID | None = None
        self._size = 0
        self._lock = threading.Lock()

    def stage(self, name: str, total: int | None = None) -> None:
        """Start a bar in place of the last one."""
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

    def end(self) -> None:
        """Remove the bar."""
        with self._lock:
            if self._task is not None:
                self.progress.remove_task(self._task)
                self._task = None

    def note(self, message: str) -> None:
        """A line above the bar."""
        self.progress.console.print(plain(message), highlight=False, markup=False)


class LogReporter:
    """A line when a stage starts and every ten seconds; for logs and pipes."""

    def __init__(self) -> None:
        self._name = ""
        self._total: int | None = None
        self._done = self._size = 0
        self._began = self._logged = time.monotonic()
        self._lock = threading.Lock()

    def stage(self, name: str, total: int | None = None) -> None:
        """Log the stage that starts."""
        with self._lock:
            self._name, self._total, self._done, self._size = name, total, 0, 0
            self._began = self._logged = time.monotonic()
        self.note(f"{name} ..." if total is None else f"{name}: {total:,} ...")

    def advance(self, steps: int, size: int = 0) -> None:
        """Log the progress every `LOG_EVERY` seconds."""
        with self._lock:
            self._done += steps
            self._size += size
            now = time.monotonic()
            if now - self._logged < LOG_EVERY:
                return
            self._logged = now
            rate = self._done / (now - self._began)
            text = f"  {self._name}: {self._done:,}"
            if self._total:
                left = (self._total - self._done) / rate if rate else 0
                text += f" of {self._total:,}, {left:,.0f} s left"
            text += f", {rate:,.0f}/s"
            if self._size:
                text += f", {human_bytes(self._size / (now - self._began))}/s"
        self.note(text)

    def note(self, message: str) -> None:
        """A line on standard error."""
        echo(message, err=True)


def progress_display(console: Console) -> Progress:
    """A display for the bars of `TerminalReporter`."""
    return Progress(
        SpinnerColumn(),
        _Name(),
        BarColumn(bar_width=30),
        TextColumn("{task.completed:,.0f}"),
        _Rate(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


@contextmanager
def reporter(*, quiet: bool = False) -> Iterator[Reporter]:
    """A progress bar on a terminal, plain lines elsewhere, nothing if `quiet`."""
    with reporters(quiet=quiet) as make, make("") as report:
        yield report


@contextmanager
def reporters(*, quiet: bool = False) -> Iterator[Callable[[str], AbstractContextManager[Reporter]]]:
    """Makes a reporter for each of several pieces of work, which may run at one time."""
    if quiet:
        yield lambda name: nullcontext(Silent())
    elif is_terminal(sys.stderr):
        with progress_display(Console(stderr=True)) as progress:
            yield lambda name: _bar(progress)
    else:
        yield lambda name: nullcontext(LogReporter())


@contextmanager
def _bar(progress: Progress) -> Iterator[Reporter]:
    shown = TerminalReporter(progress)
    try:
        yield shown
    finally:
        shown.end()
