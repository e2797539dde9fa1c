"""Processes, devices, and the model cut over them with FSDP2."""

from __future__ import annotations

import os
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

from vision_flan.train.config import Parallel
from vision_flan.train.weights import VISION


def start_processes() -> torch.device:
    """Joins the process group torchrun describes (or makes one of one process); this process's device."""
    local = int(os.environ.get("LOCAL_RANK", "0"))
    for name, value in (
        ("RANK", "0"),
        ("WORLD_SIZE", "1"),
        ("MASTER_ADDR", "127.0.0.1"),
        ("MASTER_PORT", "0"),
    ):
        os.environ.setdefault(name, value)
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", local) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    # gloo beside nccl: checkpoints are written from the CPU while the GPUs go on
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", device_id=device if cuda else None)
    return device


def compute_dtype(parallel: Parallel) -> torch.dtype:
    """Type of activations, and of the weights while a layer runs."""
    return torch.bfloat16 if parallel.precision == "bf16" else torch.float32


def attention_for(parallel: Parallel, device: torch.device) -> str:
    """What keeps packed documents apart: a dense mask on CPU, flex attention on a GPU, or what is asked for.

    On a GPU a dense mask of 16,384 x 16,384 would cost half a gigabyte and all of flash attention's gain.
    """
    if parallel.attention != "auto":
        return parallel.attention
    return "flex_attention" if device.type == "cuda" else "sdpa"


def shard(model: Any, parallel: Parallel, device: torch.device) -> None:
    """Cuts the model over all ranks, still without storage: float32 weights, bf16 compute, float32 reduction.

    - Each decoder layer is a group. Embeddings, head, norm and projector stay in the root's group: tied
      embeddings must share one, and a rank without images still gathers the projector.
    - The vision tower is left out, whole on each rank: transformers reads its hidden states through hooks
      that a sharded module would not run, and it is small.
    - A rank whose rows hold no image reduces zeros for the projector instead of skipping its turn.
    """
    dtype = compute_dtype(parallel)
    model.model.vision_tower.to(dtype)
    policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    for layer in model.model.language_model.layers:
        if parallel.compile:
            layer.compile(backend=parallel.compile)
        fully_shard(layer, mesh=mesh, mp_policy=policy, reshard_after_forward=parallel.reshard_after_forward)
    tower = {p for name, p in model.named_parameters() if name.startswith(VISION)}
    fully_shard(model, mesh=mesh, mp_policy=policy, ignored_params=tower)
    model.set_reduce_scatter_unused_params(True)
