"""LLaVA from its parts: configuration, tokenizer, an empty model, and its weights shard by shard."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.distributed.tensor._utils import compute_local_shape_and_global_offset
from transformers import (
    AutoConfig,
    AutoTokenizer,
    GenerationConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

from vision_flan.errors import Location
from vision_flan.train.config import Init
from vision_flan.train.prompts import MARK, STYLES
from vision_flan.train.weights import LLM, PROJECTOR, VISION, Weights, WeightsError, fetch

#: Mean and standard deviation of each channel in CLIP's training (transformers.image_utils).
MEAN: Sequence[float] = (0.48145466, 0.4578275, 0.40821073)
STD: Sequence[float] = (0.26862954, 0.26130258, 0.27577711)


def patches_of(config: Any) -> int:
    """Tokens one image takes: the patches, without the class token."""
    vision = config.vision_config
    return int((vision.image_size // vision.patch_size) ** 2)


def read_init(init: Init) -> tuple[Any, Any, Weights]:
    """Configuration, tokenizer and weights that `init` names; only headers are read.

    Raises:
        WeightsError: a part that is missing.
    """
    if init.from_:
        folder = fetch(init.from_)
        return read_config(folder, LlavaConfig), load_tokenizer(folder), Weights.read(folder)
    if not init.llm:
        raise WeightsError("the recipe starts from no model", hint="init.from=<folder>, or init.llm=<folder>")
    llm, vision = fetch(init.llm), fetch(init.vision)
    tokenizer = load_tokenizer(llm)
    config = join_configs(_part(llm, "text_config"), _part(vision, "vision_config"), tokenizer)
    weights = Weights.read(llm, LLM) | Weights.read(vision, VISION)
    if init.projector:
        weights |= Weights.read(fetch(init.projector), PROJECTOR)
    return config, tokenizer, weights


def read_config(folder: Path, kind: Any = AutoConfig) -> Any:
    """A model's configuration; raises WeightsError where there is none (transformers may take defaults)."""
    if not (folder / "config.json").is_file():
        raise WeightsError("no configuration of a model: config.json is not there", where=Location(folder))
    try:
        return kind.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise WeightsError(f"no configuration of a model: {error}", where=Location(folder)) from error


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer with `legacy` spacing, which is what gives LLaVA's ids around `<image>`."""
    try:
        return AutoTokenizer.from_pretrained(folder, legacy=True)
    except (OSError, ValueError) as error:
        raise WeightsError(f"no tokenizer: {error}", where=Location(folder)) from error


def _part(folder: Path, name: str) -> Any:
    """The language or vision part of a model's configuration, or the whole where it has no parts."""
    config = read_config(folder)
    return getattr(config, name, config)


def join_configs(text: Any, vision: Any, tokenizer: Any) -> Any:
    """LLaVA's configuration over two parts; `<image>` gets an id and rows, as llava-hf does it."""
    tokenizer.add_tokens([MARK], special_tokens=True)
    if tokenizer.pad_token is None:
        tokenizer.add_special_tokens({"pad_token": "<pad>"})
    image_id = tokenizer.convert_tokens_to_ids(MARK)
    text.vocab_size = -(-max(text.vocab_size, len(tokenizer)) // 64) * 64
    text.pad_token_id = tokenizer.pad_token_id
    config = LlavaConfig(
        vision_config=vision.to_dict(),
        text_config=text.to_dict(),
        image_token_index=image_id,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        tie_word_embeddings=text.tie_word_embeddings,
    )
    config.image_seq_length = patches_of(config)
    return config


def empty_model(config: Any, attention: str) -> Any:
    """The model without storage, to be sharded before it is filled; the tower always runs SDPA."""
    with torch.device("meta"):
        model = LlavaForConditionalGeneration(config)
    model.set_attn_implementation({"text_config": attention, "vision_config": "sdpa"})
    return model


def freeze(model: Any, *, llm: bool, projector: bool) -> None:
    """Leaves only what learns with gradients; the vision tower never does."""
    for name, parameter in model.named_parameters():
        frozen = name.startswith(VISION) or (llm and name.startswith(LLM))
        parameter.requires_grad_(not (frozen or (projector and name.startswith(PROJECTOR))))
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise WeightsError("nothing learns: both the LLM and the projector are frozen")


def checkpoint_activations(model: Any, how: str) -> None:
    """Recomputes activations in the backward pass: of no layer, every layer, or every n-th."""
    if how != "none":
        every = 1 if how == "full" else int(how)
        model.model.language_model.activation_checkpointing_enable(every_n_layers=every)


def fill(model: Any, weights: Weights, device: torch.device, seed: int) -> None:
    """Gives an empty, maybe sharded model storage on `device`, and its values.

    Each rank reads its own rows. Buffers that no checkpoint holds (CLIP's position ids, the rotary
    frequencies) are regenerated, since `to_empty` leaves whatever was in memory.
    """
    model.to_empty(device=device)
    restore_buffers(model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name not in weights and not name.startswith(PROJECTOR):
                raise WeightsError(
                    f"the checkpoints have no tensor {name}", hint="look at `init` of the recipe"
                )
            start, stop = _my_rows(parameter)
            if name in weights:
                weights.must_fit(name, tuple(parameter.shape))
                value = weights.rows(name, start, stop)
            else:
                value = _random_rows(name, model, parameter, seed)[start:stop]
            target = parameter.to_local() if isinstance(parameter, DTensor) else parameter
            target.copy_(value)


def _my_rows(parameter: Tensor) -> tuple[int, int]:
    """The rows of a parameter that this rank holds."""
    if not isinstance(parameter, DTensor):
        return 0, parameter.shape[0]
    shape, offset = compute_local_shape_and_global_offset(
        parameter.shape, parameter.device_mesh, parameter.placements
    )
    return (offset[0], offset[0] + shape[0]) if shape[0] else (0, 0)


def _random_rows(name: str, model: Any, parameter: Tensor, seed: int) -> Tensor:
    """PyTorch's own start of a linear layer, from a generator that knows only seed and name."""
    width = model.get_parameter(name.replace(".bias", ".weight")).shape[1]
    number = int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:8], "little") >> 1
    bound = 1 / math.sqrt(width)
    return torch.rand(parameter.shape, generator=torch.Generator().manual_seed(number)) * 2 * bound - bound


def restore_buffers(model: nn.Module) -> None:
    for module in list(model.modules()):
        if list(module.buffers(recurse=False)):
            fresh = type(module)(module.config)
            for name, buffer in fresh.named_buffers(recurse=False):
                getattr(module, name).copy_(buffer)


def normalize(images: Tensor, dtype: torch.dtype) -> Tensor:
    """uint8 [n, side, side, 3] -> [n, 3, side, side] as CLIP's processor gives it, on the images' device."""
    mean = torch.tensor(MEAN, device=images.device).view(1, 3, 1, 1)
    std = torch.tensor(STD, device=images.device).view(1, 3, 1, 1)
    return ((images.permute(0, 3, 1, 2).float() / 255 - mean) / std).to(dtype)


def save_around(folder: Path, config: Any, tokenizer: Any, prompt: str, dtype: torch.dtype) -> None:
    """Writes all of a llava-hf folder but the weights: configuration, tokenizer, processor, chat template."""
    config.dtype = dtype  # else a reload gives float32
    config.architectures = ["LlavaForConditionalGeneration"]
    config.save_pretrained(folder)
    extra = range(config.image_token_id, config.text_config.vocab_size)
    GenerationConfig(  # type: ignore[no-untyped-call,unused-ignore]
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        suppress_tokens=list(extra),  # rows beyond the text vocabulary are not trained
    ).save_pretrained(folder)
    side = config.vision_config.image_size
    LlavaProcessor(  # type: ignore[no-untyped-call,unused-ignore]
        image_processor=LlavaImageProcessorPil(
            size={"shortest_edge": side}, crop_size={"height": side, "width": side}, do_pad=True
        ),
        tokenizer=tokenizer,
        patch_size=config.vision_config.patch_size,
        vision_feature_select_strategy=config.vision_feature_select_strategy,
        num_additional_image_tokens=1,
        chat_template=chat_template(prompt),
    ).save_pretrained(folder)
    path = folder / "tokenizer_config.json"  # transformers does not save `legacy`, and its default differs
    settings = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**settings, "legacy": True}, indent=2) + "\n", encoding="utf-8")


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
        + json_literal(style.again)
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
