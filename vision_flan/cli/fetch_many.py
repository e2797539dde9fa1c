"""`vflan fetch` of a suite or of several datasets: one plan, one question, one display, a summary."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from vision_flan.cli.output import LOG_EVERY, echo, is_terminal, one_line, print_table
from vision_flan.errors import ExitCode, VflanError, plain
from vision_flan.raw.downloads import DatasetPlan, download_all, within
from vision_flan.raw.fetch import Action, Step, amount, check_space, total_bytes
from vision_flan.raw.terms import Quota, Terms
from vision_flan.report import Reporter, counted, duration, human_bytes

#: Files whose own bars are shown below that of all files.
_SHOWN = 8


@dataclass
class Fetched:
    """What became of a run.

    Attributes:
        left_out: datasets that did not fit into `--max-size`.
        errors: path -> why it was not downloaded.
    """

    plans: Sequence[DatasetPlan]
    left_out: Sequence[DatasetPlan]
    done: list[Step] = field(default_factory=list)
    errors: dict[str, VflanError] = field(default_factory=dict)

    def exit_code(self, *, dry_run: bool) -> int:
        """As of one dataset: failures first, then files that differ, then those to get by hand."""
        if self.errors:
            return max(error.exit_code for error in self.errors.values())
        if any(one.of(Action.DIFFERENT) for one in self.plans):
            return ExitCode.BAD_RAW
        incomplete = self.left_out or any(one.of(Action.BY_HAND) for one in self.plans)
        return ExitCode.MISSING_RAW if incomplete and not dry_run else ExitCode.OK


def fetch_datasets(
    plans: Sequence[DatasetPlan], *, most: int | None, terms: Terms, jobs: int, yes: bool, dry_run: bool,
    quiet: bool,
) -> Fetched:  # fmt: skip
    """Show the plan, ask once, download in parallel.

    Args:
        most: bytes to download at most, None for no bound; files of unknown size have what the others leave.
        quiet: print nothing but the question.

    Raises:
        MachineError: the disk is too small.
    """
    chosen, left_out = within(plans, most)
    fetched = Fetched(chosen, left_out)
    coming = [step for one in chosen for step in one.of(Action.DOWNLOAD)]
    if not quiet:
        _print_plan(chosen, left_out, coming)
    check_space(coming)
    if not coming or dry_run:
        return fetched
    if not yes and not _confirmed(coming):
        raise SystemExit(ExitCode.MISSING_RAW)
    if most is not None:
        terms = replace(terms, quota=Quota(most - total_bytes(coming)))
    on_terminal = not quiet and is_terminal(sys.stderr)
    display = _Bars(coming) if on_terminal else _Lines(coming, quiet=quiet)
    with display.shown():
        for step, error in download_all(coming, jobs, display.file, terms):
            if error:
                fetched.errors[str(step.path)] = error
            else:
                fetched.done.append(step)
            display.ended(step, error)
    if not quiet:
        _print_summary(fetched)
    return fetched


def _confirmed(steps: Sequence[Step]) -> bool:
    try:
        return click.confirm(f"Download {amount(steps)}?", err=True)
    except click.Abort as error:
        raise click.UsageError("no terminal to confirm on; pass --yes, or --dry-run") from error


def _print_plan(chosen: Sequence[DatasetPlan], left_out: Sequence[DatasetPlan], coming: list[Step]) -> None:
    rows = []
    for one in sorted([*chosen, *left_out], key=lambda one: one.dataset.dataset):
        down = one.of(Action.DOWNLOAD)
        rows.append(
            [
                one.dataset.dataset,
                str(len(one.of(Action.PRESENT, Action.UNPACKED)) or ""),
                amount(down) if down else "",
                str(len(one.of(Action.BY_HAND)) or ""),
                "too large for --max-size" if one in left_out else _noted(one),
            ]
        )
    columns = ("dataset", "files there", "to download", "by hand", "note")
    print_table(counted(len(rows), "dataset"), columns, rows)
    _print_by_hand([*chosen, *left_out])
    echo(f"to download: {amount(coming)}", err=True)


def _noted(one: DatasetPlan) -> str:
    names = ", ".join(step.file.path for step in one.of(Action.DIFFERENT))
    differing = f"not upstream's file: {names}" if names else ""
    gone = one.dataset.withdrawn
    withdrawn = ("host gone" if gone.host_gone else "withdrawn") if gone else ""
    return "; ".join(said for said in (differing, withdrawn) if said)


def _print_by_hand(plans: Sequence[DatasetPlan]) -> None:
    by_hand = {one.dataset.dataset: (one, one.of(Action.BY_HAND)) for one in plans}
    asked = {slug: found for slug, found in sorted(by_hand.items()) if found[1]}
    if asked:
        echo("\nby hand:")
    for slug, (one, steps) in asked.items():
        how = " ".join(one.dataset.how_to_get.split()) or f"see {one.dataset.homepage}"
        echo(f"{slug}: {how}")
        for step in steps:
            size = human_bytes(step.file.bytes) if step.file.bytes is not None else "size unknown"
            source = f", from {step.file.url}" if step.file.url else ""
            echo(f"  {step.path}  {size}{source}")


def _print_summary(fetched: Fetched) -> None:
    size = sum(step.path.stat().st_size for step in fetched.done)
    unchecked = sum(not (step.file.md5 or step.file.sha256) for step in fetched.done)
    note = f", {unchecked} of them without a known checksum" if unchecked else ""
    echo(f"{counted(len(fetched.done), 'file')} downloaded, {human_bytes(size)}{note}")
    if fetched.errors:
        echo(f"{counted(len(fetched.errors), 'file')} not downloaded; the same command resumes:", err=True)
    for error in fetched.errors.values():
        echo(f"  {error.what}" + (f"\n    next: {error.hint}" if error.hint else ""), err=True)


class _Lines:
    """A line for each file that ends, and one every ten seconds; nothing if quiet."""

    def __init__(self, steps: Sequence[Step], *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._files = len(steps)
        self._total = sum(step.file.bytes or 0 for step in steps)
        self._bytes = {str(step.path): step.done for step in steps}
        self._before = sum(self._bytes.values())
        self._ended = 0
        self._began = self._told = time.monotonic()
        self._lock = threading.Lock()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """While downloads run."""
        yield

    @contextmanager
    def file(self, step: Step) -> Iterator[Reporter]:
        """The reporter of one file."""
        yield _FileReporter(self, step)

    def ended(self, step: Step, error: VflanError | None) -> None:
        """A file is there, or not."""
        self._ended += 1
        checked = "checksum right" if step.file.md5 or step.file.sha256 else "no checksum is known"
        self.say(f"{step.path}: {error.what if error else checked}")

    def count(self, step: Step, size: int, *, restart: bool = False) -> None:
        """Bytes of a file came, or it starts again."""
        with self._lock:
            self._bytes[str(step.path)] = size + (0 if restart else self._bytes[str(step.path)])
            now = time.monotonic()
            tell = now - self._told >= LOG_EVERY
            if tell:
                self._told = now
            done = sum(self._bytes.values())
        if tell:
            rate = max(done - self._before, 0) / (now - self._began)
            left = f", {duration((self._total - done) / rate)} left" if rate and done < self._total else ""
            self.say(
                f"  {self._ended} of {counted(self._files, 'file')}, {human_bytes(done)} of "
                f"{human_bytes(self._total)}, {human_bytes(rate)}/s{left}"
            )

    def say(self, text: str) -> None:
        """A line on standard error."""
        if not self._quiet:
            echo(text, err=True)


class _Bars(_Lines):
    """A bar for all files, and one for each that comes now."""

    def __init__(self, steps: Sequence[Step]) -> None:
        super().__init__(steps)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._all = self._progress.add_task(
            f"0 of {counted(self._files, 'file')}", total=self._total or None, completed=self._before
        )
        self._tasks: dict[str, TaskID] = {}

    @contextmanager
    def shown(self) -> Iterator[None]:
        """While downloads run."""
        with self._progress:
            yield

    @contextmanager
    def file(self, step: Step) -> Iterator[Reporter]:
        """The reporter of one file, with a bar of its own."""
        name = f"  {step.path.parent.name}/{step.path.name}"
        self._tasks[str(step.path)] = self._progress.add_task(
            one_line(name), total=step.file.bytes, completed=step.done, visible=len(self._tasks) < _SHOWN
        )
        try:
            yield _FileReporter(self, step)
        finally:
            self._progress.remove_task(self._tasks.pop(str(step.path)))

    def ended(self, step: Step, error: VflanError | None) -> None:
        """A line above the bars."""
        super().ended(step, error)
        self._progress.update(self._all, description=f"{self._ended} of {counted(self._files, 'file')}")

    def count(self, step: Step, size: int, *, restart: bool = False) -> None:
        """Move the file's bar and that of all files."""
        with self._lock:
            self._bytes[str(step.path)] = size + (0 if restart else self._bytes[str(step.path)])
            task = self._tasks.get(str(step.path))
            if task is not None:
                self._progress.update(task, completed=self._bytes[str(step.path)])
            self._progress.update(self._all, completed=sum(self._bytes.values()))

    def say(self, text: str) -> None:
        """A line above the bars."""
        self._progress.console.print(plain(text), highlight=False, markup=False)


class _FileReporter:
    """The reporter of one of several downloads."""

    def __init__(self, display: _Lines, step: Step) -> None:
        self._display, self._step = display, step

    def stage(self, name: str, total: int | None = None) -> None:
        """A transfer starts, or starts again."""
        self._display.count(self._step, 0, restart=True)

    def advance(self, steps: int, size: int = 0) -> None:
        """Megabytes that an earlier run brought, or bytes that came."""
        if size or steps:
            self._display.count(self._step, size or steps * 1_000_000)

    def note(self, message: str) -> None:
        """Something a user should know."""
        self._display.say(message)
