"""A run over the tasks of a suite or a plan: a live screen, plain lines or JSON lines, a log, a summary."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler

import click
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from vision_flan.build.locks import machine_errors, work_folder
from vision_flan.build.many import Selection, compile_many, stops_all
from vision_flan.cli.output import common_code, echo, is_terminal, one_line
from vision_flan.cli.run_state import Event, Run, Running, Sink, headline, line_of
from vision_flan.errors import VflanError
from vision_flan.places.place import Place
from vision_flan.raw.roots import RawPlaces
from vision_flan.report import counted, duration, human_bytes
from vision_flan.spec.catalog import Catalog

#: The log of all runs into a folder, in its work folder.
LOG = "compile.log"
_LOG_BYTES = 10_000_000
#: Running tasks that a screen shows.
_SHOWN = 12


def run_many(
    selection: Selection, raw: RawPlaces, out: Place, catalog: Catalog, *, quiet: bool, json_lines: bool
) -> Run:
    """Compile the tasks of a suite or a plan. A task that cannot be built does not stop the others.

    Args:
        quiet: show nothing, as for one JSON document at the end.
        json_lines: print each event as a line of JSON on standard output.

    Returns:
        What became of each task.

    Raises:
        MachineError: the folder cannot be written.
    """
    expected = {name: _expected(name, catalog, options.limit) for name, options in selection.items()}
    with machine_errors(out), _log(out) as log:
        live = not quiet and not json_lines and is_terminal(sys.stderr)
        sinks: list[Sink] = [log, *([_print_json_line] if json_lines else [])]
        if not live and not quiet and not json_lines:
            sinks.append(_print_line)
        run = Run(expected, sinks)
        with _screen(run) if live else _nothing():
            for outcome in compile_many(selection, raw, out, catalog, run.task):
                run.ended(outcome)
                if outcome.error and stops_all(outcome.error):
                    break
        run.end()
    return run


def print_summary(run: Run, out: Place) -> None:
    """What was built, and each task that cannot be, with the command that helps."""
    instances = sum(result.manifest.rows for result in run.built.values())
    size = sum(result.manifest.download_size for result in run.built.values())
    fresh = sum(not result.built for result in run.built.values())
    echo(
        f"{len(run.built)} of {counted(len(run.expected), 'task')} in {out}"
        + (f" ({fresh} were up to date)" if fresh else "")
        + f": {instances:,} instances, {human_bytes(size)}, in {duration(run.seconds)}"
    )
    if run.dropped:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in run.dropped.most_common())
        echo(f"dropped {sum(run.dropped.values()):,}: {reasons}")
    if run.failed:
        echo(f"{counted(len(run.failed), 'task')} cannot be built:", err=True)
    for (what, hint), tasks in _grouped(run.failed).items():
        echo(f"  {', '.join(tasks)}: {what}", err=True)
        if hint:
            echo(f"    next: {hint}", err=True)
    if run.waiting:
        echo(f"{counted(run.waiting, 'task')} not tried: the same command goes on", err=True)
    echo(f"log: {work_folder(out) / LOG}", err=True)


def exit_code(run: Run) -> int:
    """0 if every task is built; else the code of what stopped the run, or that of all failures, or 1 where
    they differ."""
    stopped = [error for error in run.failed.values() if stops_all(error)]
    return common_code(stopped or run.failed.values())


def _grouped(failed: Mapping[str, VflanError]) -> dict[tuple[str, str], list[str]]:
    """Tasks by what is wrong and what to do: a missing dataset is said once, not for each of its tasks."""
    groups: dict[tuple[str, str], list[str]] = {}
    for task, error in failed.items():
        first = error.what.splitlines()[0]
        place = f"{error.where}: " if error.where else ""
        groups.setdefault((place + first, error.hint), []).append(task)
    return groups


def _expected(name: str, catalog: Catalog, limit: int | str | None) -> int:
    """Instances that a task may yield, for the time left; 0 if nothing is known or the name is wrong."""
    try:
        task = catalog.task(name)
    except VflanError:
        return 0
    known = [n for n in (task.limit if limit == "spec" else limit, task.available) if isinstance(n, int)]
    return min(known, default=0)


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextmanager
def _log(out: Place) -> Iterator[Sink]:
    """The log file: every line with its time, bounded in size."""
    folder = work_folder(out)
    folder.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(folder / LOG, maxBytes=_LOG_BYTES, backupCount=1, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    try:

        def write(event: Event) -> None:
            text = line_of(event) or json.dumps(event, ensure_ascii=False)
            handler.emit(logging.LogRecord("vflan", logging.INFO, "", 0, one_line(text), None, None))

        yield write
    finally:
        handler.close()


def _print_line(event: Event) -> None:
    text = line_of(event)
    if text:
        echo(text, err=True)


def _print_json_line(event: Event) -> None:
    click.echo(json.dumps(event))


@contextmanager
def _screen(run: Run) -> Iterator[None]:
    """A live screen on standard error; results scroll by above it."""
    console = Console(stderr=True)
    shown: set[str] = set()

    def render() -> Group:
        for task in [*run.built, *run.failed]:
            if task not in shown:
                shown.add(task)
                console.print(_ended(run, task), highlight=False)
        return Group(Text(headline(run), style="bold"), _bars(list(run.running.items())))

    # standard output may go to a file: only its terminal may be redirected to the screen
    with Live(
        get_renderable=render, console=console, refresh_per_second=4, transient=True, redirect_stdout=False
    ):
        yield


def _ended(run: Run, task: str) -> Text:
    if task in run.failed:
        return Text(f"{task} cannot be built: {one_line(run.failed[task].what.splitlines()[0])}", style="red")
    result = run.built[task]
    dropped = sum(result.manifest.counts["dropped"].values())
    state = "" if result.built else ", up to date"
    more = f", {dropped:,} dropped" if dropped else ""
    return Text(f"{task}: {result.manifest.rows:,} instances{more}{state}")


def _bars(running: Sequence[tuple[str, Running]]) -> Table:
    table = Table.grid(padding=(0, 2))
    for task, one in running[:_SHOWN]:
        name = one.stage if task in one.stage else f"{task}: {one.stage}"
        bar = ProgressBar(one.total, min(one.done, one.total), width=30) if one.total else Text("")
        table.add_row(Text(one_line(name)), bar, Text(f"{one.done:,}"))
    if len(running) > _SHOWN:
        table.add_row(Text(f"and {len(running) - _SHOWN} more"))
    return table
