"""The model sharded with FSDP2, its layers compiled, and what the activations keep."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
import torch.nn.attention.varlen  # defines its operation
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.utils.checkpoint import CheckpointPolicy, create_selective_checkpoint_contexts
from transformers import LlavaForConditionalGeneration

from vision_flan.train.config import ConfigError, Parallel
from vision_flan.train.weights import VISION

_ATEN = torch.ops.aten
#: What a selective checkpoint keeps: the results of matrix products and of attention, which cost most to
#: redo.
_KEPT_OPERATIONS = frozenset(
    {
        _ATEN.mm.default,
        _ATEN.addmm.default,
        _ATEN._scaled_dot_product_efficient_attention.default,
        _ATEN._scaled_dot_product_flash_attention.default,
        _ATEN._scaled_dot_product_cudnn_attention.default,
        _ATEN._scaled_dot_product_flash_attention_for_cpu.default,
        torch.ops.higher_order.flex_attention,
        torch.ops.torch_attn._varlen_attn.default,
    }
)


def compute_dtype(parallel: Parallel) -> torch.dtype:
    """Type of activations, and of the weights while a layer runs."""
    return torch.bfloat16 if parallel.precision == "bf16" else torch.float32


def _policy(context: object, operation: object, *args: object, **kwargs: object) -> CheckpointPolicy:
    kept = operation in _KEPT_OPERATIONS
    return CheckpointPolicy.MUST_SAVE if kept else CheckpointPolicy.PREFER_RECOMPUTE


def checkpoint_activations(model: LlavaForConditionalGeneration, how: str) -> None:
    """Recomputes activations in the backward pass: of no layer, every layer, every n-th, or selected ones.

    `selective` keeps the results of matrix products and attention, and recomputes norms, rotations and
    products by element, which cost little time and take more than half of the memory.
    """
    if how == "none":
        return
    settings: dict[str, object] = {"use_reentrant": False}
    if how == "selective":
        settings["context_fn"] = functools.partial(create_selective_checkpoint_contexts, _policy)
    every = int(how) if how.isdigit() else 1
    text: Callable[..., None] = model.model.language_model.activation_checkpointing_enable
    text(settings, every_n_layers=every)


def mesh_for(parallel: Parallel, device_type: str) -> DeviceMesh:
    """All ranks in one line, or `parallel.replicate` copies of a shorter one.

    Raises:
        ConfigError: copies that do not divide the ranks.
    """
    ranks, copies = dist.get_world_size(), parallel.replicate
    if ranks % copies:
        raise ConfigError(f"parallel.replicate is {copies}, which does not divide {ranks} ranks")
    if copies == 1:
        return init_device_mesh(device_type, (ranks,))
    return init_device_mesh(device_type, (copies, ranks // copies), mesh_dim_names=("replicate", "shard"))


def decoder_layers(model: LlavaForConditionalGeneration) -> list[nn.Module]:
    """The layers of the LLM."""
    return list(model.model.language_model.layers)


def shard(model: LlavaForConditionalGeneration, parallel: Parallel, device: torch.device) -> None:
    """Shards the model over all ranks, without storage: float32 weights, bf16 compute, float32 reduction.

    - Each decoder layer is a group. Embeddings, head, norm and projector stay in the root's group: tied
      embeddings must share one, and a rank without images still gathers the projector.
    - The vision tower is left out, whole on each rank: transformers reads its hidden states through hooks
      that a sharded module would not run, and it is small.
    - A rank whose rows hold no image reduces zeros for the projector instead of skipping its turn.
    - Frozen weights are kept in the type they are computed in: nothing is added to them. On a single rank
      they are left out, since there is no one to gather from, and nothing is given up after the forward pass.
    """
    dtype = compute_dtype(parallel)
    model.model.vision_tower.to(dtype)
    for parameter in model.parameters():
        if not parameter.requires_grad:
            parameter.data = parameter.data.to(dtype)
    policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
    mesh = mesh_for(parallel, device.type)
    alone = dist.get_world_size() == 1
    left_out = {
        parameter
        for name, parameter in model.named_parameters()
        if name.startswith(VISION) or (alone and not parameter.requires_grad)
    }
    reshard = parallel.reshard_after_forward and not alone
    for layer in decoder_layers(model):
        fully_shard(
            layer, mesh=mesh, mp_policy=policy, reshard_after_forward=reshard, ignored_params=left_out
        )
    fully_shard(model, mesh=mesh, mp_policy=policy, ignored_params=left_out)
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module")  # its output is read, never changed
    root = as_fsdp(model)
    root.set_reduce_scatter_unused_params(True)


def as_fsdp(model: nn.Module) -> FSDPModule:
    """The model by the methods that `fully_shard` has given it."""
    assert isinstance(model, FSDPModule)
    return model


class CompiledLayers:
    """Compiled forward passes of a sharded model's layers, which can be put aside.

    Each layer is compiled by itself, so the compiler sees one small function; FSDP's hooks run around it. To
    generate, the layers run as they are: a compiled form of every prompt's length and of the cache would
    use up the number of forms that the compiler allows a function, and training would go on uncompiled.
    """

    def __init__(self, model: LlavaForConditionalGeneration, backend: str) -> None:
        self._layers = decoder_layers(model) if backend else []
        self._compiled = [torch.compile(layer.forward, backend=backend) for layer in self._layers]
        if backend:
            # of one function there is a form per gradient mode, kind of lengths and recomputed layer
            torch._dynamo.config.recompile_limit = max(64, torch._dynamo.config.recompile_limit)
            # of the tower's layers the MLPs: transformers wraps whole layers, to take their hidden states, in
            # what dynamo cannot follow; they may stay, since images always have the same shape
            for layer in model.model.vision_tower.encoder.layers:
                layer.mlp.forward = torch.compile(layer.mlp.forward, backend=backend)
        self._attach()

    def _attach(self) -> None:
        for layer, compiled in zip(self._layers, self._compiled, strict=True):
            layer.forward = compiled

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Within it, the layers are not compiled."""
        for layer in self._layers:
            del layer.forward
        try:
            yield
        finally:
            self._attach()
