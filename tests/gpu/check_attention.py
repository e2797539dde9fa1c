"""Whether the attentions of a GPU agree on packed rows: `python -m tests.gpu.check_attention`.

Two layers at LLaVA-7B's widths in bf16, not compiled. Loss and gradient of `varlen` and of flex attention
are compared with those of a dense mask: the relative difference is to be some thousandths, which is bf16's.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from tests.gpu.bench_train import QUESTION, architecture, draw_corpus, random_model
from vision_flan.train.config import Config, Data, Parallel
from vision_flan.train.corpus import open_corpus
from vision_flan.train.loop import Parts, open_steps
from vision_flan.train.processes import Processes, start_processes
from vision_flan.train.tiny import make_tokenizer
from vision_flan.train.update import row_loss
from vision_flan.train.weights import Weights

ALLOWED = 0.02


def computed(attention: str, root: Path, processes: Processes) -> list[Tensor]:
    """Losses of a row, and gradients of the first layer's query and of the projector."""
    torch.manual_seed(0)
    tokenizer = make_tokenizer([QUESTION])
    wanted = architecture(tokenizer, 2, tiny=False)
    config = Config(data=Data(root=str(root), workers=0), parallel=Parallel(attention=attention))
    corpus = open_corpus(config.data, config.seed)
    step = open_steps(config, corpus, Parts(wanted, tokenizer, Weights({})), processes).of(
        0, corpus.mixture.step(0, 12)
    )
    llava = random_model(config, wanted, processes)
    loss = row_loss(llava, step.rows[0], processes.device, torch.bfloat16)
    loss.sum().backward()
    wanted_of = ("language_model.layers.0.self_attn.q_proj", "projector.linear_1.weight")
    gradients = [p.grad for name, p in llava.named_parameters() if any(part in name for part in wanted_of)]
    return [loss.detach(), *(one.full_tensor() for one in gradients if isinstance(one, DTensor))]


def main() -> int:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter).parse_args()
    processes, worst = start_processes(), 0.0
    with tempfile.TemporaryDirectory() as scratch:
        root = draw_corpus(Path(scratch) / "data", 12)
        dense = computed("sdpa", root, processes)
        for attention in ("varlen", "flex_attention"):
            found = computed(attention, root, processes)
            away = [float((a - b).norm() / b.norm()) for a, b in zip(found, dense, strict=True)]
            print(f"{attention}: loss and gradients differ by", *(f"{one:.5f}" for one in away), flush=True)
            worst = max(worst, *away)
    torch.distributed.destroy_process_group()
    return int(not worst < ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
