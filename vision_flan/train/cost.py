"""What a run takes of each GPU, found without one: memory, and what the GPUs send each other in a step.

The step is the trainer's own, on tensors without storage and a process group that sends nothing. Weights,
gradients and moments are counted to the byte; activations are what PyTorch's tracker sees live in the forward
and backward passes. Not in it: the CUDA context, NCCL's buffers, and what the allocator cannot reuse.
"""

from __future__ import annotations

import copy
import dataclasses
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.fsdp2_mem_tracker import FSDPMemTracker
from torch.testing._internal.distributed.fake_pg import FakeStore
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from vision_flan.train.batches import Row
from vision_flan.train.collectives import Collectives, Sent
from vision_flan.train.config import Config, ConfigError, Init
from vision_flan.train.loop import prepare
from vision_flan.train.model import patches_of, read_config, side_of, text_of
from vision_flan.train.processes import Processes
from vision_flan.train.update import add_gradients, apply_gradients, make_optimizer

GIB = 2**30
#: Tokens of a typical sample (an image's 576, question and answer), and those of its answer.
SAMPLE_TOKENS, ANSWER_TOKENS = 700, 60

#: Llama's width, MLP and layers, by a part of the model's name; heads have 128 dimensions.
_SHAPES = {"7b": (4096, 11008, 32), "13b": (5120, 13824, 40)}
_ATTENTION = "causal_without_mask"


@dataclass(frozen=True)
class Cost:
    """What one GPU of a run holds, and what it takes part in each step.

    Attributes:
        ranks: GPUs.
        row_tokens: tokens of the longest row a step can have.
        rows: rows of a typical step on each GPU.
        trained, frozen: parameters of the whole model.
        weights, gradients, moments: bytes a GPU, between two steps.
        peak: bytes a GPU at the worst moment of a step, all of the above included.
        sent: collectives of a typical step, by kind.
    """

    ranks: int
    row_tokens: int
    rows: int
    trained: int
    frozen: int
    weights: int
    gradients: int
    moments: int
    peak: int
    sent: Mapping[str, Sent] = field(default_factory=dict)

    @property
    def rest(self) -> int:
        """Bytes of activations, gathered layers and what is being reduced, at the worst moment."""
        return self.peak - self.weights - self.gradients - self.moments

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return {**dataclasses.asdict(self), "rest": self.rest}


class _Answers(TorchDispatchMode):  # type: ignore[misc,unused-ignore]
    """Says yes where transformers asks a tensor whether images and their places are equally many."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call,unused-ignore]

    def __torch_dispatch__(
        self,
        operation: torch._ops.OpOverload,
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        if operation is torch.ops.aten._local_scalar_dense.default:
            return True
        return operation(*args, **(kwargs or {}))


def shape_of(init: Init) -> LlavaConfig:
    """The architecture that `init` names: of a folder, or of Llama's 7B or 13B by the model's name.

    Raises:
        ConfigError: neither.
    """
    named = init.from_ or init.llm
    if (Path(named) / "config.json").is_file():
        found = read_config(Path(named))
        if isinstance(found, LlavaConfig):
            return found
        return _llava(LlamaConfig(**{**found.to_dict(), "vocab_size": -(-(found.vocab_size + 2) // 64) * 64}))
    size = next((size for size in ("13b", "7b") if size in named.lower()), "")
    if not size:
        raise ConfigError(
            f"the shape of {named or 'no model'!r} is not known",
            hint="init.from=<folder with a config.json>, or init.llm=<a name with 7b or 13b>",
        )
    width, mlp, layers = _SHAPES[size]
    return _llava(
        LlamaConfig(
            vocab_size=32064,
            hidden_size=width,
            intermediate_size=mlp,
            num_hidden_layers=layers,
            num_attention_heads=width // 128,
        )
    )


def _llava(text: LlamaConfig) -> LlavaConfig:
    """LLaVA-1.5 over an LLM: CLIP-ViT-L-336px as the tower."""
    vision = CLIPVisionConfig(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
        image_size=336,
        patch_size=14,
        projection_dim=768,
    )
    config = LlavaConfig(
        vision_config=vision.to_dict(),
        text_config=text.to_dict(),
        image_token_index=text.vocab_size - 64,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
    )
    config.image_seq_length = patches_of(config)
    return config


def cost(config: Config, architecture: LlavaConfig, ranks: int) -> Cost:
    """What a run of `config` takes on `ranks` GPUs.

    Raises:
        ConfigError: `parallel.replicate` does not divide the ranks, or nothing is trained.
    """
    if config.train.untuned:
        raise ConfigError("an untuned model is joined without a GPU", hint="vflan train untuned")
    _register_attention()
    parallel = dataclasses.replace(config.parallel, attention=_ATTENTION)
    config = dataclasses.replace(config, parallel=parallel)
    dist.init_process_group("fake", rank=0, world_size=ranks, store=FakeStore())
    try:
        return _cost(config, architecture, ranks)
    finally:
        dist.destroy_process_group()


def _cost(config: Config, architecture: LlavaConfig, ranks: int) -> Cost:
    batch, limit = config.train.batch, config.parallel.max_tokens_per_rank
    row_tokens = min(limit, -(-batch // ranks) * config.data.max_tokens)
    rows = max(1, -(-batch * SAMPLE_TOKENS // (ranks * limit)))
    model = prepare(config, architecture, Processes(torch.device("cpu"), 0, ranks, None))
    learning = [p for p in model.parameters() if p.requires_grad]
    kept = [p for p in model.parameters() if not p.requires_grad]
    own_learning = sum(map(_own_bytes, learning))
    moments = own_learning * (2 if config.train.optimizer == "adamw" else 0)
    peak, sent = _extrapolated(config, architecture, rows, row_tokens)
    return Cost(
        ranks=ranks,
        row_tokens=row_tokens,
        rows=rows,
        trained=sum(p.numel() for p in learning),
        frozen=sum(p.numel() for p in kept),
        weights=own_learning + sum(map(_own_bytes, kept)),
        gradients=own_learning,
        moments=moments,
        peak=peak + moments,
        sent=sent,
    )


def _extrapolated(
    config: Config, architecture: LlavaConfig, rows: int, tokens: int
) -> tuple[int, dict[str, Sent]]:
    """`_step` of the whole model, on the line through two with few layers: all layers are alike."""
    how = config.parallel.checkpointing
    layers = text_of(architecture).num_hidden_layers
    few, more = _few_layers(layers, int(how) if how.isdigit() else 1)
    if layers <= more:
        return _step_of(config, architecture, layers, rows, tokens)
    (low, sent_low), (high, sent_high) = (
        _step_of(config, architecture, count, rows, tokens) for count in (few, more)
    )
    times = (layers - few) // (more - few)
    sent = {kind: one.plus(sent_high[kind].plus(one, -1), times) for kind, one in sent_low.items()}
    return low + (high - low) * times, sent


def _few_layers(layers: int, every: int) -> tuple[int, int]:
    """Two numbers of layers on the line: every `every`-th is recomputed, also in the whole."""
    few = layers % every + 3 * every
    return few, few + every


def _step_of(
    config: Config, architecture: LlavaConfig, layers: int, rows: int, tokens: int
) -> tuple[int, dict[str, Sent]]:
    small = copy.deepcopy(architecture)
    text_of(small).num_hidden_layers = layers
    model = prepare(config, small, Processes(torch.device("cpu"), 0, dist.get_world_size(), None))
    with FakeTensorMode(allow_non_fake_inputs=True), _Answers(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="FSDP2-wrapped module")  # its result is only read
        model.to_empty(device="cpu")
        model.train()
        return _step(config, model, rows, tokens)


def _own_bytes(parameter: Tensor) -> int:
    """Bytes of the part of a parameter that lies on this rank."""
    local: Callable[[], Tensor] | None = getattr(parameter, "to_local", None)
    return int((local() if local else parameter).nbytes)


def _step(
    config: Config, model: LlavaForConditionalGeneration, rows: int, tokens: int
) -> tuple[int, dict[str, Sent]]:
    """Most bytes live at a time while gradients of rows are made, weights included; what the step sends.

    At most three rows are computed: whatever is between the first and the last is as the second.
    """
    row = _row(model, tokens)
    tracker, sent, peak = FSDPMemTracker(model), Collectives(), 0
    tracker.track_inputs((row.token_ids, row.positions, row.images))
    computed = min(rows, 3)
    counted = [dict(sent.sent)]
    for number in range(computed):
        with sent, tracker:
            add_gradients(model, row, 1.0, config.parallel, is_last=number + 1 == computed)
        counted.append(dict(sent.sent))
        snapshot = tracker.get_tracker_snapshot("peak")
        peak = max(peak, *(parts["Total"] for parts in snapshot.values()))
        tracker.reset_mod_stats()
    for kind, total in counted[min(2, computed)].items():
        middle = total.plus(counted[1].get(kind, Sent()), -1)
        sent.sent[kind] = sent.sent[kind].plus(middle, rows - computed)
    optimizer = make_optimizer(model, dataclasses.replace(config.train, optimizer="sgd"), torch.device("cpu"))
    with sent:
        dist.all_reduce(torch.zeros(config.train.batch + 1, dtype=torch.float64))
        apply_gradients(model, optimizer, 0.0, config.train)
    return peak, sent.sent


def _row(model: LlavaForConditionalGeneration, tokens: int) -> Row:
    """A row full of typical samples, an image each."""
    side = side_of(model.config)
    samples = max(1, tokens // SAMPLE_TOKENS)
    supervised = min(tokens - 1, samples * ANSWER_TOKENS)
    return Row(
        token_ids=torch.zeros(tokens, dtype=torch.int64),
        positions=torch.arange(tokens),
        predicting=torch.arange(supervised),
        labels=torch.zeros(supervised, dtype=torch.int64),
        sample=torch.zeros(supervised, dtype=torch.int64),
        images=torch.zeros(samples, side, side, 3, dtype=torch.uint8),
        padding=0,
        lengths=(tokens // samples,) * samples,
    )


def _register_attention() -> None:
    """Attention that keeps what flash and flex attention keep, and no square of numbers."""

    def attend(
        module: object, query: Tensor, key: Tensor, value: Tensor, mask: object, **settings: object
    ) -> tuple[Tensor, None]:
        groups = query.shape[1] != key.shape[1]
        found = torch.nn.functional.scaled_dot_product_attention(
            query, key, value, is_causal=True, enable_gqa=groups
        )
        return found.transpose(1, 2).contiguous(), None

    ALL_ATTENTION_FUNCTIONS.register(_ATTENTION, attend)
    ALL_MASK_ATTENTION_FUNCTIONS.register(_ATTENTION, lambda *args, **kwargs: None)


def gib(size: float) -> str:
    """GiB with one decimal."""
    return f"{size / GIB:.1f}"
