"""What 186 further configs cost at a load: `python -m tests.benchmarks.card_cost`.

The card is YAML that `datasets` reads at every load, for all configs. One task is loaded for the first
time, with an empty cache, from a folder of 187 tasks and from one that has it alone; then the same from the
test Hub. Each load is a process of its own; `import datasets` is not counted. Exit code 1 if the further
configs cost more than they may.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import click
from huggingface_hub import HfApi
from huggingface_hub.utils import disable_progress_bars

from tests.hub_server import HubServer
from tests.hub_server.client import ALICE
from tests.hub_server.compiled import compile_folder
from tests.hub_server.publishing import Publish

CONFIGS, ROWS = 187, 2
TASK = "task_093"
#: Seconds that the further configs may cost.
MOST = 0.3

LOAD = """
import datasets, json, sys, time
datasets.disable_progress_bars()
wall, cpu = time.perf_counter(), time.process_time()
rows = len(datasets.load_dataset(sys.argv[1], sys.argv[2], split="train"))
print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu, rows]))
"""


class Cost(NamedTuple):
    """Seconds of one load."""

    wall: float
    cpu: float


def first_load(source: str, home: Path, environment: dict[str, str]) -> Cost:
    """Load the task in a process with an empty cache.

    Raises:
        subprocess.CalledProcessError: it does not load.
    """
    with tempfile.TemporaryDirectory(dir=home) as cache:
        environment = {**os.environ, "HF_HOME": cache, "HF_HUB_DISABLE_TELEMETRY": "1", **environment}
        command = [sys.executable, "-c", LOAD, source, TASK]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    wall, cpu, rows = json.loads(done.stdout)
    assert rows == ROWS
    return Cost(wall, cpu)


def costs(sources: Mapping[str, str], environment: dict[str, str], home: Path, rounds: int) -> list[Cost]:
    """The least cost of each source; they take turns, so that what else the machine does meets all alike."""
    found: dict[str, list[Cost]] = {name: [] for name in sources}
    for _ in range(rounds):
        for name, source in sources.items():
            found[name].append(first_load(source, home, environment))
    return [Cost(*map(min, zip(*loads, strict=True))) for loads in found.values()]


@click.command()
@click.option("--rounds", default=5, show_default=True, help="Loads of each; the least counts.")
def main(rounds: int) -> None:
    """Measure, and print a table."""
    disable_progress_bars()
    with tempfile.TemporaryDirectory() as temporary, HubServer(Path(temporary, "hub"), [ALICE]) as hub:
        root = Path(temporary)
        names = [f"task_{at:03}" for at in range(CONFIGS)]
        folders = {
            "one": compile_folder(root / "one", {TASK: "yes"}, rows=ROWS),
            "many": compile_folder(root / "many", dict.fromkeys(names, "yes"), rows=ROWS),
        }
        publish = Publish(HfApi(endpoint=hub.url, token=ALICE.token))
        for name, folder in folders.items():
            publish(folder, repo_id=f"ORG/{name}")
        block = (folders["many"] / "README.md").read_text("utf-8").split("---\n")[1]
        click.echo(f"front matter of {CONFIGS} configs: {len(block.encode()) / 1e3:.0f} kB")
        click.echo(f"| seconds (CPU) | 1 config | {CONFIGS} configs | more |\n|---|---:|---:|---:|")
        there = {"HF_ENDPOINT": hub.url, "HF_TOKEN": ALICE.token}
        local = costs({name: str(folder) for name, folder in folders.items()}, {}, root, rounds)
        remote = costs({name: f"ORG/{name}" for name in folders}, there, root, rounds)
    over = [row("from a folder", *local), row("from the test Hub", *remote)]
    sys.exit(any(over))


def row(what: str, one: Cost, many: Cost) -> bool:
    """Print a row; whether the further configs cost too much CPU time. The clock's depends on the machine."""
    more = Cost(many.wall - one.wall, many.cpu - one.cpu)
    cells = " | ".join(f"{cost.wall:.2f} ({cost.cpu:.2f})" for cost in (one, many, more))
    click.echo(f"| first load {what} | {cells} |")
    return more.cpu > MOST


if __name__ == "__main__":
    main()
