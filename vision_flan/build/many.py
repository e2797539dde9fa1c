"""Several tasks in one run: which ones, with what options, and what came of each."""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cache

from vision_flan.build.compile import compile_task
from vision_flan.build.engines import (
    PROCESSES,
    RAY,
    Engine,
    EngineSpec,
    InFlight,
    Unit,
    engine_of,
    open_engine,
)
from vision_flan.build.fork_server import start_server
from vision_flan.build.job import Options, Result
from vision_flan.build.parsed import absolute
from vision_flan.build.processes import report_of
from vision_flan.errors import MachineError, StoreError, VflanError
from vision_flan.faults import explained
from vision_flan.limits import applied, wait_for_others
from vision_flan.places.place import Place
from vision_flan.raw.roots import RawPlaces
from vision_flan.report import Reporter
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.names import task_ids

#: Up to so many workers take a task each.
_TASKS_FIRST = 4

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
    names = [*task_ids(catalog, tasks), *(catalog.suite(suite) if suite is not None else ())]
    if not names:
        names = [task for task, count in quotas.items() if count]
    return {name: replace(options, limit=quotas.get(name, options.limit)) for name in names}


def compile_many(
    selection: Selection,
    raw: RawPlaces,
    out: Place,
    catalog: Catalog,
    reporters: Callable[[str], AbstractContextManager[Reporter]],
    engine: Engine | None = None,
) -> Iterator[Outcome]:
    """Compile tasks into one folder, several at a time if the engine has several workers.

    A task that fails does not stop the run: raise `Outcome.error`, or stop iterating, to end it. Where this
    process has limits each task runs in a worker, so that one that crashes does not, either. Outcomes
    come as tasks end. Two tasks of one dataset run at one time only if nothing else is left: they would read
    the same files.

    Args:
        reporters: makes a reporter for a task; several may be in use at one time, from several threads.
        engine: of `early_engine`.
    """
    if not selection:
        return
    spec = next(iter(selection.values())).engine
    at_once, each = shared_out(spec, len(selection))
    if _in_workers(selection):
        runner = _Runner(raw, out, catalog, each)
        if spec.kind == RAY:  # its workers have a working folder of their own
            runner = _Runner(absolute(raw), out.absolute(), catalog, each)
        else:
            start_server(whole_tasks=True)
        tasks = replace(spec, jobs=at_once)
        with open_engine(tasks, coordinates=True, apart=True, jobs=spec.cores()) as engine:
            yield from _side_by_side(selection, runner, engine, reporters)
        return
    with open_engine(spec) if engine is None else nullcontext(engine) as workers:
        for name, options in selection.items():
            try:
                with reporters(name) as report:
                    result = compile_task(name, raw, out, catalog, options, report, workers)
            except Exception as error:
                yield Outcome(name, error=_foreseen(error))
            else:
                yield Outcome(name, result)


@contextmanager
def early_engine(selection: Selection) -> Iterator[Engine | None]:
    """The engine for the blocks of tasks that are compiled in this process, if they are; for a process that
    is to have threads, such as those of a progress display, when it calls `compile_many`."""
    if not selection or _in_workers(selection):
        yield None
        return
    with open_engine(next(iter(selection.values())).engine) as engine:
        engine.prepare()
        yield engine


def _in_workers(selection: Selection) -> bool:
    """Whether each task runs in a worker."""
    spec = next(iter(selection.values())).engine
    at_once, _ = shared_out(spec, len(selection))
    return at_once > 1 or (applied() and len(selection) > 1 and spec.kind == PROCESSES)


def shared_out(spec: EngineSpec, tasks: int) -> tuple[int, EngineSpec]:
    """How many tasks run at one time, and the engine that each uses for its blocks.

    Reading records takes one process a task, making blocks takes any number. So up to four workers each take
    a task; of more, a quarter do, and each has three others for its blocks.
    """
    jobs = spec.cores()
    at_once = min(tasks, jobs if jobs <= _TASKS_FIRST else max(_TASKS_FIRST, jobs // 4))
    return at_once, spec if spec.kind == RAY else replace(spec, jobs=max(jobs // max(at_once, 1), 1))


@dataclass(frozen=True)
class _Runner:
    """Compiles tasks in a worker; its values can be pickled."""

    raw: RawPlaces
    out: Place
    catalog: Catalog
    engine: EngineSpec

    def run(self, name: str, options: Options) -> Result:
        """Compile one task. Raises what `compile_task` raises."""
        engine = _engine_of_this_worker(self.engine)
        options = replace(options, engine=self.engine)
        try:
            return compile_task(name, self.raw, self.out, self.catalog, options, report_of(name), engine)
        except Exception as error:
            if (said := explained(error)) is error:
                raise
            raise said from error  # the worker knows what it was working on


@cache
def _engine_of_this_worker(spec: EngineSpec) -> Engine:
    """A worker keeps the processes for its blocks from task to task; they end when it does."""
    return engine_of(spec)


def _side_by_side(
    selection: Selection,
    runner: _Runner,
    engine: Engine,
    reporters: Callable[[str], AbstractContextManager[Reporter]],
) -> Iterator[Outcome]:
    flight = InFlight(engine)
    left = dict(selection)
    running: dict[str, tuple[Unit[Result], ExitStack]] = {}
    with ExitStack() as cleanup:
        while left or running:
            while left and len(running) < engine.workers:
                name = _next_task(left, running, runner.catalog)
                stack = cleanup.enter_context(ExitStack())
                engine.listen(name, stack.enter_context(reporters(name)))
                unit = flight.start(f"the task {name}", runner.run, name, left.pop(name))
                running[name] = (unit, stack)
            wait_for_others()
            wait([unit.future for unit, _ in running.values()], return_when=FIRST_COMPLETED)
            for name in [name for name, (unit, _) in running.items() if unit.future.done()]:
                unit, stack = running.pop(name)
                yield _outcome(name, flight, unit, stack)


def _outcome(name: str, flight: InFlight, unit: Unit[Result], stack: ExitStack) -> Outcome:
    with stack:
        try:
            return Outcome(name, flight.take(unit))
        except Exception as error:
            return Outcome(name, error=_foreseen(error))


def _foreseen(error: Exception) -> VflanError:
    """An error of one task, so that the others go on. Raises what nothing explains."""
    said = explained(error)
    if isinstance(said, VflanError):
        return said
    raise error


def _next_task(left: Selection, running: Collection[str], catalog: Catalog) -> str:
    """The first task whose dataset no other task is reading; if there is none, the first task."""

    def dataset(name: str) -> str:
        path = catalog.task_files.get(catalog.aliases.get(name, name))
        return path.parent.name if path else ""

    busy = {dataset(name) for name in running}
    return next((name for name in left if dataset(name) not in busy), next(iter(left)))


def stops_all(error: VflanError) -> bool:
    """Whether the disk of the compiled folder is full or read-only, or its store refuses or is not there, so
    that no other task can be built."""
    return isinstance(error, StoreError) or (
        isinstance(error, MachineError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
    )
