"""Runs `vflan` as a shell does: a process of its own, with real streams."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
COMMAND = [sys.executable, "-c", "from vision_flan.cli.main import main; main()"]


def on_specs(root: Path) -> list[str]:
    """`vflan` on the specs and instructions of a folder, in place of those that ship."""
    return [
        sys.executable,
        "-c",
        "from pathlib import Path\nfrom vision_flan.cli.main import main\n"
        "from vision_flan.spec.catalog import Catalog\n"
        f"root = Path({str(root)!r})\n"
        "Catalog.default = classmethod(lambda cls: cls(root / 'task_specs', root / 'instructions'))\n"
        "main()",
    ]


def environment(changes: Mapping[str, str] = {}) -> dict[str, str]:
    """The environment, with this checkout in front."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **changes}


def vflan(
    *arguments: str | bytes,
    command: list[str] = COMMAND,
    env: Mapping[str, str] = {},
    cwd: Path | None = None,
    stdout: int | None = subprocess.PIPE,
) -> subprocess.CompletedProcess[str]:
    """Run a command and capture what it prints."""
    return subprocess.run(
        [*command, *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=environment(env),
        cwd=cwd,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
    )


def on_terminal(*arguments: str, columns: int, command: list[str] = COMMAND) -> tuple[int, str]:
    """Exit code of a command, and what it shows on a terminal of some width."""
    ours, theirs = pty.openpty()
    changes = {"TERM": "xterm-256color", "COLUMNS": str(columns)}
    with subprocess.Popen(
        [*command, *arguments], stdout=theirs, stderr=theirs, env=environment(changes)
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:
                break  # Linux's way to say that the other end is closed
            if not piece:
                break
            shown += piece
        os.close(ours)
        return process.wait(), shown.decode("utf-8")
