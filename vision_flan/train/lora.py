"""Low-rank adapters of the LLM by peft: only they and the projector learn."""

from __future__ import annotations

import hashlib
import math

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from transformers import LlavaForConditionalGeneration

from vision_flan.errors import install_command
from vision_flan.train.config import ConfigError, Lora

_BASE, _DOWN, _UP = ".base_layer.", ".lora_A.default.", ".lora_B.default."


def add_adapters(model: LlavaForConditionalGeneration, lora: Lora) -> None:
    """Puts adapters beside the LLM's linear layers and freezes everything in it but them.

    Raises:
        ConfigError: peft is not installed, or `train.lora.targets` names no layer.
    """
    if not lora.r:
        return
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ModuleNotFoundError as error:
        raise ConfigError("train.lora.r needs peft", hint=install_command("lora")) from error
    settings = LoraConfig(r=lora.r, lora_alpha=lora.alpha, target_modules=list(lora.targets))  # type: ignore[arg-type,unused-ignore]
    try:
        with torch.device("meta"):
            inject_adapter_in_model(settings, model.model.language_model)
    except ValueError as error:
        raise ConfigError(f"train.lora.targets: {error}") from error
    for name, parameter in model.model.language_model.named_parameters():
        parameter.requires_grad_(".lora_" in name)
    model.lm_head.requires_grad_(False)


def plain_name(name: str) -> str:
    """The name of a weight without what peft has put in between."""
    return name.replace(_BASE, ".")


def start_of(name: str, shape: tuple[int, ...], seed: int) -> Tensor | None:
    """How an adapter starts, as in peft: A uniform by its width, B zero; None for any other weight."""
    if _UP in name:
        return torch.zeros(shape)
    if _DOWN not in name:
        return None
    number = int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:8], "little") >> 1
    bound = 1 / math.sqrt(shape[1])
    return torch.rand(shape, generator=torch.Generator().manual_seed(number)) * 2 * bound - bound


def merged(model: nn.Module, name: str, weight: Tensor, lora: Lora) -> Tensor:
    """A frozen weight with what its adapter has learned, in float32; the weight itself where it has none.

    Every rank must call it for the same names: an adapter is gathered.
    """
    stem = name.removesuffix(".weight")
    parameters = dict(model.named_parameters())
    down, up = (parameters.get(f"{stem}{part}weight") for part in (_DOWN, _UP))
    if down is None or up is None:
        return weight
    a, b = (p.full_tensor() if isinstance(p, DTensor) else p for p in (down, up))
    learned = b.detach().float() @ a.detach().float()
    return weight.float() + (lora.alpha / lora.r) * learned.to(weight.device)
