"""Attention within each document of a packed row, by PyTorch's flash attention for lengths that differ."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812  everyone's name for it
from torch import Tensor
from torch.nn.attention.varlen import varlen_attn
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from vision_flan.train.config import Parallel

#: `parallel.attention`, and the name by which transformers finds it.
VARLEN = "varlen"


def attention_for(parallel: Parallel, device: torch.device) -> str:
    """What keeps packed documents apart: a dense mask on CPU, `varlen` on a GPU, or what is asked for.

    On a GPU a dense mask of 16,384 x 16,384 would cost half a gigabyte and all of flash attention's gain.
    Flex attention computes blocks of 128, of which documents of 700 tokens fill few, and compiling what
    finds these blocks took minutes on an H200; but `varlen` has no kernel for float32.
    """
    if parallel.attention != "auto":
        return parallel.attention
    if device.type != "cuda":
        return "sdpa"
    return VARLEN if parallel.precision == "bf16" else "flex_attention"


@dataclass(frozen=True)
class Bounds:
    """Where the documents of a row begin and end.

    Args:
        starts: int32 [documents + 1]; the first token of each, and the end of the row.
        longest: tokens of the longest.
    """

    starts: Tensor
    longest: int

    @classmethod
    def of(cls, lengths: tuple[int, ...], padding: int) -> Bounds:
        """Those of documents end to end, what pads the row being one of them."""
        parts = [*lengths, padding] if padding else list(lengths)
        starts = torch.tensor([0, *parts], dtype=torch.int32).cumsum(0, dtype=torch.int32)
        return cls(starts, max(parts))

    def arguments(self, device: torch.device) -> dict[str, Tensor | int]:
        """By transformers' names, under which its models hand them down to the attention."""
        return {
            "cu_seq_lens_q": self.starts.to(device, non_blocking=True),
            "max_length_q": self.longest,
        }


def _attend(
    module: object,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: object,
    *,
    cu_seq_lens_q: Tensor,
    max_length_q: int,
    scaling: float | None = None,
    **settings: object,
) -> tuple[Tensor, None]:
    """[1, heads, tokens, width] thrice -> [1, tokens, heads, width]."""
    q, k, v = (states[0].transpose(0, 1) for states in (query, key, value))
    if q.shape[1] != k.shape[1]:
        k, v = (states.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for states in (k, v))
    if query.device.type == "cpu":
        return _one_by_one(q, k, v, cu_seq_lens_q, scaling)[None], None
    out = varlen_attn(
        q,
        k,
        v,
        cu_seq_lens_q,
        cu_seq_lens_q,
        max_length_q,
        max_length_q,
        scale=scaling,
        window_size=(-1, 0),  # to the left only: causal
    )
    assert isinstance(out, Tensor)
    return out[None], None


def _one_by_one(q: Tensor, k: Tensor, v: Tensor, starts: Tensor, scaling: float | None) -> Tensor:
    """The same without a kernel for it."""
    parts = []
    for start, end in pairwise(starts.tolist()):
        query, key, value = (states[start:end].transpose(0, 1) for states in (q, k, v))
        one = F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scaling)
        parts.append(one.transpose(0, 1))
    return torch.cat(parts)


ALL_ATTENTION_FUNCTIONS.register(VARLEN, _attend)
ALL_MASK_ATTENTION_FUNCTIONS.register(VARLEN, lambda *args, **kwargs: None)
