"""Users of the test Hub, and fresh processes that talk to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from .server import HubServer
from .store import User

ALICE = User("alice", "hf_alice", orgs={"ORG": "admin"})
BOB = User("bob", "hf_bob", orgs={"ORG": "write"})
READER = User("reader", "hf_reader", role="read", orgs={"ORG": "write"})
STRANGER = User("stranger", "hf_stranger")

#: Threads of libraries may run on at a script's end; taking them down has aborted a process.
AND_END = "\nimport os, sys; sys.stdout.flush(); os._exit(0)\n"


def client_environment(hub: HubServer, home: Path, transport: str, token: str = "hf_alice") -> dict[str, str]:
    """Environment of a fresh process that talks only to the test Hub."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    switches = {"HF_HUB_DISABLE_XET": "1"} if transport == "lfs" else {}
    return {
        **kept,
        **switches,
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(home),
        "HF_TOKEN": token,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }


class Client:
    """Runs Python in fresh processes, as a user of the Hub does; the script prints JSON last."""

    def __init__(self, hub: HubServer, home: Path, transport: str) -> None:
        self.environment = client_environment(hub, home, transport)

    def run(self, script: str, *arguments: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-c", script + AND_END, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])
