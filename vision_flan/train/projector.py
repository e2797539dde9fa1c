"""Exchanging and comparing the projector: Tables 6 and 7 of the paper, and how far tuning moves the MLP."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import LlavaConfig, PreTrainedTokenizerBase

from vision_flan.errors import Location
from vision_flan.train.checkpoint import machine_errors
from vision_flan.train.model import (
    empty_model,
    join_configs,
    load_tokenizer,
    part_of,
    read_llava_config,
    refuse_more_layers,
)
from vision_flan.train.model_folder import chat_template, save_around
from vision_flan.train.prompts import STYLES
from vision_flan.train.weights import LLM, PROJECTOR, Weights, WeightsError, fetch, replace_folder, write


@dataclass(frozen=True)
class Exchange:
    """What a model gets from elsewhere; what is left empty stays as it is.

    Attributes:
        projector, llm: a folder, file or Hub id with LLaVA's, llava-hf's or Llama's names.
        prompt: the style of the chat template, which goes with the LLM: `vicuna_v1` or `llama2_chat`.
    """

    projector: str = ""
    llm: str = ""
    prompt: str = ""


def exchange(model: str, out: Path, what: Exchange) -> None:
    """Writes `model` with another's projector (Table 6) or another's LLM (Table 7); all else stays.

    With an LLM come its configuration and its tokenizer, where its folder has them.

    Args:
        model: folder or Hub id with llava-hf names.
        out: the new folder.
        what: the parts that are exchanged.

    Raises:
        WeightsError: shapes that do not fit, or an unknown prompt style.
        MachineError: the disk is full.
    """
    if what.prompt and what.prompt not in STYLES:
        raise WeightsError(f"no prompt style {what.prompt!r}", hint="styles: " + ", ".join(STYLES))
    folder = fetch(model)
    config, tokenizer = read_llava_config(folder), load_tokenizer(folder)
    dtype = config.dtype if isinstance(config.dtype, torch.dtype) else torch.float32
    weights = Weights.read(folder)
    if what.projector:
        weights |= Weights.read(fetch(what.projector), PROJECTOR)
    if what.llm:
        llm = fetch(what.llm)
        weights |= Weights.read(llm, LLM)
        config, tokenizer = _with_llm(config, tokenizer, llm)
    refuse_more_layers(config, weights)
    shapes = {name: tuple(p.shape) for name, p in empty_model(config, "sdpa").named_parameters()}
    for name, shape in shapes.items():
        weights.must_fit(name, shape)

    def tensors() -> Iterator[tuple[str, Tensor]]:
        for name, shape in shapes.items():
            yield name, weights.full(name, shape[0])

    template = chat_template(what.prompt) if what.prompt else _template_of(folder)
    with machine_errors(out):
        made = out.with_name(out.name + ".tmp")
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        write(made, shapes, tensors(), dtype)
        save_around(made, config, tokenizer, template, dtype)
        replace_folder(made, out)


def _with_llm(
    config: LlavaConfig, tokenizer: PreTrainedTokenizerBase, llm: Path
) -> tuple[LlavaConfig, PreTrainedTokenizerBase]:
    """Configuration and tokenizer after the LLM was exchanged."""
    if not (llm / "config.json").is_file():
        return config, tokenizer
    if any((llm / name).is_file() for name in ("tokenizer.json", "tokenizer.model")):
        tokenizer = load_tokenizer(llm)
    vision = config.vision_config
    assert vision is not None and not isinstance(vision, dict)
    return join_configs(part_of(llm, "text_config"), vision, tokenizer), tokenizer


def _template_of(folder: Path) -> str:
    """The chat template a model has."""
    path = folder / "chat_template.jinja"
    if not path.is_file():
        raise WeightsError(
            "the model has no chat_template.jinja", where=Location(folder), hint="--prompt vicuna_v1"
        )
    return path.read_text(encoding="utf-8")


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
