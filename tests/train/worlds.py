"""Runs the trainer on several ranks, several times, after one import: forks instead of launching anew.

    python worlds.py '[{"ranks": 2, "recipe": "tiny_cpu", "overrides": ["train.steps=5"]}]'

Prints one JSON list: for each run the exit codes of its ranks. The parent never computes, so forking is safe.
"""

import json
import os
import signal
import socket
import sys
import traceback

import torch
import transformers  # noqa: F401  imported once, for all forks

from vision_flan.errors import VflanError
from vision_flan.train.loop import run
from vision_flan.train.recipe import load


def rank_main(rank: int, ranks: int, port: int, recipe: str, overrides: list[str]) -> int:
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(ranks))
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    try:
        run(load(recipe, overrides))
    except VflanError as error:
        print(f"error: {error}", file=sys.stderr)
        return int(error.exit_code)
    except BaseException:
        traceback.print_exc()
        return 99
    return 0


def world(ranks: int, recipe: str, overrides: list[str]) -> list[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = {}
    for rank in range(ranks):
        child = os.fork()
        if not child:
            code = rank_main(rank, ranks, port, recipe, overrides)
            sys.stderr.flush()
            os._exit(code)
        children[child] = rank
    codes = [0] * ranks
    while children:
        child, status = os.wait()
        codes[children.pop(child)] = code = os.waitstatus_to_exitcode(status)
        if code > 0:  # as torchrun does: the others would wait for it for ever
            for other in children:
                os.kill(other, signal.SIGKILL)
    return codes


if __name__ == "__main__":
    print(
        json.dumps([world(job["ranks"], job["recipe"], job["overrides"]) for job in json.loads(sys.argv[1])])
    )
