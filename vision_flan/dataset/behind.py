"""A thread that does work in order while its owner goes on: rows are written while the next are made.

Encoding, hashing and writing release the interpreter's lock, so one process does both at one time. Where each
core has a process of its own, a second thread costs a tenth of the time and gains nothing, so the owner does
the work itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

#: Calls that may wait or run. Each holds a row group of up to 64 MB.
AHEAD = 2


_free_core = True


def every_core_is_taken() -> None:
    """In a process beside which others take all other cores: it has no core for a second thread."""
    global _free_core
    _free_core = False


def has_free_core() -> bool:
    """Whether this process may have a core for a second thread."""
    return _free_core


class Behind:
    """Runs calls one after another in a thread of its own. After a call failed, its error is raised by the
    next `run`, or by `wait`, and no further call is run.

    Args:
        apart: False runs each call at once, in the thread that asks for it.
        ahead: calls that may wait or run; None for calls that hold little, any number of which may wait, in a
            thread of their own whether or not there is a core for it: who asks has other work.

    Attributes:
        apart: whether it has a thread.
    """

    def __init__(self, *, apart: bool = True, ahead: int | None = AHEAD) -> None:
        self.apart = apart and (_free_core or ahead is None)
        self._ahead = ahead
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="behind")
        self._calls: deque[Future[None]] = deque()
        self._failed = False

    def run(self, call: Callable[[], None]) -> None:
        """Run it after the calls before; waits while as many as may be ahead are not done. Raises an earlier
        call's error."""
        if not self.apart:
            call()
            return
        while self._calls and (self._calls[0].done() or len(self._calls) == self._ahead):
            self._calls.popleft().result()
        self._calls.append(self._thread.submit(self._run, call))

    def wait(self) -> None:
        """Wait for all calls. Raises the error of one that failed."""
        while self._calls:
            self._calls.popleft().result()

    def close(self) -> None:
        """End the thread, after the call that runs. Raises nothing."""
        for call in self._calls:
            call.cancel()
        self._calls.clear()
        self._thread.shutdown(wait=True)

    def _run(self, call: Callable[[], None]) -> None:
        if not self._failed:
            self._failed = True  # until it has returned
            call()
            self._failed = False
