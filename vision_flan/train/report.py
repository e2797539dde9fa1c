"""The log of a run: JSON lines, a progress bar, a tracker by choice; and how the figures are made."""

from __future__ import annotations

import json
import os
import resource
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from transformers import LlavaConfig

from vision_flan.errors import plain
from vision_flan.train.batches import Row, Step
from vision_flan.train.config import Config, ConfigError
from vision_flan.train.model import patches_of, text_of, vision_of

#: bf16 operations per second without sparsity, by a part of the device's name (vendors' data sheets).
PEAK = {"B200": 2.25e15, "H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "MI300X": 1307e12}


def peak_of(device: torch.device) -> float | None:
    """Peak operations per second of a device, or None where we know none."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in PEAK.items() if part in name), None)


def operations(config: LlavaConfig, rows: Sequence[Row], *, trains_llm: bool) -> float:
    """Multiplications and additions a step needs, without recomputed activations (Chowdhery et al. 2022).

    Forward once; backward twice that, or once where the weights are frozen; the tower forward only. Padding
    is not counted; a document attends to half of its own square; the head works at supervised tokens only.
    """
    text, vision = text_of(config), vision_of(config)
    head = text.hidden_size // text.num_attention_heads
    layer = text.hidden_size * (
        2 * text.hidden_size
        + 2 * (text.num_key_value_heads or text.num_attention_heads) * head
        + 3 * text.intermediate_size
    )
    patches, wide = patches_of(config), vision.hidden_size
    tower_layer = wide * (4 * wide + 2 * vision.intermediate_size)
    projector = wide * text.hidden_size + text.hidden_size**2
    total = 0.0
    for row in rows:
        tokens, squares = sum(row.lengths), sum(length**2 for length in row.lengths)
        forward = text.num_hidden_layers * (2 * layer * tokens + 2 * text.hidden_size * squares)
        forward += 2 * text.hidden_size * text.vocab_size * len(row.labels)
        seen = (patches + 1) * len(row.images)
        tower = vision.num_hidden_layers * (2 * tower_layer * seen + 4 * wide * (patches + 1) * seen)
        total += forward * (3 if trains_llm else 2) + tower + 3 * 2 * projector * patches * len(row.images)
    return total


def memory_gib(device: torch.device) -> float:
    """Most memory held so far: of the GPU, or of this process."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device)) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


class Window:
    """Sums over the steps between two lines of the log.

    Args:
        began: when the step before ended, by `time.perf_counter`; now, if there was none.
    """

    def __init__(self, began: float | None = None) -> None:
        self.began = self.ended = time.perf_counter() if began is None else began
        self.steps, self.samples, self.tokens, self.dropped = 0, 0, 0, 0
        self.loss, self.waited, self.operations = 0.0, 0.0, 0.0
        self.tokens_with_padding, self.padding, self.balance = 0, 0, 0.0

    def add(self, step: Step, loss: float, waited: float, done: float, ended: float | None = None) -> None:
        """Counts one step of this rank, which ended then, or just now."""
        self.ended = max(self.ended, time.perf_counter() if ended is None else ended)
        self.steps += 1
        self.samples += len(step.samples)
        self.tokens += step.tokens
        self.dropped += step.dropped
        self.loss += loss
        self.waited += waited
        self.balance += step.balance
        self.operations += done
        self.tokens_with_padding += sum(len(row.token_ids) for row in step.rows)
        self.padding += sum(row.padding for row in step.rows)

    def figures(self, device: torch.device) -> dict[str, float | int | None]:
        """The line's figures; shares are of this window's time or tokens."""
        seconds = max(self.ended - self.began, 1e-9)
        peak = peak_of(device)
        return {
            "loss": self.loss / self.steps,
            "samples_per_s": self.samples / seconds,
            "tokens_per_s": self.tokens / seconds,
            "mfu": self.operations / seconds / peak if peak else None,
            "padding": self.padding / max(1, self.tokens_with_padding),
            "data_wait": self.waited / seconds,
            "balance": self.balance / self.steps,
            "memory_gib": memory_gib(device),
            "seconds_per_step": seconds / self.steps,
            "dropped": self.dropped,
        }


class Categories:
    """Loss per task category since last logged."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[float, int]] = {}

    def add(self, step: Step, losses: Sequence[float]) -> None:
        """Adds the summed losses of a step's samples."""
        for sample, loss, tokens in zip(step.samples, losses, step.supervised_of, strict=True):
            before, count = self._sums.get(sample.category, (0.0, 0))
            self._sums[sample.category] = (before + loss, count + tokens)

    def log(self) -> dict[str, float]:
        """Mean loss of a supervised token, by category; starts again from zero."""
        logged = {name: total / count for name, (total, count) in sorted(self._sums.items()) if count}
        self._sums.clear()
        return logged


class RunLog:
    """The log of a run: logs on rank 0; every method is a no-op elsewhere.

    Args:
        config: the run.
        total: its steps.
        start: the step it goes on with.
        is_main_process: whether this is rank 0.
    """

    def __init__(self, config: Config, total: int, start: int, *, is_main_process: bool) -> None:
        self.config, self.is_main_process = config, is_main_process
        if not is_main_process:
            return
        self.path = config.folder / "metrics.jsonl"
        _drop_lines_after(self.path, start)
        self._tracker = _open_tracker(config)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[logged]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._progress.add_task(plain(config.name), total=total, completed=start, logged="")
        self._progress.start()

    def line(self, step: int, figures: Mapping[str, Any]) -> None:
        """One line of the log, after `step` steps."""
        if not self.is_main_process:
            return
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **figures}) + "\n")
        logged = (
            f"loss {figures['loss']:.4f}  lr {figures['lr']:.2e}  {figures['samples_per_s']:.1f} samples/s"
        )
        self._progress.update(self._task, completed=step, logged=logged)
        if self._tracker:
            self._tracker({k: v for k, v in _flat(figures).items() if v is not None}, step)

    def samples(self, when: str, answers: Sequence[Mapping[str, str]]) -> None:
        """Generations before or after training, one a line in `samples.<when>.jsonl`."""
        if self.is_main_process and answers:
            text = "".join(json.dumps(answer, ensure_ascii=False) + "\n" for answer in answers)
            (self.config.folder / f"samples.{when}.jsonl").write_text(text, encoding="utf-8")

    def close(self) -> None:
        """Stops the progress bar."""
        if self.is_main_process:
            self._progress.stop()


def _drop_lines_after(path: Path, step: int) -> None:
    """Drops lines of steps that a resumed run will do again, and a line cut by a kill."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line)
        except (ValueError, KeyError, TypeError, RecursionError):
            break
    made = path.with_suffix(".tmp")
    made.write_text("".join(kept), encoding="utf-8")
    made.replace(path)


def _flat(figures: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in figures.items():
        if isinstance(value, Mapping):
            flat.update({f"{name}/{part}": number for part, number in value.items()})
        else:
            flat[name] = value
    return flat


def _open_tracker(config: Config) -> Any:
    """A function of (figures, step) that feeds the chosen tracker, or None."""
    name = config.log.tracker
    try:
        if name == "tensorboard":
            from torch.utils.tensorboard import SummaryWriter

            writer = SummaryWriter(str(config.folder / "tensorboard"))

            def add(figures: Mapping[str, Any], step: int) -> None:
                for key, value in figures.items():
                    writer.add_scalar(key, value, step)
                writer.flush()

            return add
        if name in ("wandb", "trackio"):
            tracker = __import__(name)
            tracker.init(project=os.environ.get("WANDB_PROJECT", "vision-flan"), name=config.name)
            return lambda figures, step: tracker.log(dict(figures), step=step)
    except ImportError as error:
        raise ConfigError(f"log.tracker is {name!r}: {error}", hint=f"pip install {name}") from error
    return None
