"""The state of a run over many tasks, and its events for a log, for lines and for machines.

A `Run` is told what happens and passes each event on; what is shown is computed from its state.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from vision_flan.build.job import Result
from vision_flan.build.many import Outcome
from vision_flan.cli.output import facts_of
from vision_flan.errors import VflanError
from vision_flan.report import WRITING, Reporter, counted, duration, human_bytes

#: Seconds between two events `progress`.
PROGRESS_EVERY = 10.0

#: An event: its name under `event`, the seconds since the start under `at`, and what it says.
Event = Mapping[str, object]
Sink = Callable[[Event], None]


@dataclass
class Running:
    """A task at work.

    Attributes:
        stage: what it does now, with `done` of `total` steps.
        writes: whether the steps are instances.
    """

    stage: str = ""
    total: int | None = None
    done: int = 0
    writes: bool = False
    began: float = field(default_factory=time.monotonic)


class Run:
    """What became of each task so far. May be told from several threads.

    Args:
        expected: task -> instances it will have at most, in the order of the run.
        sinks: receive the events.
    """

    def __init__(self, expected: Mapping[str, int], sinks: Sequence[Sink]) -> None:
        self.expected = dict(expected)
        self.running: dict[str, Running] = {}
        self.built: dict[str, Result] = {}
        self.failed: dict[str, VflanError] = {}
        self.dropped: Counter[str] = Counter()
        self.bytes = 0
        self._written = 0
        self._sinks = sinks
        self._began = self._told = time.monotonic()
        self._lock = threading.Lock()
        self._event("start", tasks=len(self.expected), instances=sum(self.expected.values()))

    @property
    def waiting(self) -> int:
        """Tasks that have not started."""
        return len(self.expected) - len(self.running) - len(self.built) - len(self.failed)

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._began

    @property
    def instances(self) -> int:
        """Instances of the configs that are done, and those written of the others."""
        done = sum(result.manifest.rows for result in self.built.values())
        return done + sum(one.done for one in list(self.running.values()) if one.writes)

    @property
    def bytes_per_second(self) -> float:
        """Image and text bytes written since the start."""
        return self.bytes / max(self.seconds, 1e-9)

    @property
    def seconds_left(self) -> float | None:
        """From the instances per second so far; None as long as none is written.

        A task that waits is expected to yield what those that ended yielded, in proportion: the raw files of
        some may be missing, or fewer than upstream's.
        """
        if not self._written:
            return None
        rows = sum(result.manifest.rows for result in self.built.values())
        promised = sum(self.expected[task] for task in (*self.built, *self.failed))
        share = min(rows / promised, 1.0) if rows and promised else 1.0
        left = 0.0
        for task, count in self.expected.items():
            if task in self.built or task in self.failed:
                continue
            one = self.running.get(task)
            if one is not None and one.writes:
                left += max((count * share if one.total is None else one.total) - one.done, 0)
            else:
                left += count * share
        return left * self.seconds / self._written

    @contextmanager
    def task(self, name: str) -> Iterator[Reporter]:
        """A task runs; its reporter."""
        with self._lock:
            self.running[name] = Running()
        self._event("task", task=name)
        yield _TaskReporter(self, name)

    def ended(self, outcome: Outcome) -> None:
        """A task was compiled, was up to date, or failed."""
        with self._lock:
            one = self.running.pop(outcome.task, Running())
        seconds = round(time.monotonic() - one.began, 1)
        if outcome.error:
            self.failed[outcome.task] = outcome.error
            self._event("failed", task=outcome.task, seconds=seconds, error=facts_of(outcome.error))
        elif outcome.result:
            self.built[outcome.task] = outcome.result
            counts = outcome.result.manifest.counts
            self.dropped.update(counts["dropped"])
            facts = {"built": outcome.result.built, "instances": outcome.result.manifest.rows}
            self._event("done", task=outcome.task, seconds=seconds, **facts, dropped=dict(counts["dropped"]))

    def end(self) -> None:
        """The last event."""
        self._event("end", **self._facts())

    def stage(self, task: str, name: str, total: int | None) -> None:
        """A task starts a stage."""
        with self._lock:
            began = self.running[task].began
            self.running[task] = Running(name, total, writes=name.startswith(WRITING), began=began)
        self._event("stage", task=task, stage=name, total=total)

    def advance(self, task: str, steps: int, size: int) -> None:
        """Steps of a task's stage."""
        with self._lock:
            one = self.running[task]
            one.done += steps
            self.bytes += size
            self._written += steps if one.writes else 0
            tell = time.monotonic() - self._told >= PROGRESS_EVERY
            if tell:
                self._told = time.monotonic()
        if tell:
            self._event("progress", **self._facts())

    def note(self, task: str, message: str) -> None:
        """Something a user should know of a task."""
        self._event("note", task=task, message=message)

    def _facts(self) -> dict[str, object]:
        return {
            "done": len(self.built),
            "running": list(self.running),
            "waiting": self.waiting,
            "failed": len(self.failed),
            "instances": self.instances,
            "bytes_per_second": round(self.bytes_per_second),
            "seconds_left": None if self.seconds_left is None else round(self.seconds_left),
            "dropped": dict(self.dropped),
        }

    def _event(self, name: str, **facts: object) -> None:
        event = {"event": name, "at": round(self.seconds, 1), **facts}
        for sink in self._sinks:
            sink(event)


@dataclass(frozen=True)
class _TaskReporter:
    """The reporter of one task of a run."""

    run: Run
    task: str

    def stage(self, name: str, total: int | None = None) -> None:
        """A stage starts."""
        self.run.stage(self.task, name, total)

    def advance(self, steps: int, size: int = 0) -> None:
        """Steps done."""
        self.run.advance(self.task, steps, size)

    def note(self, message: str) -> None:
        """Something a user should know."""
        self.run.note(self.task, message)


def headline(run: Run) -> str:
    """Where a run is, on one line."""
    left = "" if run.seconds_left is None else f", {duration(run.seconds_left)} left"
    dropped = f", {sum(run.dropped.values()):,} dropped" if run.dropped else ""
    rate = f", {human_bytes(run.bytes_per_second)}/s" if run.bytes else ""
    return (
        f"{len(run.built)} done, {len(run.running)} running, {run.waiting} waiting, "
        f"{len(run.failed)} cannot be built: {run.instances:,} instances{rate}{dropped}{left}"
    )


def line_of(event: Event) -> str:
    """An event as a line of a log; "" for those that say nothing to a person."""
    task = event.get("task", "")
    match event["event"]:
        case "note":
            return f"{task}: {event['message']}"
        case "stage":
            total = event["total"]
            return f"{task}: {event['stage']}" + (f", {total:,}" if isinstance(total, int) else "")
        case "failed":
            error = event["error"]
            assert isinstance(error, Mapping)
            return f"{task} cannot be built: {str(error['message']).splitlines()[0]}"
        case "done":
            state = "built" if event["built"] else "up to date"
            return f"{task}: {state}, {event['instances']:,} instances in {event['seconds']} s"
        case "start":
            return f"{counted(int(str(event['tasks'])), 'task')}, up to {event['instances']:,} instances"
    return ""
