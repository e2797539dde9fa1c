"""Runs what reads specs and raw files in a process with limits, and waits for it.

A command forks before it has threads (`run_guarded`), and goes on in the child. From Python a function runs
in a new interpreter (`call_guarded`): a fork would copy the threads and locks of a notebook, and the start
methods of multiprocessing would run the user's script a second time.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Concatenate, Final, Literal, ParamSpec, TypeVar, cast

from vision_flan.children import deaf_to_interrupts, end_with_other_end, end_with_parent, without_threads
from vision_flan.errors import ExitCode, Location, MachineError, VflanError
from vision_flan.faults import death, explained, failure
from vision_flan.limits import COMPILING, Limits, Notes, Step, applied, apply, begin_worker, take_notes
from vision_flan.report import Reporter, Silent

P = ParamSpec("P")
T = TypeVar("T")

#: Exit codes that a command gives itself. The C library ends a process with 127 where it cannot go on.
_OWN_CODES = frozenset(range(126)) | {int(code) for code in ExitCode}
_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: Seconds between two looks at the time that a step takes.
_LOOK: Final = 1.0
_START: Final = "from vision_flan.guard import serve; serve()"


@dataclass
class EndedError(Exception):
    """In the parent: how the child ended.

    Attributes:
        code: its exit code, if it ended by itself.
        error: else what to say.
    """

    code: int
    error: VflanError | None = None


def run_guarded(limits: Limits) -> None:
    """Go on in a child process with limits; the parent waits for it. Call it before threads start.

    Returns only in the child, or where processes cannot fork.

    Raises:
        EndedError: in the parent, when the child has ended.
        MachineError: the environment has a limit that cannot be read.
    """
    limits = limits.changed_by(os.environ)
    if not hasattr(os, "fork"):
        return
    gc.freeze()  # the child's searches for garbage would write to the pages that it shares, and copy them
    notes, parent, child = Notes(), os.getpid(), os.fork()
    if child == 0:
        end_with_parent(parent)
        take_notes(notes)
        apply(limits)
        return
    raise _wait(child, notes, limits)


def _wait(child: int, notes: Notes, limits: Limits) -> EndedError:
    late: list[VflanError] = []

    def pass_on(number: int, _frame: object) -> None:
        # a terminal sends Ctrl-C to both
        if number != signal.SIGINT or not any(os.isatty(stream) for stream in (0, 1, 2)):
            os.kill(child, number)

    def look(_number: int, _frame: object) -> None:
        if not late and (error := notes.late()):
            late.append(error)
            os.kill(child, signal.SIGKILL)

    for number in _PASSED_ON:
        if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
            signal.signal(number, pass_on)
    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, _LOOK, _LOOK)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    signal.setitimer(signal.ITIMER_REAL, 0)
    if code in _OWN_CODES:
        return EndedError(code)
    if -code in _PASSED_ON:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return EndedError(1, late[0] if late else death(code, notes.step(), limits))


# ---- from Python


def guarded(
    limits: Limits | Literal["default"] | None,
    report: Reporter | None,
    work: Callable[Concatenate[Reporter, P], T],
    *arguments: P.args,
    **named: P.kwargs,
) -> T:
    """Call `work(report, ...)` as `call_guarded` does, or here: without limits, or where there are some.

    Args:
        limits: "default" takes those of a compile, which the environment may change.

    Raises:
        ValueError: `limits` is something else.
    """
    if limits not in ("default", None) and not isinstance(limits, Limits):
        raise ValueError(f"limits is 'default', None or vision_flan.limits.Limits, not {limits!r}")
    if limits is None or applied():
        return work(report or Silent(), *arguments, **named)
    chosen = limits if isinstance(limits, Limits) else COMPILING.changed_by(os.environ)
    return call_guarded(chosen, report or Silent(), work, *arguments, **named)


def call_guarded(
    limits: Limits, report: Reporter, work: Callable[Concatenate[Reporter, P], T], *arguments: P.args,
    **named: P.kwargs,
) -> T:  # fmt: skip
    """Call `work(report, ...)` in a new interpreter with limits, and wait for it.

    The process ends when this call does, by Ctrl-C and an error of `report` too, and when this process does.

    Args:
        report: receives what `work` reports, in this thread.
        work: a function of a module of this package; arguments, result and errors can be pickled.

    Raises:
        VflanError: it needs more than it may, or a library in it crashed; says what it was working on.
        Exception: what `work` raises.
    """
    with tempfile.TemporaryDirectory(prefix="vflan-") as folder:
        path = Path(folder) / "notes"
        notes = Notes(path)
        process = _interpreter()
        try:
            call = _Call(process, notes, limits, report)
            return cast(T, call.result((path, limits, work, arguments, named)))
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()


def _interpreter() -> subprocess.Popen[bytes]:
    if not sys.executable:
        raise MachineError(
            "there is no Python interpreter to start", hint="pass limits=None to work without limits"
        )
    modules = os.pathsep.join(path or os.curdir for path in sys.path)
    with deaf_to_interrupts():  # the caller gets them, and ends this process
        return subprocess.Popen(
            [sys.executable, "-c", _START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=os.environ | {"PYTHONPATH": modules},
        )


class _Call:
    """A call in another interpreter."""

    def __init__(
        self, process: subprocess.Popen[bytes], notes: Notes, limits: Limits, report: Reporter
    ) -> None:
        self._process, self._notes, self._limits, self._report = process, notes, limits, report
        assert process.stdin is not None and process.stdout is not None
        self._requests = Connection(os.dup(process.stdin.fileno()), readable=False)
        self._answers = Connection(os.dup(process.stdout.fileno()), writable=False)

    def result(self, request: object) -> object:
        """What the call returns. Raises what it raises."""
        with self._requests, self._answers:
            try:
                self._requests.send_bytes(pickle.dumps(request))
                while True:
                    while not self._answers.poll(_LOOK):
                        if error := self._notes.late():
                            raise error
                    kind, content = pickle.loads(self._answers.recv_bytes())
                    if kind == "returned":
                        return content
                    if kind == "raised":
                        raise content
                    message, arguments = content
                    getattr(self._report, message)(*arguments)
            except (EOFError, BrokenPipeError, ConnectionResetError):
                code = self._process.wait()
            raise death(code, self._notes.step(), self._limits)


class _Told:
    """In the other interpreter: what is reported there goes to the one that called."""

    def __init__(self, answers: Connection) -> None:
        self._answers = answers
        self._lock = threading.Lock()

    def stage(self, name: str, total: int | None = None) -> None:
        """A stage starts."""
        self.send("reported", ("stage", (name, total)))

    def advance(self, steps: int, size: int = 0) -> None:
        """Steps done."""
        self.send("reported", ("advance", (steps, size)))

    def note(self, message: str) -> None:
        """Something a user should know."""
        self.send("reported", ("note", (message,)))

    def send(self, kind: str, content: object) -> None:
        """One message, whole, whichever thread sends it."""
        data = pickle.dumps((kind, content))
        with self._lock, suppress(BrokenPipeError):  # the caller is gone, and this process soon
            self._answers.send_bytes(data)


def serve() -> None:
    """In the new interpreter: take one request from standard input, and answer it on standard output."""
    answers = Connection(os.dup(1), readable=False)
    os.dup2(2, 1)  # what libraries print must not come between answers
    requests = Connection(os.dup(0), writable=False)
    with without_threads():  # it may start processes
        path, limits, work, arguments, named = pickle.loads(requests.recv_bytes())
    end_with_other_end(requests.fileno())
    begin_worker(Notes(path), limits)
    told = _Told(answers)
    try:
        told.send("returned", work(told, *arguments, **named))
    except Exception as error:
        if os.environ.get("VFLAN_TRACEBACK"):
            traceback.print_exc()  # it does not travel with the error
        told.send("raised", _portable(explained(error)))


def _portable(error: Exception) -> Exception:
    """The error, or one that says the same where it cannot be sent."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever its class does when it is made again
        return failure(error, Step("working", Location("")))
    return error
