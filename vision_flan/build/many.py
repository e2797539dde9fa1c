"""Several tasks in one run: which ones, with what options, and what came of each."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from vision_flan.build.compile import compile_task
from vision_flan.build.job import Options, Result
from vision_flan.errors import VflanError
from vision_flan.raw.roots import RawPlaces
from vision_flan.report import Reporter
from vision_flan.spec.catalog import Catalog

#: Task id or alias -> how to compile it, in order.
Selection = Mapping[str, Options]


@dataclass(frozen=True)
class Outcome:
    """One task of a run: its result, or the error that stopped it."""

    task: str
    result: Result | None = None
    error: VflanError | None = None


def select(
    catalog: Catalog,
    options: Options,
    tasks: Sequence[str] = (),
    suite: str | None = None,
    quotas: Mapping[str, int] | None = None,
) -> Selection:
    """The tasks to compile: those named, those of a suite, or those a plan gives instances.

    Args:
        quotas: task id -> instances, of a plan. They replace the limit, also of tasks that are named or in
            the suite; a quota of 0 leaves the task out if neither names it.

    Returns:
        Each task once, in the order given; empty if nothing was selected.

    Raises:
        SpecError: no such suite.
    """
    quotas = quotas or {}
    names = [*tasks, *(catalog.suite(suite) if suite is not None else ())]
    if not names:
        names = [task for task, count in quotas.items() if count]
    return {name: replace(options, limit=quotas.get(name, options.limit)) for name in names}


def compile_many(
    selection: Selection,
    raw: RawPlaces,
    out: Path,
    catalog: Catalog,
    reporters: Callable[[str], AbstractContextManager[Reporter]],
) -> Iterator[Outcome]:
    """Compile tasks one after the other into one folder.

    A task that fails does not stop the run: raise `Outcome.error`, or stop iterating, to end it.

    Args:
        reporters: makes the reporter of a task.
    """
    for name, options in selection.items():
        try:
            with reporters(name) as report:
                result = compile_task(name, raw, out, catalog, options, report)
        except VflanError as error:
            yield Outcome(name, error=error)
        else:
            yield Outcome(name, result)


def stops_all(error: VflanError) -> bool:
    """Whether the disk of the compiled folder is full or read-only, so that no other task can be built."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
