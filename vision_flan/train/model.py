"""LLaVA from its parts: configuration, tokenizer, an empty model, and its weights shard by shard."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from tokenizers import models, normalizers, pre_tokenizers
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.distributed.tensor._utils import compute_local_shape_and_global_offset
from transformers import (
    AutoConfig,
    AutoTokenizer,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PretrainedConfig,
    PreTrainedTokenizerBase,
)
from transformers.tokenization_utils_base import generate_merges

from vision_flan.errors import Location
from vision_flan.train.config import Init
from vision_flan.train.lora import plain_name, start_of
from vision_flan.train.prompts import MARK
from vision_flan.train.weights import (
    LLM,
    PROJECTOR,
    VISION,
    Weights,
    WeightsError,
    check_small_files,
    fetch,
    said,
)

#: Mean and standard deviation of each channel in CLIP's training (transformers.image_utils).
MEAN: Sequence[float] = (0.48145466, 0.4578275, 0.40821073)
STD: Sequence[float] = (0.26862954, 0.26130258, 0.27577711)


def text_of(config: LlavaConfig) -> LlamaConfig:
    """The LLM's part of a configuration."""
    return cast(LlamaConfig, config.text_config)


def vision_of(config: LlavaConfig) -> CLIPVisionConfig:
    """The vision tower's part of a configuration."""
    return cast(CLIPVisionConfig, config.vision_config)


def patches_of(config: LlavaConfig) -> int:
    """Tokens one image takes: the patches, without the class token."""
    vision = vision_of(config)
    side, patch = vision.image_size, vision.patch_size
    assert isinstance(side, int) and isinstance(patch, int)
    return (side // patch) ** 2


def side_of(config: LlavaConfig) -> int:
    """Pixels of the tower's input, in each direction."""
    side = vision_of(config).image_size
    assert isinstance(side, int)
    return side


def read_init(init: Init) -> tuple[LlavaConfig, PreTrainedTokenizerBase, Weights]:
    """Configuration, tokenizer and weights that `init` names; only headers are read.

    Raises:
        WeightsError: a part that is missing.
    """
    if init.from_:
        folder = fetch(init.from_)
        config, tokenizer, weights = read_llava_config(folder), load_tokenizer(folder), Weights.read(folder)
        refuse_more_layers(config, weights)
        return config, tokenizer, weights
    if not init.llm:
        raise WeightsError("the recipe starts from no model", hint="init.from=<folder>, or init.llm=<folder>")
    llm, vision = fetch(init.llm), fetch(init.vision)
    tokenizer = load_tokenizer(llm)
    config = join_configs(part_of(llm, "text_config"), part_of(vision, "vision_config"), tokenizer)
    weights = Weights.read(llm, LLM) | Weights.read(vision, VISION)
    if init.projector:
        weights |= Weights.read(fetch(init.projector), PROJECTOR)
    refuse_more_layers(config, weights)
    return config, tokenizer, weights


def refuse_more_layers(config: LlavaConfig, weights: Weights) -> None:
    """Refuse a configuration with more layers than there are tensors: an empty model has them all.

    Raises:
        WeightsError: it has more.
    """
    for part in (text_of(config), vision_of(config)):
        layers = part.num_hidden_layers
        if not isinstance(layers, int) or layers > len(weights.places):
            raise WeightsError(
                f"{layers!r:.40} layers by its configuration, and {len(weights.places):,} tensors",
                hint="look at `init` of the recipe",
            )


def read_llava_config(folder: Path) -> LlavaConfig:
    """The configuration of a LLaVA; raises WeightsError where there is none or it is another model's."""
    config = read_config(folder)
    if not isinstance(config, LlavaConfig):
        raise WeightsError(f"a model of type {config.model_type}, not LLaVA", where=Location(folder))
    return config


def read_config(folder: Path) -> PretrainedConfig:
    """A model's configuration; raises WeightsError where there is none (transformers may take defaults)."""
    if not (folder / "config.json").is_file():
        raise WeightsError("no configuration of a model: config.json is not there", where=Location(folder))
    check_small_files(folder)
    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        return config
    except Exception as error:  # of whatever its values make of the library
        raise WeightsError(f"no configuration of a model: {said(error)}", where=Location(folder)) from error


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer, with SentencePiece's own spaces.

    `legacy` gives each piece of text a space at its start, also after `<image>`, as LLaVA has it. Where the
    text begins with a space already, transformers leaves that space out, and SentencePiece does not.
    """
    check_small_files(folder)
    try:
        return _tokenizer(folder)
    except Exception as error:  # its libraries raise plain `Exception`, and what a file's values lead to
        raise WeightsError(f"no tokenizer: {said(error)}", where=Location(folder)) from error


def _tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        folder, legacy=True, trust_remote_code=False
    )
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend and (folder / "tokenizer.model").is_file() and not (folder / "tokenizer.json").is_file():
        backend.model = _merging_by_score(folder / "tokenizer.model")
    spaces = getattr(backend, "pre_tokenizer", None)
    if backend and isinstance(spaces, pre_tokenizers.Metaspace) and spaces.prepend_scheme == "always":
        backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        backend.pre_tokenizer = None
    return tokenizer


def _merging_by_score(path: Path) -> models.BPE:
    """A SentencePiece model whose pieces merge by their scores; transformers takes them by their ids.

    Llama's runs of spaces have low ids and the lowest score: they are merged last.
    """
    import sentencepiece

    model = sentencepiece.SentencePieceProcessor(model_file=str(path))
    ids = range(model.get_piece_size())
    vocab = {model.id_to_piece(number): number for number in ids}
    scores = {model.id_to_piece(number): model.get_score(number) for number in ids}
    merged_never = [
        model.id_to_piece(n) for n in ids if model.is_control(n) or model.is_unknown(n) or model.is_byte(n)
    ]
    merges = generate_merges(vocab, scores, merged_never)
    unknown = model.id_to_piece(model.unk_id())
    return models.BPE(vocab=vocab, merges=merges, unk_token=unknown, fuse_unk=True, byte_fallback=True)


def token_id_of(tokenizer: PreTrainedTokenizerBase, token: str) -> int:
    """The id of one token."""
    found = tokenizer.convert_tokens_to_ids(token)
    assert isinstance(found, int)
    return found


def part_of(folder: Path, name: str) -> PretrainedConfig:
    """The language or vision part of a model's configuration, or the whole where it has no parts."""
    config = read_config(folder)
    part: PretrainedConfig = getattr(config, name, config)
    return part


def join_configs(
    text: PretrainedConfig, vision: PretrainedConfig, tokenizer: PreTrainedTokenizerBase
) -> LlavaConfig:
    """LLaVA's configuration over two parts; `<image>` gets an id and rows, as llava-hf does it."""
    tokenizer.add_tokens([MARK], special_tokens=True)
    if tokenizer.pad_token is None:
        tokenizer.add_special_tokens({"pad_token": "<pad>"})
    image_id = token_id_of(tokenizer, MARK)
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


def empty_model(config: LlavaConfig, attention: str) -> LlavaForConditionalGeneration:
    """The model without storage, to be sharded before it is filled; the tower always runs SDPA."""
    try:
        with torch.device("meta"):
            model = LlavaForConditionalGeneration(config)
    except Exception as error:  # of whatever its values make of the library
        raise WeightsError(f"no model can be made by this configuration: {said(error)}") from error
    model.set_attn_implementation({"text_config": attention, "vision_config": "sdpa"})
    return model


def freeze(model: LlavaForConditionalGeneration, *, llm: bool, projector: bool) -> None:
    """Leaves only what learns with gradients; the vision tower never does."""
    for name, parameter in model.named_parameters():
        frozen = name.startswith(VISION) or (llm and name.startswith(LLM))
        parameter.requires_grad_(not (frozen or (projector and name.startswith(PROJECTOR))))
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise WeightsError(
            "nothing learns: both the LLM and the projector are frozen",
            hint="vflan train untuned, which exports a model without a step",
        )


def fill(model: LlavaForConditionalGeneration, weights: Weights, device: torch.device, seed: int) -> None:
    """Gives an empty, maybe sharded model storage on `device`, and its values.

    What does not fit the weights is refused before memory is taken for it.

    Each rank reads its own rows. Buffers that no checkpoint holds (CLIP's position ids, the rotary
    frequencies) are regenerated, since `to_empty` leaves whatever was in memory.
    """
    for full_name, parameter in model.named_parameters():
        if plain_name(full_name) in weights:
            weights.must_fit(plain_name(full_name), tuple(parameter.shape))
    model.to_empty(device=device)
    restore_buffers(model)
    with torch.no_grad():
        for full_name, parameter in model.named_parameters():
            name = plain_name(full_name)
            start, stop = _local_rows(parameter)
            adapter = start_of(name, tuple(parameter.shape), seed)
            if adapter is not None:
                value = adapter[start:stop]
            elif name in weights:
                value = weights.rows(name, start, stop)
            elif name.startswith(PROJECTOR):
                value = _random_rows(name, model, parameter, seed)[start:stop]
            else:
                raise WeightsError(
                    f"the checkpoints have no tensor {name}", hint="look at `init` of the recipe"
                )
            target = parameter.to_local() if isinstance(parameter, DTensor) else parameter
            target.copy_(value)


def _local_rows(parameter: Tensor) -> tuple[int, int]:
    """The rows of a parameter that this rank holds."""
    if not isinstance(parameter, DTensor):
        return 0, parameter.shape[0]
    shape, offset = compute_local_shape_and_global_offset(
        parameter.shape, parameter.device_mesh, parameter.placements
    )
    return (offset[0], offset[0] + shape[0]) if shape[0] else (0, 0)


def _random_rows(name: str, model: nn.Module, parameter: Tensor, seed: int) -> Tensor:
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
