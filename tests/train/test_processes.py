"""Processes wait for a slow one longer than the collective library does, and fail together."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.train.conftest import environment

SCRIPT = """
import datetime, json, os, sys, time
import torch.distributed as dist
from vision_flan.errors import VflanError
from vision_flan.train import processes

rank, port, case = int(sys.argv[1]), sys.argv[2], sys.argv[3]
os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2")
os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
start = dist.init_process_group
dist.init_process_group = lambda *a, **k: start(*a, timeout=datetime.timedelta(seconds=3), **k)
made = processes.start_processes(minutes=5)

def make():
    if rank == 0 and case == "slow":
        time.sleep(8)
    if rank == 0 and case == "fails":
        raise VflanError("no model here", hint="look elsewhere")
    return f"made on {rank}"

try:
    told = [made.first_on_node(make), made.on_main(lambda: f"main is {rank}"), made.gather(rank)]
except VflanError as error:
    told = [str(error)]
print(json.dumps(told))
"""


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("slow", [["made on 0", "main is 0", [0, 1]], ["made on 1", "main is 0", [0, 1]]]),
        ("fails", [["no model here\n  next: look elsewhere"]] * 2),
    ],
)
def test_ranks_wait_for_a_slow_start_and_share_its_error(tmp_path: Path, case: str, expected: object) -> None:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-c", SCRIPT]
    ranks = [
        subprocess.Popen(
            [*command, str(rank), port, case], env=environment(), stdout=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    told = [rank.communicate(timeout=200)[0].splitlines()[-1] for rank in ranks]
    assert [json.loads(line) for line in told] == expected
