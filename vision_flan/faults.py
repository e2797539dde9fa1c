"""Errors of ours for what nothing foresaw: an exception of a library, a process that died."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

from vision_flan.errors import BadRawError, Location, SpecError, VflanError
from vision_flan.limits import GIB, Limits, Step, current, current_step

_CRASHES = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE})


def death(code: int, step: Step | None, limits: Limits | None = None) -> VflanError:
    """The error that says why a worker died.

    Args:
        code: its exit code, negative for a signal.
        step: what it was working on.
        limits: those it had.
    """
    limits, step = limits or current(), step or Step("starting", Location(""))
    if code == -signal.SIGXCPU:
        return step.too_much(f"more than {limits.cpu:,} s of processor time", "cpu")
    if code == -signal.SIGKILL:
        return step.too_much("the system ended the process, most likely for its memory,", "memory")
    if -code in _CRASHES:
        return step.too_much(f"a library crashed ({signal.Signals(-code).name})")
    return step.too_much(f"the process ended with code {code}")


@dataclass(frozen=True)
class Death:
    """Why a worker of a pool died; not `certain` if the system may have killed it for another's memory."""

    error: VflanError
    certain: bool


def explained(error: Exception) -> Exception:
    """An exception of this thread as one of ours, with what it was doing; ours and the system's stay.

    Raises:
        KeyboardInterrupt: Ctrl-C stopped DuckDB, which makes another error of it.
    """
    if type(error) is RuntimeError and str(error) == "Query interrupted":
        raise KeyboardInterrupt from error
    step = current_step()
    if isinstance(error, MemoryError):
        return out_of_memory(step)
    if isinstance(error, VflanError | OSError) or step is None or os.environ.get("VFLAN_TRACEBACK"):
        return error
    return failure(error, step)


def out_of_memory(step: Step | None) -> VflanError:
    """The error of a process that reached its limit of memory."""
    step = step or Step("starting", Location(""))
    return step.too_much(f"more than {current().memory / GIB:.1f} GiB of memory", "memory")


def failure(error: Exception, step: Step) -> VflanError:
    """The error for an exception that nothing foresaw: a fault of ours, found by a file or a spec."""
    kind = BadRawError if step.of_raw else SpecError
    said = (
        "it is nested too deeply" if isinstance(error, RecursionError) else f"{type(error).__name__}: {error}"
    )
    return kind(
        f"unexpected while {step.what}: {said[:500]}",
        where=step.place,
        hint="please report it, with what VFLAN_TRACEBACK=1 shows",
    )
