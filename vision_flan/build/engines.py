"""Where work runs: in this process, in processes of this machine, or on a Ray cluster.

An engine has the shape of `concurrent.futures.Executor`: work is a function of a module, its arguments can
be pickled, and a future whose worker died raises `BrokenExecutor`. It only runs what it is given; what is
retried is decided in `InFlight`, the same for all engines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from vision_flan.build.cores import usable_cores
from vision_flan.errors import MachineError
from vision_flan.faults import Death
from vision_flan.limits import wait_for_others
from vision_flan.report import Reporter

T = TypeVar("T")

PROCESSES, RAY = "processes", "ray"
#: Up to so many jobs, one is the process that hands out the others: it would wait most of the time. If there
#: are more, it could keep the others waiting.
HELPED = 4


@dataclass(frozen=True)
class EngineSpec:
    """Which engine, as values that a worker can be sent.

    Attributes:
        kind: `processes` or `ray`.
        jobs: units of work at one time; None takes the cores this process may use, or the cluster's.
        address: of a Ray cluster; None starts one on this machine.
    """

    kind: str = PROCESSES
    jobs: int | None = 1
    address: str | None = None

    def cores(self) -> int:
        """Units of work at one time.

        Raises:
            MachineError: Ray is not installed, or there is no cluster at the address.
        """
        if self.jobs is not None:
            return self.jobs
        if self.kind == RAY:
            from vision_flan.build.ray_engine import cluster_cores

            return cluster_cores(self.address)
        return usable_cores()


#: This process alone.
HERE = EngineSpec()


class Engine(Protocol):
    """Runs work somewhere.

    Attributes:
        workers: units of work that run at one time.
        helped: whether who uses it is to do units of its own besides, as one of the jobs.
        started: False as long as the first unit would have to wait for processes to start.
    """

    workers: int
    helped: bool

    @property
    def started(self) -> bool: ...

    def prepare(self) -> None:
        """Units may come. Called before this process has threads, locks and open files: a worker that is
        forked then costs next to nothing."""
        ...

    def expect_work(self) -> None:
        """Units may come: begin what would keep them waiting and costs little if none come."""
        ...

    def start(self) -> None:
        """Units will come: start what takes them, without waiting for it."""
        ...

    def submit(self, work: Callable[..., T], /, *arguments: object) -> Future[T]:
        """Run a function of a module, with arguments that can be pickled."""
        ...

    def repair(self) -> Mapping[Future[object], Death]:
        """Make it usable again after a worker died. Returns why, for the units whose worker is known."""
        ...

    def listen(self, key: str, report: Reporter) -> bool:
        """Pass on what workers report for a key; False if this engine cannot."""
        ...

    def close(self) -> None:
        """End the workers, busy or not: what they write appears whole or not at all."""
        ...


class Inline:
    """Runs each unit at once, in this process."""

    workers = 1
    helped = False
    started = True

    def prepare(self) -> None:
        """Nothing has to start."""

    def expect_work(self) -> None:
        """Nothing has to start."""

    def start(self) -> None:
        """Nothing has to start."""

    def submit(self, work: Callable[..., T], /, *arguments: object) -> Future[T]:
        """Run it now; an error is the future's."""
        future: Future[T] = Future()
        try:
            future.set_result(work(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future

    def repair(self) -> Mapping[Future[object], Death]:
        """Nothing breaks."""
        return {}

    def listen(self, key: str, report: Reporter) -> bool:
        """Work reports for itself."""
        return True

    def close(self) -> None:
        """Nothing to end."""


@contextmanager
def open_engine(
    spec: EngineSpec, *, coordinates: bool = False, apart: bool = False, jobs: int | None = None
) -> Iterator[Engine]:
    """The engine of a spec; its workers start with the first unit and end with the context.

    Args:
        coordinates: its units mostly wait for units of their own.
        apart: even one job runs in another process.
        jobs: of the whole run, if its units have engines of their own.

    Raises:
        MachineError: Ray is not installed, or there is no cluster at the address.
    """
    engine = engine_of(spec, coordinates=coordinates, apart=apart, jobs=jobs)
    try:
        yield engine
    finally:
        engine.close()


def engine_of(
    spec: EngineSpec, *, coordinates: bool = False, apart: bool = False, jobs: int | None = None
) -> Engine:
    """The engine of a spec, to be closed by the caller; see `open_engine`."""
    if spec.kind == RAY:
        from vision_flan.build.ray_engine import Cluster

        return Cluster(spec.address, spec.jobs, cores_each=0 if coordinates else 1)
    cores = spec.cores()
    if cores == 1 and not apart:
        return Inline()
    from vision_flan.build.processes import Processes

    helped = not apart and cores <= HELPED
    return Processes(cores - 1 if helped else cores, helped=helped, jobs=jobs)


@dataclass
class Unit(Generic[T]):
    """Work in flight; `name` says in an error what it is."""

    name: str
    work: Callable[..., T]
    arguments: tuple[object, ...]
    future: Future[T]


class InFlight:
    """Work that was given to an engine and whose results are not taken yet."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._units: list[Unit[object]] = []

    def start(self, name: str, work: Callable[..., T], /, *arguments: object) -> Unit[T]:
        """Give a unit to the engine."""
        return self._kept(Unit(name, work, arguments, self._submit(work, *arguments)))

    def do(self, name: str, work: Callable[..., T], /, *arguments: object) -> Unit[T]:
        """Do a unit in this process; an error is raised by `take`."""
        return self._kept(Unit(name, work, arguments, Inline().submit(work, *arguments)))

    def take(self, unit: Unit[T]) -> T:
        """Wait for a unit's result; its own errors pass through.

        When a worker dies, a process pool fails all units in flight. The one whose worker crashed, or took
        more than it may, has failed. If the system killed it, perhaps for the memory of another, or if nobody
        knows, each is run again alone; the one that loses its worker then has lost it twice.

        Raises:
            SpecError, BadRawError: its worker crashed or took more than it may; says at what.
            MachineError: a unit lost its worker twice, and nobody knows why.
        """
        wait_for_others()
        try:
            if isinstance(unit.future.exception(), BrokenExecutor):
                self._run_again_alone()
            return unit.future.result()
        finally:
            self._units.remove(unit)  # type: ignore[arg-type]

    def cancel(self) -> None:
        """Forget the units that no worker has begun."""
        for unit in self._units:
            unit.future.cancel()

    def _kept(self, unit: Unit[T]) -> Unit[T]:
        self._units.append(unit)  # type: ignore[arg-type]
        return unit

    def _submit(self, work: Callable[..., T], /, *arguments: object) -> Future[T]:
        try:
            return self._engine.submit(work, *arguments)
        except BrokenExecutor as error:  # broken since the last result was taken: `take` deals with it
            return _failed(error)

    def _run_again_alone(self) -> None:
        self._blame(self._engine.repair(), alone=False)
        for unit in self._units:
            if not _is_lost(unit.future):
                continue
            unit.future = self._engine.submit(unit.work, *unit.arguments)
            if isinstance(unit.future.exception(), BrokenExecutor):
                self._blame(self._engine.repair(), alone=True)
            if _is_lost(unit.future):
                unit.future = _failed(
                    MachineError(
                        f"a worker was killed twice while it made {unit.name}",
                        hint="the system may have run out of memory: try fewer --jobs",
                    )
                )

    def _blame(self, deaths: Mapping[Future[object], Death], *, alone: bool) -> None:
        """Fail the units whose own workers died."""
        for unit in self._units:
            death = deaths.get(unit.future)
            if death is not None and (death.certain or alone):
                unit.future = _failed(death.error)


def _failed(error: Exception) -> Future[T]:
    future: Future[T] = Future()
    future.set_exception(error)
    return future


def _is_lost(future: Future[T]) -> bool:
    return future.done() and isinstance(future.exception(), BrokenExecutor)
