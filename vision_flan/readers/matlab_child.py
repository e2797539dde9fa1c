"""Parses .mat files in a process of its own: a damaged file can crash the libraries in C that read it.

One child serves all files of a run, since starting it takes half a second. Requests and answers are pickles
between processes of ours; what a file makes of the child ends there, as an error of that file.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_START = """\
from vision_flan.readers.matlab_child import serve
from vision_flan.readers.matlab_file import parse
serve(parse)
"""


class CrashError(Exception):
    """The parser's process ended while it read a file."""


class MatlabParser:
    """A child process that parses; it starts with the first file, and again after a crash."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def parse(self, data: bytes, variable: str | None) -> Any:
        """What `matlab_file.parse` gives for a file.

        Raises:
            CrashError: the file crashed the parser.
            Exception: as `matlab_file.parse` raised it.
        """
        with self._lock:
            process = self._running()
            assert process.stdin is not None and process.stdout is not None
            try:
                pickle.dump((data, variable), process.stdin, pickle.HIGHEST_PROTOCOL)
                process.stdin.flush()
                is_error, answer = pickle.load(process.stdout)
            except (OSError, EOFError, pickle.UnpicklingError) as error:
                self._stop()
                raise CrashError("it crashes the library that reads it") from error
        if is_error:
            raise answer
        return answer

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._stop()
            environment = os.environ | {"PYTHONPATH": os.pathsep.join(path or os.curdir for path in sys.path)}
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
            )
        return self._process

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(OSError):  # what was left to send cannot be sent any more
                        pipe.close()
            process.kill()
            process.wait()


def serve(parse: Callable[[bytes, str | None], Any]) -> None:
    """Answer requests on standard input until it ends; for the child."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # libraries that print must not print between answers
    while True:
        try:
            data, variable = pickle.load(sys.stdin.buffer)
        except (EOFError, OSError):
            return
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
