"""Greedy answers of the model while it is trained, and its loss on samples it never learns from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import LlavaForConditionalGeneration

from vision_flan.train.attention import attention_for
from vision_flan.train.batches import Steps, to_square
from vision_flan.train.config import Config
from vision_flan.train.fsdp import CompiledLayers, as_fsdp, compute_dtype
from vision_flan.train.mixture import Ref
from vision_flan.train.model import MEAN, normalize, text_of
from vision_flan.train.report import Categories
from vision_flan.train.update import row_loss

#: All but cuDNN's, which makes a plan for each length, that is for each token of an answer.
_PLAIN = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


@dataclass(frozen=True)
class Model:
    """A sharded model and its compiled layers."""

    llava: LlavaForConditionalGeneration
    layers: CompiledLayers
    device: torch.device

    @contextmanager
    def generating(self, config: Config) -> Iterator[None]:
        """Within it, `generate` works: nothing compiled, the root gathered, plain attention."""
        with self.layers.aside():
            self.llava.train(False)
            self.llava.set_attn_implementation({"text_config": "sdpa"})  # one short prompt at a time
            as_fsdp(self.llava).unshard()  # `generate` runs the projector outside of forward
            try:
                with sdpa_kernel(_PLAIN):
                    yield
            finally:
                attention = attention_for(config.parallel, self.device)
                self.llava.set_attn_implementation({"text_config": attention})
                as_fsdp(self.llava).reshard()
                self.llava.train()


def answer_samples(model: Model, steps: Steps, config: Config) -> list[dict[str, str]]:
    """Greedy answers to the first samples of the run; all ranks answer the same, since each holds a part."""
    refs = steps.corpus.mixture.step(0, config.log.samples)
    with model.generating(config):
        return [_answer(model, steps, ref, config) for ref in refs]


def _answer(model: Model, steps: Steps, ref: Ref, config: Config) -> dict[str, str]:
    corpus, encoder, device = steps.corpus, steps.encoder, model.device
    tokenizer = encoder.tokenizer
    sample = corpus.sample(ref)
    prompt = torch.tensor([encoder.prompt_ids(sample)], device=device)
    pixels = None
    if sample.has_image:
        square = to_square(corpus.image(ref), steps.packing.side, MEAN)[None].to(device)
        pixels = normalize(square, compute_dtype(config.parallel))
    with torch.no_grad():
        out = model.llava.generate(
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            pixel_values=pixels,
            max_new_tokens=64,
            do_sample=False,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            suppress_tokens=list(range(encoder.image_id, text_of(model.llava.config).vocab_size)),
            synced_gpus=dist.get_world_size() > 1,
        )
    answer = str(tokenizer.decode(out[0, prompt.shape[1] :], skip_special_tokens=True)).strip()
    question, target = sample.conversation[0]
    return {"id": sample.id, "prompt": question, "target": target, "answer": answer}


def held_out_loss(model: Model, steps: Steps, refs: Sequence[Ref], config: Config) -> dict[str, object]:
    """Mean loss of a supervised token of samples that are never trained on, and the same by category."""
    categories = Categories()
    total, count, batch = 0.0, 0, steps.packing.batch
    model.llava.train(False)
    with torch.no_grad():
        for start in range(0, len(refs), batch):
            step = steps.of(-1, refs[start : start + batch])
            losses = torch.zeros(len(step.samples), dtype=torch.float64, device=model.device)
            for row in step.rows:
                nll = row_loss(model.llava, row, model.device, compute_dtype(config.parallel))
                losses.index_add_(0, row.sample.to(model.device), nll.double())
            dist.all_reduce(losses)
            of_samples = losses.tolist()
            categories.add(step, of_samples)
            total, count = total + sum(of_samples), count + step.supervised
    model.llava.train()
    return {"held_out_loss": total / max(1, count), "held_out_category_loss": categories.log()}
