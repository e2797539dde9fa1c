"""What is kept of a run: checkpoints to go on from, and an export that transformers loads.

A checkpoint is written beside its final name and renamed when every rank's part is there, so a killed run
never leaves half of one. It holds what learns, its optimizer state and the step; frozen weights are read
from where the run started. The data needs no state: its order is a function of the step.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import async_save, save
from torch.distributed.tensor import DTensor

from vision_flan.errors import Location, VflanError
from vision_flan.train.config import Config, dump
from vision_flan.train.model import save_around
from vision_flan.train.weights import Weights, replace_folder, write

_OPTIONS = StateDictOptions(ignore_frozen_params=True)


class CheckpointError(VflanError):
    """A checkpoint does not fit the run."""


class Checkpoints:
    """The checkpoints of one run, `<out>/checkpoints/step-000500`.

    Args:
        config: the run.
        model, optimizer: what is saved and restored.
    """

    def __init__(self, config: Config, model: Any, optimizer: torch.optim.Optimizer) -> None:
        self.config, self.model, self.optimizer = config, model, optimizer
        self.folder = config.folder / "checkpoints"
        self._pending: tuple[int, Future[Any]] | None = None
        self._group = dist.new_group(backend="gloo") if config.checkpoint.asynchronous else None

    def _state(self) -> dict[str, Any]:
        model, optimizer = get_state_dict(self.model, self.optimizer, options=_OPTIONS)
        return {"model": model, "optimizer": optimizer}

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:06}"

    def latest(self) -> int:
        """The step of the newest whole checkpoint; 0 where there is none."""
        steps = [int(m[1]) for p in self.folder.glob("step-*") if (m := re.fullmatch(r"step-(\d+)", p.name))]
        return max(steps, default=0)

    def restore(self) -> int:
        """Loads the newest checkpoint, whatever number of ranks wrote it; the step to go on with."""
        step = self.latest()
        if not step:
            return 0
        state = self._state()
        try:
            load(state, checkpoint_id=self._path(step))
        except (CheckpointException, RuntimeError, ValueError) as error:
            raise CheckpointError(
                f"the checkpoint does not fit this run: {str(error).splitlines()[0]}",
                where=Location(self._path(step)),
                hint="give another `out`, or the recipe the checkpoint was made with",
            ) from error
        set_state_dict(
            self.model,
            self.optimizer,
            model_state_dict=state["model"],
            optim_state_dict=state["optimizer"],
            options=StateDictOptions(ignore_frozen_params=True, strict=False),
        )
        return step

    def save(self, step: int) -> None:
        """Writes a checkpoint; asynchronous ones are copied to the CPU first and written meanwhile."""
        self.finish()
        temporary = self._path(step).with_suffix(".tmp")
        if dist.get_rank() == 0:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
        dist.barrier()
        if self._group is None:
            save(self._state(), checkpoint_id=temporary)
            self._complete(step)
            return
        future = async_save(self._state(), checkpoint_id=temporary, process_group=self._group)
        self._pending = (step, future)  # type: ignore[assignment,unused-ignore]

    def finish(self) -> None:
        """Waits for the checkpoint still being written, and gives it its name."""
        if self._pending:
            step, future = self._pending
            self._pending = None
            future.result()
            self._complete(step)

    def _complete(self, step: int) -> None:
        dist.barrier()  # every rank's part is on disk
        if dist.get_rank() == 0:
            (self._path(step).with_suffix(".tmp") / "config.yaml").write_text(
                dump(self.config), encoding="utf-8"
            )
            shutil.rmtree(self._path(step), ignore_errors=True)
            self._path(step).with_suffix(".tmp").rename(self._path(step))
            kept = sorted(self.folder.glob("step-[0-9]*[0-9]"))
            for old in kept[: max(0, len(kept) - max(1, self.config.checkpoint.keep))]:
                shutil.rmtree(old, ignore_errors=True)
        dist.barrier()


def export(folder: Path, config: Config, model: Any, tokenizer: Any, weights: Weights) -> None:
    """Writes the model for `LlavaForConditionalGeneration.from_pretrained`; every rank must call it.

    What learned is gathered tensor by tensor; what was frozen is copied from the file it came from, so that
    no rounding of the run's own compute type gets into it.
    """
    dtype: torch.dtype = getattr(torch, config.checkpoint.export_dtype)
    parameters = dict(model.named_parameters())

    def tensors() -> Iterator[tuple[str, Tensor]]:
        for name, parameter in parameters.items():
            if not parameter.requires_grad and name in weights:
                yield name, weights.full(name, parameter.shape[0])
            else:
                yield name, parameter.full_tensor() if isinstance(parameter, DTensor) else parameter

    if dist.get_rank() == 0:
        made = folder.with_name(folder.name + ".tmp")
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        shapes = {name: tuple(parameter.shape) for name, parameter in parameters.items()}
        write(made, shapes, tensors(), dtype)
        save_around(made, model.config, tokenizer, config.data.prompt, dtype)
        replace_folder(made, folder)
    else:
        for _ in tensors():
            pass
    dist.barrier()
