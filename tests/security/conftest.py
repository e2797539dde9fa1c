from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.cli.console import ROOT, environment
from tests.toy import Toy

SECRET = "the-content-of-a-file-of-the-user"
#: Far below the usual limits, so that a stall ends soon.
LIMITS = {
    "VFLAN_LIMIT_MEMORY": "2G",
    "VFLAN_LIMIT_FILE": "200M",
    "VFLAN_LIMIT_SPILL": "50M",
    "VFLAN_LIMIT_CPU": "8",
    "VFLAN_LIMIT_WALL": "40",
    "VFLAN_LIMIT_SQL": "4",
}


class Victim(Toy):
    """The toy dataset in a folder beside a file of the user, and `vflan` run on it."""

    def __init__(self, root: Path, warm: subprocess.Popen[str]) -> None:
        super().__init__(root / "repository", count=6)
        self._warm = warm
        self.home = root / "home"
        self.home.mkdir()
        self.secret = self.home / "id_rsa"
        self.secret.write_text(SECRET)
        (self.root / "here").mkdir()

    def vflan(self, *arguments: str) -> tuple[int, str]:
        """The exit code of a command, and all it said."""
        assert self._warm.stdin is not None and self._warm.stdout is not None
        request = {"root": str(self.root), "arguments": arguments, "limits": LIMITS}
        self._warm.stdin.write(json.dumps(request) + "\n")
        self._warm.stdin.flush()
        code = int(json.loads(self._warm.stdout.readline())["code"])
        said = [(self.root / name).read_text("utf-8", "replace") for name in ("stdout", "stderr")]
        return code, "".join(said)

    def compiled(self) -> tuple[int, str]:
        """`vflan compile` of the task."""
        return self.vflan("compile", "--task", "toy_color", "--raw", str(self.raw), "--out", str(self.out))

    def is_unharmed(self) -> None:
        """Nothing of the user was written, and nothing of it came out."""
        assert [path.name for path in sorted(self.home.rglob("*"))] == ["id_rsa"]
        assert self.secret.read_text() == SECRET
        assert not list((self.root / "here").rglob("*.part"))
        for folder in (self.out, self.root / "here"):
            for path in folder.rglob("*"):
                if path.is_file():
                    assert SECRET.encode() not in path.read_bytes(), path

    def refuses(self, *arguments: str, saying: str | Sequence[str] = (), code: int = 1) -> str:
        """A command ends with a code (1: the spec, 4: a raw file) and a message, and nothing came of it."""
        ended, said = self.vflan(*arguments) if arguments else self.compiled()
        assert ended == code, said
        assert said.strip()
        assert "Traceback" not in said
        assert SECRET not in said
        assert not (self.out / "toy_color").exists()
        for text in [saying] if isinstance(saying, str) else saying:
            assert text in said
        self.is_unharmed()
        return said


@pytest.fixture(scope="session")
def warm() -> Iterator[subprocess.Popen[str]]:
    """The interpreter that forks commands."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.security.warm"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment({"PYTHONWARNINGS": "ignore", "TMPDIR": os.environ.get("TMPDIR", "/tmp")}),
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def victim(tmp_path: Path, warm: subprocess.Popen[str]) -> Victim:
    return Victim(tmp_path, warm)


def until(true: Callable[[], bool]) -> None:
    """Wait for something, at most half a minute."""
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)
