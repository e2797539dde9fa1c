"""What ranks send each other: collectives, counted as they run, with the bytes of their buffers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.utils._python_dispatch import TorchDispatchMode

_KINDS = {
    "_allgather_base_": "all-gather",
    "allgather_": "all-gather",
    "all_gather_into_tensor": "all-gather",
    "_reduce_scatter_base_": "reduce-scatter",
    "reduce_scatter_tensor": "reduce-scatter",
    "allreduce_": "all-reduce",
    "all_reduce": "all-reduce",
    "all_reduce_": "all-reduce",
}


@dataclass(frozen=True)
class Sent:
    """How often a kind of collective ran, and the bytes of its whole buffers."""

    count: int = 0
    bytes: int = 0

    def plus(self, other: Sent, times: int = 1) -> Sent:
        """This and `times` the other."""
        return Sent(self.count + times * other.count, self.bytes + times * other.bytes)


class Collectives(TorchDispatchMode):  # type: ignore[misc,unused-ignore]
    """Counts what ranks send each other, whatever the process group is.

    A gathered tensor counts whole, as does one that is reduced, on each rank.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call,unused-ignore]
        self.sent: dict[str, Sent] = {}

    def __torch_dispatch__(
        self,
        operation: torch._ops.OpOverload,
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        if any(issubclass(kind, DTensor) for kind in types):
            return NotImplemented  # it runs as operations on its local part, which come here again
        result = operation(*args, **(kwargs or {}))
        name = str(operation._schema.name).partition("::")[2].partition(".")[0]
        if operation.namespace in ("c10d", "_c10d_functional") and name in _KINDS:
            size = max(sum(t.nbytes for t in _tensors(part)) for part in (args, result))
            self.sent[_KINDS[name]] = self.sent.get(_KINDS[name], Sent()).plus(Sent(1, size))
        return result


def _tensors(value: object) -> Iterator[Tensor]:
    """The largest lists of tensors count once: a gather's output, a scatter's input."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        parts = [list(_tensors(part)) for part in value]
        yield from max(parts, key=lambda tensors: sum(t.nbytes for t in tensors), default=[])
