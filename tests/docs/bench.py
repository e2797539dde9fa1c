"""Where the messages of docs/troubleshooting.md are provoked: a folder, a command line, and a register."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.console import COMMAND, ROOT, environment
from tests.hub_server import HubServer
from tests.hub_server.client import ALICE, READER, STRANGER, client_environment
from tests.hub_server.compiled import compile_folder
from tests.raw.http_server import Upstream
from tests.raw.test_fetch import DATASET, zip_at
from tests.toy import Toy
from vision_flan.cli.main import run, vflan


@dataclass
class Bench:
    """An empty folder with the toy dataset below it, and a command line."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    capfd: pytest.CaptureFixture[str]

    def toy(self) -> Toy:
        """The toy dataset, a root of specs whose raw files are in `raw/`."""
        made = Toy(self.folder)
        self.monkeypatch.setenv("VFLAN_ROOT", str(self.folder))
        return made

    def vflan(self, line: str) -> str:
        """Type a command; what it printed."""
        self.capfd.readouterr()
        run(vflan, line.split())
        printed = self.capfd.readouterr()
        return printed.out + printed.err

    def process(self, line: str, before: str = "", env: Mapping[str, str] = {}) -> str:
        """Type a command in a process of its own, in which some Python runs first."""
        command = [*COMMAND[:2], before + COMMAND[2], *line.split()]
        done = subprocess.run(
            command, cwd=self.folder, env=environment(env), capture_output=True, text=True, timeout=120
        )
        return done.stdout + done.stderr

    def without(self, package: str, line: str) -> str:
        """Type a command where a package is not installed."""
        hidden = self.folder / "hidden" / package / "__init__.py"
        hidden.parent.mkdir(parents=True)
        hidden.write_text(f"raise ModuleNotFoundError('No module named {package}', name={package!r})\n")
        path = f"{self.folder / 'hidden'}{os.pathsep}{ROOT}"
        return self.process(line, env={"PYTHONPATH": path})

    def compile(self) -> str:
        """Compile the toy task."""
        return self.vflan("compile --task toy_color")

    def fetch(self, upstream: Upstream, access: str = "direct", **facts: object) -> str:
        """Fetch one file of a dataset from a server."""
        path = self.folder / "task_specs/pets/dataset.yaml"
        path.parent.mkdir(parents=True)
        files = json.dumps([zip_at(upstream, **facts)])
        path.write_text(DATASET.replace("FILES", files).replace("ACCESS", access), "utf-8")
        self.monkeypatch.setenv("VFLAN_ROOT", str(self.folder))
        return self.vflan("fetch pets --raw raw --yes")

    def publish(
        self, *, token: str = ALICE.token, repo: str = "ORG/vision-flan", fault: Mapping[str, Any] = {}
    ) -> str:
        """Publish two tasks to a Hub on this machine; `fault` is its answer to the first commit."""
        folder = compile_folder(self.folder / "vision-flan", {"ocr_one": "yes", "scene_two": "yes"})
        with HubServer(self.folder / "hub", [ALICE, READER, STRANGER]) as hub:
            if fault:
                hub.fail("POST .*/commit/", **fault)
            env = client_environment(hub, self.folder / "home", "lfs", token)
            return self.process(f"publish {folder.name} {repo}", env=env)


Provoke = Callable[[Bench], str]
PROVOKED: dict[str, Provoke] = {}


def entry(heading: str) -> Callable[[Provoke], Provoke]:
    """Registers a function under the heading of its entry."""

    def register(provoke: Provoke) -> Provoke:
        assert heading not in PROVOKED, heading
        PROVOKED[heading] = provoke
        return provoke

    return register
