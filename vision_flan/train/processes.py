"""The processes of a run: how they join, wait for one another, and fail together."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
import torch.distributed as dist

from vision_flan.errors import VflanError

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """This process among all of the run.

    Attributes:
        device: what it computes on.
        rank, ranks: which of how many.
        control: a gloo group for whatever may take long: NCCL gives up after ten minutes, and a model is
            downloaded or a checkpoint written for longer.
    """

    device: torch.device
    rank: int
    ranks: int
    control: dist.ProcessGroup | None

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0, which writes and logs."""
        return self.rank == 0

    def barrier(self) -> None:
        """Waits for all."""
        dist.barrier(group=self.control)

    def gather(self, value: T) -> list[T]:
        """Every rank's value, by rank."""
        values: list[T] = [value] * self.ranks
        dist.all_gather_object(values, value, group=self.control)
        return values

    def on_main(self, make: Callable[[], T]) -> T:
        """What `make()` gives on rank 0, on all ranks; its error too."""
        outcome = [_attempt(make) if self.is_main else None]
        dist.broadcast_object_list(outcome, src=0, group=self.control)
        assert outcome[0] is not None
        return _result(outcome[0])

    def first_on_node(self, make: Callable[[], T]) -> T:
        """`make()` on one process of each machine, then on the others, which find its files in the cache.

        Raises:
            VflanError: the first one's, on every rank, so that none waits for a machine that has failed.
        """
        first = int(os.environ.get("LOCAL_RANK", "0")) == 0
        outcome = _attempt(make) if first else None
        failed = [error for error in self.gather(outcome.error if outcome else None) if error]
        if outcome and outcome.error:
            raise outcome.error
        if failed:
            raise failed[0]
        return _result(outcome) if outcome else make()


@dataclass(frozen=True)
class _Outcome(Generic[T]):
    value: T | None
    error: Exception | None


def _attempt(make: Callable[[], T]) -> _Outcome[T]:
    try:
        return _Outcome(make(), None)
    except (VflanError, OSError) as error:
        return _Outcome(None, error)


def _result(outcome: _Outcome[T]) -> T:
    if outcome.error:
        raise outcome.error
    return outcome.value  # type: ignore[return-value]


def start_processes(minutes: float = 24 * 60) -> Processes:
    """Joins the process group torchrun describes, or makes one of one process.

    Args:
        minutes: how long `Processes.control` waits for a rank that is busy.
    """
    local = int(os.environ.get("LOCAL_RANK", "0"))
    for name, value in (
        ("RANK", "0"),
        ("WORLD_SIZE", "1"),
        ("MASTER_ADDR", "127.0.0.1"),
        ("MASTER_PORT", "0"),
    ):
        os.environ.setdefault(name, value)
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", local) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    # gloo beside nccl: checkpoints are written from the CPU while the GPUs go on
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", device_id=device if cuda else None)
    control = dist.new_group(backend="gloo", timeout=datetime.timedelta(minutes=minutes))
    return Processes(device, dist.get_rank(), dist.get_world_size(), control)
