"""Runs the ```console blocks of a document and compares what they print with what it shows.

Lines that begin with `$ ` are commands, those below them their output, in which `...` stands for anything and
runs of spaces count as one. All blocks of a document run in one folder, one after another.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vision_flan.versions import untested_notice

_BLOCK = re.compile(r"^```(console[^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Example:
    """A command and the output a document shows for it."""

    line: int
    command: str
    output: str


def examples(document: Path, kind: str = "console") -> Iterator[Example]:
    """The examples of a document in order.

    Args:
        kind: what follows the fence; a block that needs a server names it there, as `console s3`.
    """
    text = document.read_text("utf-8")
    for block in _BLOCK.finditer(text):
        if block.group(1) != kind:
            continue
        line = text[: block.start()].count("\n") + 1
        command, output = "", []
        begun = line
        for number, row in enumerate(block.group(2).splitlines(), start=line + 1):
            if row.startswith("$ "):
                if command:
                    yield Example(begun, command, "\n".join(output))
                command, output, begun = row[2:], [], number
            elif command.endswith("\\"):
                command = f"{command}\n{row}"
            else:
                output.append(row)
        if command:
            yield Example(begun, command, "\n".join(output))


def run(command: str, folder: Path, environment: dict[str, str] | None = None) -> tuple[str, int]:
    """What a command prints on both streams, and its exit code.

    Documents show what the tested versions print: the line that says there are others is left out.
    """
    scripts = str(Path(sys.executable).parent)
    env = os.environ | {
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(folder / ".hf"),
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "COLUMNS": "100",
    }
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=env | (environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    notice = untested_notice()
    printed = done.stdout.replace(f"{notice}\n", "") if notice else done.stdout
    return printed, done.returncode


#: The size of files changes with every word of an instruction; a document shows one that was printed once.
_SIZE = re.compile(r"(?:\b\d+(?:\.\d+)?|\.\.\.) (?:bytes|[kMG]B)\b")


def matches(shown: str, printed: str) -> bool:
    """Whether output is as shown; `...` stands for anything, and a size in bytes may be another one."""
    shown, printed = (_SIZE.sub("SIZE", " ".join(text.split())) for text in (shown, printed))
    pattern = ".*".join(re.escape(part.strip()) for part in shown.split("..."))
    return re.fullmatch(pattern.strip(), printed, re.DOTALL) is not None
