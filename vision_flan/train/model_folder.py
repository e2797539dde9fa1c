"""A finished model as a folder in llava-hf's layout, which transformers loads."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor
from transformers import (
    GenerationConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerBase,
)
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

from vision_flan.train.checkpoint import machine_errors
from vision_flan.train.config import Config
from vision_flan.train.lora import merged, plain_name
from vision_flan.train.model import side_of, text_of, vision_of
from vision_flan.train.processes import Processes
from vision_flan.train.prompts import MARK, STYLES
from vision_flan.train.weights import Weights, replace_folder, write


def export(
    config: Config,
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerBase,
    weights: Weights,
    processes: Processes,
) -> Path:
    """Writes the model into `<out>/hf`; every rank must call it. The folder.

    What learned is gathered tensor by tensor; what was frozen is copied from the file it came from, so that
    no rounding of the run's own compute type gets into it. LoRA's adapters are added to the weights.

    Raises:
        MachineError: the disk is full.
    """
    folder = config.folder / "hf"
    dtype: torch.dtype = getattr(torch, config.checkpoint.export_dtype)
    parameters = {plain_name(name): p for name, p in model.named_parameters() if ".lora_" not in name}

    def tensors() -> Iterator[tuple[str, Tensor]]:
        for name, parameter in parameters.items():
            if name in weights and not parameter.requires_grad:
                yield name, merged(model, name, weights.full(name, parameter.shape[0]), config.train.lora)
            else:
                yield name, parameter.full_tensor() if isinstance(parameter, DTensor) else parameter

    shapes = {name: tuple(parameter.shape) for name, parameter in parameters.items()}
    if processes.is_main:
        with machine_errors(folder, sum(map(math.prod, shapes.values())) * dtype.itemsize):
            made = folder.with_name(folder.name + ".tmp")
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir(parents=True)
            write(made, shapes, tensors(), dtype)
            save_around(made, model.config, tokenizer, chat_template(config.data.prompt), dtype)
            replace_folder(made, folder)
    else:
        for _ in tensors():
            pass
    processes.barrier()
    return folder


def save_around(
    folder: Path, config: LlavaConfig, tokenizer: PreTrainedTokenizerBase, template: str, dtype: torch.dtype
) -> None:
    """Writes all of a llava-hf folder but the weights: configuration, tokenizer, processor, chat template."""
    config.dtype = dtype  # else a reload gives float32
    config.architectures = ["LlavaForConditionalGeneration"]
    config.save_pretrained(folder)
    extra = range(config.image_token_id, text_of(config).vocab_size)
    GenerationConfig(  # type: ignore[no-untyped-call,unused-ignore]
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        suppress_tokens=list(extra),  # rows beyond the text vocabulary are not trained
    ).save_pretrained(folder)
    side = side_of(config)
    LlavaProcessor(  # type: ignore[no-untyped-call,unused-ignore]
        image_processor=LlavaImageProcessorPil(
            size={"shortest_edge": side}, crop_size={"height": side, "width": side}, do_pad=True
        ),
        tokenizer=tokenizer,
        patch_size=vision_of(config).patch_size,
        vision_feature_select_strategy=config.vision_feature_select_strategy,
        num_additional_image_tokens=1,
        chat_template=template,
    ).save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings["legacy"] = True  # transformers does not save it, and its default differs
    if settings.get("tokenizer_class") == "LlamaTokenizer":
        # that class would put transformers' spaces back (see `load_tokenizer`); this one takes
        # tokenizer.json as it is
        settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def chat_template(prompt: str) -> str:
    """The prompt style as a Jinja template over questions and answers."""
    style = STYLES[prompt]
    answer = f"{style.answer_end}{{{{ eos_token if {str(style.eos).lower()} else '' }}}}"
    space = " " if style.eos else ""
    text = "{{ part['text'] }}" if style.shows_prompt else ""
    newline = "\n" if style.shows_prompt else ""
    return (
        "{% for message in messages %}"
        "{% set parts = [{'type': 'text', 'text': message['content']}] if message['content'] is string"
        " else message['content'] %}"
        "{% if message['role'] == 'user' %}"
        + "{% if loop.first %}"
        + json_literal(style.before)
        + "{% else %}"
        + json_literal(("<s>" if style.again_bos else "") + style.again)
        + "{% endif %}{% for part in parts %}"
        "{% if part['type'] == 'image' %}" + json_literal(MARK + newline) + "{% endif %}{% endfor %}"
        "{% for part in parts %}{% if part['type'] == 'text' %}"
        + text
        + "{% endif %}{% endfor %}"
        + json_literal(style.after)
        + "{% elif message['role'] == 'assistant' %}{% for part in parts %}"
        + json_literal(space)
        + "{{ part['text'] }}{% endfor %}"
        + answer
        + "{% endif %}{% endfor %}"
    )


def json_literal(text: str) -> str:
    """A Jinja expression that prints `text` as it is, line ends included."""
    return "{{ " + json.dumps(text) + " }}"
