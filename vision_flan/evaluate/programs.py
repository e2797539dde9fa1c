"""Commands that run in a process of their own, and end when this one does."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from vision_flan.children import end_with_parent
from vision_flan.errors import Location, VflanError

#: Seconds to wait for what a killed command left running.
PATIENCE = 20.0


def call(
    command: Sequence[str],
    printed: BinaryIO | None = None,
    environment: Mapping[str, str] | None = None,
    held: BinaryIO | None = None,
) -> int:
    """The exit code of a command, which gets SIGTERM when this process ends, even if that is killed.

    Args:
        printed: takes what it prints.
        environment: instead of this process's own.
        held: a lock that the command keeps where it cannot be ended with this process.
    """
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL if printed else None,
        stdout=printed,
        stderr=subprocess.STDOUT if printed else None,
        env=environment,
        pass_fds=[held.fileno()] if held else [],
        preexec_fn=partial(end_with_parent, os.getpid(), signal.SIGTERM),
        check=False,
    ).returncode


@contextmanager
def alone(path: Path, what: str) -> Iterator[BinaryIO]:
    """Hold a lock file.

    Raises:
        VflanError: another process holds it, for longer than a killed one takes to end.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > until:
                    raise VflanError(
                        f"another process is {what}",
                        where=Location(path.parent),
                        hint="wait for it; one that a killed command left behind has to be ended by hand",
                    ) from error
                time.sleep(0.1)
        yield file
