"""What one run does, as frozen dataclasses. `recipe.load` reads and checks them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from vision_flan.errors import VflanError


class ConfigError(VflanError):
    """A recipe or an override says something the trainer does not know."""


@dataclass(frozen=True)
class Range:
    """The numbers a key may have: `low` to `high`, or more than `low` with `open_low`."""

    low: float
    high: float
    open_low: bool = False

    def __contains__(self, number: float) -> bool:
        """False for nan, which compares with nothing, and for infinity."""
        above = number > self.low if self.open_low else number >= self.low
        return math.isfinite(number) and above and number <= self.high

    def __str__(self) -> str:
        low = f"more than {self.low:g}" if self.open_low else f"at least {self.low:g}"
        return f"{low}, at most {self.high:g}"


_MANY = 10**9
Count = Annotated[int, Range(0, _MANY)]
Positive = Annotated[int, Range(1, _MANY)]
Share = Annotated[float, Range(0, 0.9)]


@dataclass(frozen=True)
class Init:
    """Where the weights come from: `from` alone (a folder or Hub id with llava-hf names), or the three parts.

    `projector` may be LLaVA's `mm_projector.bin`, a safetensors file, or a llava-hf folder; left empty the
    MLP starts at random. `tiny` makes a random model of a few thousand parameters instead, for a laptop.
    """

    from_: str = ""
    llm: str = ""
    vision: str = "openai/clip-vit-large-patch14-336"
    projector: str = ""
    tiny: bool = False


@dataclass(frozen=True)
class Source:
    """One part of the mixture.

    Args:
        root: a compiled folder or Hub repository; empty means `data.root`.
        include, exclude: task ids or published names, or patterns of ids such as `object_*`.
        tasks: how many of these tasks, chosen by seed; 0 means all.
        per_task: how many instances of each at most; 0 means all.
        total: how many instances of the whole source; 0 means all. A source that has fewer is refused.
        at_least: refuse a source that has fewer instances, after `per_task` and `total`.
        weight: how often an epoch shows each instance; 0.5 shows half of them.
    """

    root: str = ""
    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ("stage0_*", "stage2_*", "eval_*")
    tasks: Count = 0
    per_task: Count = 0
    total: Count = 0
    at_least: Count = 0
    weight: Annotated[float, Range(0, 1000, open_low=True)] = 1.0


@dataclass(frozen=True)
class Data:
    """What is read, and how a sample becomes tokens.

    `held_out` is the share of instances that are never trained on; their loss is logged instead. An instance
    is held out by its own key, so that more tasks, other counts or another seed move none to the other side.
    Tasks that their makers forbid to train on are left out, but for those in `include_forbidden`, for a
    `reason`.
    With a `suite`, patterns such as `*` match its tasks only; a task that a source names outright is taken.
    """

    root: str = "vision-flan"
    suite: str = ""
    sources: tuple[Source, ...] = (Source(),)
    prompt: str = "vicuna_v1"  # vicuna_v1 | llama2_chat | plain
    image_position: str = "first"  # first | as_written: where the prompt holds `<image>`
    max_tokens: Annotated[int, Range(2, _MANY)] = 2048  # longer samples lose their end, as in LLaVA
    workers: Annotated[int, Range(0, 256)] = 4
    held_out: Share = 0.0
    include_forbidden: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters instead of the LLM's own weights, by peft; `r=0` trains the weights themselves."""

    r: Annotated[int, Range(0, 4096)] = 0
    alpha: Annotated[float, Range(0, _MANY, open_low=True)] = 32.0
    targets: tuple[str, ...] = (
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "gate_proj",
        "up_proj",
        "down_proj",
    )


@dataclass(frozen=True)
class Train:
    """The recipe proper. `batch` counts samples of one step over all devices.

    With `balance_for`, steps are made of samples whose tokens spread evenly over so many devices, or over
    fewer, within windows of `balance_window` steps; 0 leaves steps as they are drawn.
    """

    batch: Positive = 128
    epochs: Annotated[float, Range(0, 10**6, open_low=True)] = 1.0
    steps: Count = 0  # set, it goes before `epochs`
    min_steps: Count = 0  # at least this many, where `epochs` gives fewer
    lr: Annotated[float, Range(0, 1e31, open_low=True)] = 2e-5
    warmup: Share = 0.03
    schedule: str = "cosine"  # cosine | constant
    optimizer: str = "adamw"  # adamw | sgd
    weight_decay: Annotated[float, Range(0, 1)] = 0.0  # of matrices; never of norms and biases
    clip: Annotated[float, Range(0, 10**9, open_low=True)] = 1.0
    freeze_llm: bool = False
    freeze_projector: bool = False
    untuned: bool = False  # join the parts and export them, without a step
    balance_for: Annotated[int, Range(0, 65536)] = 0
    balance_window: Annotated[int, Range(1, 4096)] = 32
    loss_norm: str = "tokens"  # tokens | device_mean
    lora: Lora = field(default_factory=Lora)


@dataclass(frozen=True)
class Parallel:
    """How it fits the machine; nothing here changes what is learned beyond rounding."""

    max_tokens_per_rank: Positive = 16384
    precision: str = "bf16"  # bf16: compute in bf16 over fp32 weights | fp32
    attention: str = "auto"  # auto | sdpa | varlen | flex_attention | flash_attention_2
    checkpointing: str = (
        "full"  # none | selective: keep matrix products | full | a number n: every n-th layer
    )
    compile: str = ""  # empty, or a torch.compile backend such as inductor
    reshard_after_forward: bool = True
    reduce_once: bool = False  # gradients of a step's rows add up unsharded: 4 bytes a parameter on each GPU
    replicate: Positive = 1  # copies of the model; each is sharded over ranks / replicate (HSDP)
    startup_minutes: Positive = 24 * 60  # how long ranks wait while the first downloads the model


@dataclass(frozen=True)
class Checkpoint:
    """What is kept of a run, and how often."""

    every: Positive = 500
    keep: Positive = 2
    asynchronous: bool = True
    export_dtype: str = "bfloat16"  # of the weights in `<out>/hf`


@dataclass(frozen=True)
class Log:
    """What is logged of a run. JSON lines in `<out>/metrics.jsonl` are always written."""

    every: Positive = 1
    categories_every: Positive = 50
    held_out_every: Positive = 500
    held_out_at_most: Positive = 1024  # samples of `data.held_out` whose loss is computed
    samples: Annotated[int, Range(0, 10_000)] = 8  # generations before and after
    tracker: str = ""  # tensorboard | wandb | trackio
    profile: Count = 0  # this many steps, after the fifth, are traced into `<out>/profile`


@dataclass(frozen=True)
class Config:
    """One run, whole."""

    name: str = "run"
    out: str = ""  # empty: runs/<name>, with what differs from the recipe
    seed: Annotated[int, Range(0, 2**62)] = 0
    init: Init = field(default_factory=Init)
    data: Data = field(default_factory=Data)
    train: Train = field(default_factory=Train)
    parallel: Parallel = field(default_factory=Parallel)
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    log: Log = field(default_factory=Log)

    @property
    def folder(self) -> Path:
        """Where the run writes."""
        return Path(self.out or f"runs/{self.name}")


CHOICES: dict[str, tuple[str, ...]] = {
    "data.prompt": ("vicuna_v1", "llama2_chat", "plain"),
    "data.image_position": ("first", "as_written"),
    "train.schedule": ("cosine", "constant"),
    "train.optimizer": ("adamw", "sgd"),
    "train.loss_norm": ("tokens", "device_mean"),
    "parallel.precision": ("bf16", "fp32"),
    "parallel.attention": ("auto", "sdpa", "varlen", "flex_attention", "flash_attention_2"),
    "checkpoint.export_dtype": ("bfloat16", "float16", "float32"),
    "log.tracker": ("", "tensorboard", "wandb", "trackio"),
}
