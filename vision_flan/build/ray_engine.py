"""Work on a Ray cluster, from the extra `ray`.

The raw files and the compiled folder have to be on a file system that all machines of the cluster share,
under the same paths, and this package has to be installed on each.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor, Future
from typing import TYPE_CHECKING, TypeVar

from vision_flan.build.memory import keep_freed_memory
from vision_flan.dataset.behind import every_core_is_taken
from vision_flan.errors import MachineError, VflanError, install_command
from vision_flan.faults import Death
from vision_flan.report import Reporter

if TYPE_CHECKING:
    from ray import ObjectRef

T = TypeVar("T")

_SECONDS_TO_ANSWER = 10


class Cluster:
    """Runs each unit as a Ray task. Ray's own retries are off: `InFlight` retries, the same on all engines.

    Args:
        address: of a running cluster, `auto` for the one of this machine; None starts one here.
        jobs: units of work at one time; None takes the cluster's cores.
        cores_each: what a unit counts for.

    Raises:
        MachineError: Ray is not installed, or there is no cluster at the address.
    """

    helped = False
    started = True

    def __init__(self, address: str | None, jobs: int | None, cores_each: int = 1) -> None:
        self._began = connect(address, jobs)
        import ray

        self.workers = jobs or cluster_cores(address)
        self._run = ray.remote(num_cpus=cores_each, max_retries=0)(_run)
        self._running: dict[ObjectRef[object], None] = {}

    def prepare(self) -> None:
        """Ray has its workers."""

    def expect_work(self) -> None:
        """Ray has its workers."""

    def start(self) -> None:
        """Ray has its workers."""

    def submit(self, work: Callable[..., T], /, *arguments: object) -> Future[T]:
        """Run it on the cluster."""
        reference = self._run.remote(work, arguments)
        self._running[reference] = None
        outcome: Future[T] = Future()
        outcome.set_running_or_notify_cancel()

        def finished(inner: Future[object]) -> None:
            self._running.pop(reference, None)
            _settle(inner, outcome)

        reference.future().add_done_callback(finished)
        return outcome

    def repair(self) -> Mapping[Future[object], Death]:
        """Ray replaces workers by itself, and does not say why one died."""
        return {}

    def listen(self, key: str, report: Reporter) -> bool:
        """Nothing is heard from a unit before its end."""
        return False

    def close(self) -> None:
        """Cancel what runs; end the cluster if it was started here."""
        import ray

        for reference in list(self._running):
            ray.cancel(reference, force=True)
        if self._began:
            ray.shutdown()


def connect(address: str | None, jobs: int | None = None) -> bool:
    """Connect this process to a cluster, unless it is; whether that started or joined one.

    Raises:
        MachineError: Ray is not installed, or there is no cluster at the address.
    """
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # leave GPU variables alone
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise MachineError(
            "Ray is not installed", hint=f"{install_command('ray')}, on every machine of the cluster"
        ) from error
    if ray.is_initialized():
        return False
    own = {"num_cpus": jobs} if address is None else {}
    try:
        _check_reachable(address)
        ray.init(address=address or "local", include_dashboard=None, log_to_driver=False, **own)
    except (OSError, ValueError, RuntimeError) as error:
        raise MachineError(
            f"no Ray cluster at {address!r}: {str(error).splitlines()[0]}",
            hint="start one with `ray start --head`, or leave out --address to start one here",
        ) from error
    return True


def _check_reachable(address: str | None) -> None:
    """Ray waits for minutes for a cluster that is not there.

    Raises:
        OSError: nobody listens at HOST:PORT.
    """
    host, _, port = (address or "").rpartition(":")
    if host and port.isdecimal() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=_SECONDS_TO_ANSWER).close()


def cluster_cores(address: str | None) -> int:
    """Cores of a cluster. Raises the same errors as `connect`."""
    connect(address)
    import ray

    return max(1, int(ray.cluster_resources().get("CPU", 1)))


def _run(work: Callable[..., object], arguments: tuple[object, ...]) -> object:
    """In a worker. Our errors are returned: Ray would raise others in their place."""
    keep_freed_memory()
    every_core_is_taken()  # a unit is one core's
    try:
        return work(*arguments)
    except VflanError as error:
        return error


def _settle(inner: Future[object], outcome: Future[T]) -> None:
    """Give the outcome what a Ray task returned, or its error; a lost worker is a broken executor."""
    from ray.exceptions import RayError, RayTaskError

    error = inner.exception()
    result = None if error else inner.result()
    if isinstance(result, VflanError):
        outcome.set_exception(result)
    elif isinstance(error, RayTaskError):
        outcome.set_exception(error)
    elif isinstance(error, RayError):
        outcome.set_exception(BrokenExecutor(str(error)))
    elif error:
        outcome.set_exception(error)
    else:
        outcome.set_result(result)  # type: ignore[arg-type]
