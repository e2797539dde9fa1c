"""A model that is joined from its parts and never trained: the first rows of Tables 5 and 7."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from vision_flan.train.checkpoint import machine_errors
from vision_flan.train.config import Config
from vision_flan.train.model import empty_model, read_init
from vision_flan.train.model_folder import chat_template, save_around
from vision_flan.train.recipe import dump
from vision_flan.train.weights import PROJECTOR, WeightsError, replace_folder, write


def join_parts(config: Config) -> Path:
    """Writes the LLM, tower and projector that `init` names as one model, without a step; its folder.

    Raises:
        WeightsError: a part that is missing: an untuned model needs a pretrained projector.
        MachineError: the disk is full.
    """
    architecture, tokenizer, weights = read_init(config.init)
    model = empty_model(architecture, "sdpa")
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    for name, shape in shapes.items():
        if name not in weights:
            hint = "init.projector=<LLaVA's pretrained one>" if name.startswith(PROJECTOR) else ""
            raise WeightsError(
                f"the parts have no tensor {name}", hint=hint or "look at `init` of the recipe"
            )
        weights.must_fit(name, shape)

    def tensors() -> Iterator[tuple[str, Tensor]]:
        for name, shape in shapes.items():
            yield name, weights.full(name, shape[0])

    dtype: torch.dtype = getattr(torch, config.checkpoint.export_dtype)
    folder = config.folder / "hf"
    with machine_errors(folder):
        made = folder.with_name(folder.name + ".tmp")
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        write(made, shapes, tensors(), dtype)
        save_around(made, architecture, tokenizer, chat_template(config.data.prompt), dtype)
        replace_folder(made, folder)
        (config.folder / "config.yaml").write_text(dump(config), encoding="utf-8")
    return folder
