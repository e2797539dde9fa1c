"""A random LLaVA of some two hundred thousand parameters, in llava-hf's layout, for laptops and tests.

Everything after `create` is the code of a real run: the folder is read by `init.from`.
"""

from __future__ import annotations

import json
import string
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPVisionConfig, LlamaConfig, LlamaTokenizer, LlavaForConditionalGeneration

from vision_flan.train.model import join_configs
from vision_flan.train.model_folder import chat_template, save_around
from vision_flan.train.prompts import STYLES
from vision_flan.train.weights import model_name, replace_folder, write


def make_tokenizer(texts: Iterable[str], size: int = 768) -> Any:
    """A real `LlamaTokenizer` whose pieces are learned from `texts` and the prompt styles."""
    bytes_ = [f"<0x{number:02X}>" for number in range(256)]
    learner = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    learner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<unk>", "<s>", "</s>", *bytes_],
        initial_alphabet=[*string.ascii_letters, *string.digits, *string.punctuation, "▁"],
        show_progress=False,
    )
    styles = [style.before + style.after for style in STYLES.values()]
    learner.train_from_iterator([*styles, *texts], trainer)
    learned = json.loads(learner.to_str())["model"]
    merges = [tuple(merge) for merge in learned["merges"]]
    return LlamaTokenizer(vocab=learned["vocab"], merges=merges, legacy=True, add_bos_token=True)


def create(
    folder: Path,
    texts: Iterable[str],
    *,
    seed: int = 0,
    width: int = 64,
    layers: int = 1,
    tied: bool = False,
    prompt: str = "vicuna_v1",
) -> None:
    """Writes the model into `folder`: 32 pixels, 16 patches, `layers` of `width` in tower and LLM."""
    tokenizer = make_tokenizer(texts)
    shape: dict[str, Any] = {
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
    }
    config = join_configs(
        LlamaConfig(
            vocab_size=len(tokenizer), tie_word_embeddings=tied, initializer_range=width**-0.5, **shape
        ),
        CLIPVisionConfig(image_size=32, patch_size=8, **shape),
        tokenizer,
    )
    made = folder.with_name(folder.name + ".tmp")
    made.mkdir(parents=True, exist_ok=True)
    save_around(made, config, tokenizer, chat_template(prompt), torch.float32)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlavaForConditionalGeneration(config)
    with torch.no_grad():  # nothing trains the tower, so let its positions be as loud as its pixels
        model.model.vision_tower.embeddings.position_embedding.weight.mul_(14)
    tensors = {name: value for name, value in model.named_parameters() if model_name(name)}
    write(made, {name: tuple(value.shape) for name, value in tensors.items()}, tensors.items(), torch.float32)
    replace_folder(made, folder)
