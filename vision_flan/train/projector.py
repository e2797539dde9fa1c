"""Exchanging and comparing the projector: Tables 6 and 7 of the paper, and how far tuning moves the MLP."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from transformers import LlavaConfig

from vision_flan.train.model import empty_model, read_config
from vision_flan.train.weights import LLM, PROJECTOR, Weights, WeightsError, fetch, replace_folder, write


def exchange(model: str, out: Path, *, projector: str = "", llm: str = "") -> None:
    """Writes `model` with another's projector (Table 6) or another's LLM (Table 7); all else stays.

    Args:
        model: folder or Hub id with llava-hf names.
        out: the new folder.
        projector, llm: where to take that part from: LLaVA's or llava-hf's files, or Llama's.

    Raises:
        WeightsError: shapes that do not fit, or a larger vocabulary than the model's text has.
    """
    folder = fetch(model)
    config = read_config(folder, LlavaConfig)
    weights = Weights.read(folder)
    if projector:
        weights |= Weights.read(fetch(projector), PROJECTOR)
    if llm:
        weights |= Weights.read(fetch(llm), LLM)
    shapes = {name: tuple(p.shape) for name, p in empty_model(config, "sdpa").named_parameters()}
    for name, shape in shapes.items():
        weights.must_fit(name, shape)

    def tensors() -> Iterator[tuple[str, Tensor]]:
        for name, shape in shapes.items():
            yield name, weights.full(name, shape[0])

    made = out.with_name(out.name + ".tmp")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    for file in folder.iterdir():
        if file.is_file() and file.suffix not in (".safetensors", ".bin") and "index" not in file.name:
            shutil.copyfile(file, made / file.name)
    write(made, shapes, tensors(), config.dtype or torch.float32)
    replace_folder(made, out)


def correlation(a: str, b: str) -> float:
    """Pearson correlation of two projectors' parameters, weights and biases together, in float64.

    Raises:
        WeightsError: different shapes, or a projector without variance.
    """
    flat = []
    first, second = (Weights.read(fetch(name), PROJECTOR) for name in (a, b))
    for weights in (first, second):
        names = sorted(weights.places)
        shapes = [(name, weights.shape(name)) for name in names]
        if shapes != [(name, first.shape(name)) for name in sorted(first.places)]:
            raise WeightsError(f"{b} has another projector than {a}: {shapes}")
        flat.append(torch.cat([weights.full(n, weights.shape(n)[0]).double().flatten() for n in names]))
    x, y = (values - values.mean() for values in flat)
    spread = float(x.norm() * y.norm())
    if spread == 0 or not torch.isfinite(x.norm() * y.norm()):
        raise WeightsError(
            "a projector whose parameters are all the same, or not numbers, correlates with nothing"
        )
    return float(torch.dot(x, y)) / spread
