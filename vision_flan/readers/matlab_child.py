"""Parses .mat files in a process of its own: a damaged file can crash the libraries in C that read it.

One child serves all files of a run, since starting it takes half a second. It has the limits of this process,
for each file, and ends with it. Requests and answers are pickles between processes of ours; what a file
makes of the child ends there, as an error of that file.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from vision_flan import limits
from vision_flan.children import end_with_other_end

_START = """\
from vision_flan.readers.matlab_child import serve
from vision_flan.readers.matlab_file import parse
serve(parse, ALIVE)
"""


class CrashError(Exception):
    """The parser's process ended while it read a file.

    Attributes:
        code: its exit code, negative for a signal.
    """

    def __init__(self, code: int) -> None:
        time = code == -signal.SIGXCPU
        super().__init__(
            "it takes more processor time than it may" if time else "it crashes the library that reads it"
        )
        self.code = code


class MatlabParser:
    """A child process that parses; it starts with the first file, and again after a crash."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._life = -1
        self._lock = threading.Lock()

    def parse(self, data: bytes, variable: str | None) -> Any:
        """What `matlab_file.parse` gives for a file.

        Raises:
            CrashError: the file crashed the parser.
            Exception: as `matlab_file.parse` raised it.
        """
        with self._lock:
            try:
                is_error, answer = self._asked(data, variable)
            except CrashError as error:
                if error.code != -signal.SIGKILL:
                    raise
                # the system may have killed it for the memory of another, so it is tried once more
                is_error, answer = self._asked(data, variable)
        if is_error:
            raise answer
        return answer

    def _asked(self, data: bytes, variable: str | None) -> tuple[bool, Any]:
        process = self._running()
        assert process.stdin is not None and process.stdout is not None
        try:
            pickle.dump((data, variable), process.stdin, pickle.HIGHEST_PROTOCOL)
            process.stdin.flush()
            answer: tuple[bool, Any] = pickle.load(process.stdout)
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            raise CrashError(self._stop()) from error
        return answer

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._stop()
            environment = os.environ | {"PYTHONPATH": os.pathsep.join(path or os.curdir for path in sys.path)}
            alive, self._life = os.pipe()
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-c", _START.replace("ALIVE", str(alive))],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    pass_fds=[alive],
                    env=environment,
                )
            finally:
                os.close(alive)
            assert self._process.stdin is not None
            pickle.dump(limits.current() if limits.applied() else None, self._process.stdin)
        return self._process

    def _stop(self) -> int:
        """End it; its exit code."""
        process, self._process = self._process, None
        code = 0
        if process is not None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(1)  # it has ended, and says how
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(OSError):  # what was left to send cannot be sent any more
                        pipe.close()
            process.kill()
            code = process.wait()
        if self._life >= 0:
            os.close(self._life)
            self._life = -1
        return code


def serve(parse: Callable[[bytes, str | None], Any], alive: int) -> None:
    """Answer requests on standard input until it ends; for the child.

    Args:
        alive: a pipe whose other end closes when the parent ends.
    """
    end_with_other_end(alive)
    allowed = pickle.load(sys.stdin.buffer)
    if allowed is not None:
        limits.apply(allowed)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # libraries that print must not print between answers
    while True:
        try:
            data, variable = pickle.load(sys.stdin.buffer)
        except (EOFError, OSError):
            return
        limits.renew()
        answer: tuple[bool, Any]
        try:
            answer = False, parse(data, variable)
        except Exception as error:  # parsers raise anything for damaged files
            answer = True, error
        try:
            text = pickle.dumps(answer, pickle.HIGHEST_PROTOCOL)
            pickle.loads(text) if answer[0] else None
        except Exception:  # an error that no pickle holds
            text = pickle.dumps((True, ValueError(f"{type(answer[1]).__name__}: {answer[1]}")))
        answers.write(text)
        answers.flush()
