"""One real step of a tiny model on several processes, and what they sent each other.

    python collectives.py MODEL '[{"ranks": 2, "recipe": "tiny_cpu", "overrides": [], "rows": 1}]'

Prints one JSON list: for each job {kind: [count, bytes]} of rank 0. The parent never computes, so forking
is safe.
"""

import json
import os
import socket
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from vision_flan.train.batches import Row, Step
from vision_flan.train.collectives import Collectives
from vision_flan.train.config import Config
from vision_flan.train.corpus import Sample
from vision_flan.train.loop import Parts, build
from vision_flan.train.model import patches_of, read_init, side_of
from vision_flan.train.processes import start_processes
from vision_flan.train.recipe import load
from vision_flan.train.update import make_optimizer, update


def row_of(parts: Parts) -> Row:
    config = parts.architecture
    patches, side, text = patches_of(config), side_of(config), 20
    return Row(
        token_ids=torch.tensor([config.image_token_id] * patches + [5] * text),
        positions=torch.arange(patches + text),
        predicting=torch.arange(patches, patches + text - 1),
        labels=torch.full((text - 1,), 5),
        sample=torch.zeros(text - 1, dtype=torch.int64),
        images=torch.zeros(1, side, side, 3, dtype=torch.uint8),
        padding=0,
        lengths=(patches + text,),
    )


def sent_by(config: Config, rows: int) -> dict[str, list[int]]:
    processes = start_processes()
    parts = Parts(*read_init(config.init))
    model = build(config, parts, processes)
    optimizer = make_optimizer(model.llava, config.train, processes.device)
    samples = [Sample("", "", "", "", "", has_image=True)] * config.train.batch
    supervised = (1,) * config.train.batch
    step = Step(0, [row_of(parts)] * rows, samples, supervised, 1, 1, 0)
    with Collectives() as counted:
        update(model.llava, optimizer, step, 0.0, config).read()
    dist.destroy_process_group()
    return {kind: [sent.count, sent.bytes] for kind, sent in counted.sent.items()}


def job(model: Path, ranks: int, recipe: str, overrides: list[str], rows: int) -> dict[str, list[int]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    read, write = os.pipe()
    children = []
    for rank in range(ranks):
        child = os.fork()
        if not child:
            os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(ranks))
            os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
            torch.set_num_threads(1)
            config = load(recipe, [*overrides, "init.tiny=false", f"init.from={model}"])
            sent = sent_by(config, rows)
            if rank == 0:
                os.write(write, json.dumps(sent).encode())
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * ranks
    os.close(write)
    with os.fdopen(read) as pipe:
        found: dict[str, list[int]] = json.load(pipe)
    return found


if __name__ == "__main__":
    print(json.dumps([job(Path(sys.argv[1]), **asked) for asked in json.loads(sys.argv[2])]))
