"""A run from top to bottom: data, model, steps, export."""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812  everyone's name for it
from torch import Tensor

from vision_flan.errors import VflanError
from vision_flan.train.batches import Packing, Row, Step, Steps, steps_from, to_square
from vision_flan.train.checkpoint import Checkpoints, export
from vision_flan.train.config import Config, Init, Train, dump
from vision_flan.train.corpus import Corpus, open_corpus
from vision_flan.train.fsdp import attention_for, compute_dtype, shard, start_processes
from vision_flan.train.model import (
    MEAN,
    checkpoint_activations,
    empty_model,
    fill,
    freeze,
    normalize,
    patches_of,
    read_init,
)
from vision_flan.train.prompts import Encoder
from vision_flan.train.report import Categories, RunLog, Window, operations

T = TypeVar("T")


class LossError(VflanError):
    """The loss or the gradient is not a number."""


def run(config: Config) -> Path:
    """Trains, resuming where the folder of the run leaves off; the folder of the exported model.

    Raises:
        VflanError: a part of the recipe, the data or the checkpoints that does not work.
    """
    device = start_processes()
    try:
        return _run(config, device)
    finally:
        dist.destroy_process_group()


def _run(config: Config, device: torch.device) -> Path:
    rank, ranks = dist.get_rank(), dist.get_world_size()
    corpus = _first_on_node(lambda: open_corpus(config.data, config.seed))
    config = _with_model(config, corpus)
    architecture, tokenizer, weights = _first_on_node(lambda: read_init(config.init))
    attention = attention_for(config.parallel, device)
    encoder = Encoder(tokenizer, config.data, patches_of(architecture))
    packing = Packing(
        batch=config.train.batch,
        rank=rank,
        ranks=ranks,
        limit=config.parallel.max_tokens_per_rank,
        side=architecture.vision_config.image_size,
        mean=MEAN,
        multiple=128 if attention == "flex_attention" else 1,
        blocks=config.train.loss_norm == "device_mean",
    )
    total = config.train.steps or corpus.mixture.steps(config.train.batch, config.train.epochs)

    model = empty_model(architecture, attention)
    freeze(model, llm=config.train.freeze_llm, projector=config.train.freeze_projector)
    checkpoint_activations(model, config.parallel.checkpointing)
    shard(model, config.parallel, device)
    fill(model, weights, device, config.seed)
    model.train()
    optimizer = make_optimizer(model, config.train, device)
    checkpoints = Checkpoints(config, model, optimizer)
    start = checkpoints.restore()
    if rank == 0:
        config.folder.mkdir(parents=True, exist_ok=True)
        (config.folder / "config.yaml").write_text(dump(config), encoding="utf-8")
    log = RunLog(config, total, start, is_main_process=rank == 0)
    training = Run(config, model, optimizer, Steps(corpus, encoder, packing), checkpoints, log, device)
    try:
        if not start:
            log.samples("before", answer_samples(model, encoder, corpus, config, device))
        train_steps(training, start, total)
        log.samples("after", answer_samples(model, encoder, corpus, config, device))
    finally:
        log.close()
    export(config.folder / "hf", config, model, tokenizer, weights)
    return config.folder / "hf"


@dataclasses.dataclass(frozen=True)
class Run:
    """What the steps of a run work on."""

    config: Config
    model: Any
    optimizer: torch.optim.Optimizer
    steps: Steps
    checkpoints: Checkpoints
    log: RunLog
    device: torch.device


def train_steps(run: Run, start: int, total: int) -> None:
    """The steps `start` to `total`: load, update, log, checkpoint."""
    config, checkpoints = run.config, run.checkpoints
    window, categories = Window(), Categories()
    arriving = steps_from(run.steps, start, total, config.data.workers)
    trains_llm = not config.train.freeze_llm
    for number in range(start, total):
        asked = time.perf_counter()
        step = next(arriving)
        waited = time.perf_counter() - asked
        lr = learning_rate(number, total, config.train)
        try:
            loss, losses, norm = update(run.model, run.optimizer, step, lr, config, run.device)
        except LossError:  # all ranks have seen it; what was being written is still good
            checkpoints.finish()
            raise
        window.add(step, loss, waited, operations(run.model.config, step.rows, trains_llm=trains_llm))
        categories.add(step, losses)
        done = number + 1
        if done % config.log.every == 0 or done == total:
            figures: dict[str, Any] = {**window.figures(run.device), "lr": lr, "grad_norm": norm}
            figures["epoch"] = done * config.train.batch / run.steps.corpus.mixture.length
            if done % config.log.categories_every == 0 or done == total:
                figures["category_loss"] = categories.log()
            run.log.line(done, figures)
            window = Window()
        if done % config.checkpoint.every == 0 or done == total:
            checkpoints.save(done)
    checkpoints.finish()


def update(
    model: Any, optimizer: torch.optim.Optimizer, step: Step, lr: float, config: Config, device: torch.device
) -> tuple[float, list[float], float]:
    """One step of the optimizer: loss, summed loss of each sample, and norm of the gradient before clipping.

    FSDP averages gradients over ranks. Scaling each loss by `ranks / supervised tokens of the step` turns
    that average into the mean over the tokens of all ranks. (FSDP's own divide factor fails on Gloo.)

    Raises:
        LossError: loss or gradient is not finite; nothing has been changed.
    """
    ranks = dist.get_world_size()
    by_device = config.train.loss_norm == "device_mean"
    scale = 1 / max(1, step.local_supervised) if by_device else ranks / max(1, step.supervised)
    losses = torch.zeros(len(step.samples) + 1, dtype=torch.float64, device=device)
    for row in step.rows:
        nll = row_loss(model, row, device, compute_dtype(config.parallel))
        (nll.sum() * scale).backward()  # type: ignore[no-untyped-call,unused-ignore]
        losses.index_add_(0, row.sample.to(device), nll.detach().double())
    losses[-1] = losses.sum() * scale / ranks
    dist.all_reduce(losses)
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.train.clip)
    norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
    *of_samples, loss = losses.tolist()
    _stop_unless_finite(loss, float(norm), of_samples, step)
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.step()
    optimizer.zero_grad()
    return loss, of_samples, float(norm)


def row_loss(model: Any, row: Row, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Cross entropy at the supervised places of a row, float32 [supervised].

    No attention mask, no cache, restarting positions: that and nothing else makes transformers keep packed
    documents apart. The head runs inside the root's forward, at the supervised places only, and rows of the
    vocabulary beyond the text's (the image's token and llava-hf's padding) take no part, as in LLaVA.
    """
    images = row.images.to(device, non_blocking=True)
    logits = model(
        input_ids=row.ids[None].to(device, non_blocking=True),
        position_ids=row.positions[None].to(device, non_blocking=True),
        pixel_values=normalize(images, dtype) if len(images) else None,
        attention_mask=None,
        use_cache=False,
        logits_to_keep=row.keep.to(device, non_blocking=True),
    ).logits[0, :, : model.config.image_token_id]
    return F.cross_entropy(logits.float(), row.labels.to(device, non_blocking=True), reduction="none")


def _stop_unless_finite(loss: float, norm: float, losses: list[float], step: Step) -> None:
    if math.isfinite(loss) and math.isfinite(norm):
        return
    bad = [s.id for s, value in zip(step.samples, losses, strict=True) if not math.isfinite(value)]
    named = bad or [sample.id for sample in step.samples]
    more = f" and {len(named) - 10} more" if len(named) > 10 else ""
    raise LossError(
        f"loss {loss}, gradient norm {norm} at step {step.number}; samples {', '.join(named[:10])}{more}",
        hint="look at these samples, or lower train.lr; the last checkpoint is whole",
    )


def learning_rate(step: int, total: int, train: Train) -> float:
    """Linear warm-up from 0, then a cosine to 0, as transformers' scheduler has it."""
    warmup = math.ceil(total * train.warmup)
    if step < warmup:
        return train.lr * step / max(1, warmup)
    if train.schedule == "constant":
        return train.lr
    progress = (step - warmup) / max(1, total - warmup)
    return train.lr * 0.5 * (1 + math.cos(math.pi * progress))


def make_optimizer(model: Any, train: Train, device: torch.device) -> torch.optim.Optimizer:
    """AdamW over the float32 shards (bf16 weights would not move at 2e-5), or plain SGD."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if train.optimizer == "sgd":
        return torch.optim.SGD(learning, lr=train.lr, weight_decay=train.weight_decay)
    fused = device.type == "cuda"
    return torch.optim.AdamW(learning, lr=train.lr, weight_decay=train.weight_decay, fused=fused)


def answer_samples(
    model: Any, encoder: Encoder, corpus: Corpus, config: Config, device: torch.device
) -> list[dict[str, str]]:
    """Greedy answers to the first samples of the run; all ranks answer the same, since each holds a part."""
    answers = []
    tokenizer = encoder.tokenizer
    side = model.config.vision_config.image_size
    model.eval()
    model.set_attn_implementation({"text_config": "sdpa"})  # one short prompt at a time
    model.unshard()  # the root's own part: `generate` runs the projector outside of forward
    for ref in corpus.mixture.step(0, config.log.samples):
        sample = corpus.sample(ref)
        ids = torch.tensor([encoder.prompt_ids(sample)], device=device)
        pixels = None
        if sample.has_image:
            square = to_square(corpus.image(ref), side, MEAN)[None].to(device)
            pixels = normalize(square, compute_dtype(config.parallel))
        with torch.no_grad():
            out = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                pixel_values=pixels,
                max_new_tokens=64,
                do_sample=False,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
                suppress_tokens=list(range(encoder.image_id, model.config.text_config.vocab_size)),
                synced_gpus=dist.get_world_size() > 1,
            )
        answer = tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True).strip()
        answers.append({"id": sample.id, "prompt": sample.prompt, "target": sample.target, "answer": answer})
    model.set_attn_implementation({"text_config": attention_for(config.parallel, device)})
    model.reshard()
    model.train()
    return answers


def _with_model(config: Config, corpus: Corpus) -> Config:
    """The configuration with `init.tiny` made into a folder that `init.from` names."""
    if not config.init.tiny:
        return config
    from vision_flan.train.tiny import create

    folder = config.folder / "init"
    if dist.get_rank() == 0 and not folder.exists():
        refs = corpus.mixture.step(0, min(1000, corpus.mixture.length))
        samples = [corpus.sample(ref) for ref in refs]
        texts = [text for sample in samples for text in (sample.prompt, sample.target)]
        create(folder, texts, seed=config.seed, prompt=config.data.prompt)
    dist.barrier()
    return dataclasses.replace(config, init=Init(from_=str(folder)))


def _first_on_node(make: Callable[[], T]) -> T:
    """`make()` on one process of each machine, then on the others, which find its files in the cache."""
    first = int(os.environ.get("LOCAL_RANK", "0")) == 0
    made = make() if first else None
    dist.barrier()
    return made if made is not None else make()
