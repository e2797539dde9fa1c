"""One step of the optimizer: the loss of its rows, the gradient, and what is read of them afterwards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812  everyone's name for it
from torch import Tensor
from transformers import LlavaForConditionalGeneration

from vision_flan.errors import VflanError
from vision_flan.train.attention import VARLEN, Bounds
from vision_flan.train.batches import Row, Step
from vision_flan.train.config import Config, Parallel, Train
from vision_flan.train.fsdp import as_fsdp, compute_dtype
from vision_flan.train.model import normalize, text_of


class LossError(VflanError):
    """The loss or the gradient is not a number."""


@dataclass(frozen=True)
class Outcome:
    """What a step gave, still on the device: reading it waits for the GPU.

    Attributes:
        losses: float64 [samples + 1]; summed loss of each sample, and the loss of the step last.
        norm: of the gradient before clipping.
    """

    step: Step
    losses: Tensor
    norm: Tensor
    lr: float

    def read(self) -> Figures:
        """Its numbers.

        Raises:
            LossError: loss or gradient is not finite; samples are named.
        """
        *of_samples, loss, norm = torch.cat([self.losses, self.norm.double().view(1)]).tolist()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise _not_finite(loss, norm, of_samples, self.step)
        return Figures(loss, of_samples, norm)


@dataclass(frozen=True)
class Figures:
    """Loss of a step, summed loss of each sample, and norm of the gradient before clipping."""

    loss: float
    of_samples: list[float]
    norm: float


def update(
    model: LlavaForConditionalGeneration,
    optimizer: torch.optim.Optimizer,
    step: Step,
    lr: float,
    config: Config,
) -> Outcome:
    """One step of the optimizer; nothing in it waits for the device.

    FSDP averages gradients over ranks. Scaling each loss by `ranks / supervised tokens of the step` turns
    that average into the mean over the tokens of all ranks. (FSDP's own divide factor fails on Gloo.)
    """
    ranks, device = dist.get_world_size(), model.lm_head.weight.device
    by_device = config.train.loss_norm == "device_mean"
    scale = 1 / max(1, step.local_supervised) if by_device else ranks / max(1, step.supervised)
    losses = torch.zeros(len(step.samples) + 1, dtype=torch.float64, device=device)
    for number, row in enumerate(step.rows, start=1):
        nll = add_gradients(model, row, scale, config.parallel, is_last=number == len(step.rows))
        losses.index_add_(0, row.sample.to(device, non_blocking=True), nll.double())
    losses[-1] = losses.sum() * scale / ranks
    dist.all_reduce(losses)
    return Outcome(step, losses, apply_gradients(model, optimizer, lr, config.train), lr)


def add_gradients(
    model: LlavaForConditionalGeneration, row: Row, scale: float, parallel: Parallel, *, is_last: bool
) -> Tensor:
    """Adds the gradient of a row's loss times `scale`; its cross entropies, detached.

    With `parallel.reduce_once`, gradients of a step's rows add up unsharded and are reduced with the last.
    """
    if parallel.reduce_once:
        as_fsdp(model).set_requires_gradient_sync(is_last)
    nll = row_loss(model, row, model.lm_head.weight.device, compute_dtype(parallel))
    (nll.sum() * scale).backward()  # type: ignore[no-untyped-call,unused-ignore]
    return nll.detach()


def apply_gradients(
    model: LlavaForConditionalGeneration, optimizer: torch.optim.Optimizer, lr: float, train: Train
) -> Tensor:
    """Clips, updates, and clears the gradients; their norm before clipping."""
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), train.clip)
    norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.step()
    optimizer.zero_grad()
    return norm.detach()


def row_loss(
    model: LlavaForConditionalGeneration, row: Row, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """Cross entropy at the supervised places of a row, float32 [supervised].

    No attention mask, no cache, restarting positions: that and nothing else makes transformers keep packed
    documents apart. The head runs inside the root's forward, at the supervised places only, and rows of the
    vocabulary beyond the text's (the image's token and llava-hf's padding) take no part, as in LLaVA.
    """
    images = row.images.to(device, non_blocking=True)
    attention = text_of(model.config)._attn_implementation
    bounds = Bounds.of(row.lengths, row.padding).arguments(device) if attention == VARLEN else {}
    logits = model(
        input_ids=row.token_ids[None].to(device, non_blocking=True),
        position_ids=row.positions[None].to(device, non_blocking=True),
        pixel_values=normalize(images, dtype) if len(images) else None,
        attention_mask=None,
        use_cache=False,
        **bounds,
        logits_to_keep=row.predicting.to(device, non_blocking=True),
    ).logits[0, :, : model.config.image_token_id]
    return F.cross_entropy(logits.float(), row.labels.to(device, non_blocking=True), reduction="none")


def _not_finite(loss: float, norm: float, losses: Sequence[float], step: Step) -> LossError:
    bad = [s.id for s, value in zip(step.samples, losses, strict=True) if not math.isfinite(value)]
    named = bad or [sample.id for sample in step.samples]
    more = f" and {len(named) - 10} more" if len(named) > 10 else ""
    return LossError(
        f"loss {loss}, gradient norm {norm} at step {step.number}; samples {', '.join(named[:10])}{more}",
        hint="look at these samples, or lower train.lr; the last checkpoint is whole",
    )


def learning_rate(step: int, total: int, train: Train) -> float:
    """Linear warm-up from 0, then a cosine to 0, as transformers' scheduler has it.

    The last step is never part of the warm-up, so that a run of a single step learns something.
    """
    warmup = min(math.ceil(total * train.warmup), total - 1)
    if step < warmup:
        return train.lr * step / max(1, warmup)
    if train.schedule == "constant":
        return train.lr
    progress = (step - warmup) / max(1, total - warmup)
    return train.lr * 0.5 * (1 + math.cos(math.pi * progress))


def make_optimizer(
    model: LlavaForConditionalGeneration, train: Train, device: torch.device
) -> torch.optim.Optimizer:
    """AdamW over the float32 shards (bf16 weights would not move at 2e-5), or plain SGD.

    Weight decay is of matrices alone: norms and biases have one dimension.
    """
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in learning if p.dim() > 1], "weight_decay": train.weight_decay},
        {"params": [p for p in learning if p.dim() <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if train.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=train.lr)
    return torch.optim.AdamW(groups, lr=train.lr, fused=device.type == "cuda")
