"""Steps of which all GPUs get equally many tokens, whatever their number.

At 64 GPUs and a batch of 128, a rank has two samples of a step, and all wait for the rank with the longest.
So the samples of a window of steps are grouped as they come, groups are sorted by their tokens, and neighbors
make a step: its ranks have similar sums. The steps of a window come in drawn order. All of it is a function
of seed, data and tokenizer: neither ranks nor workers nor a resume change it, and a window shows the samples
that it would have shown anyway, each as often.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vision_flan.train.config import Train
from vision_flan.train.mixture import Mixture, Ref, permutation


@dataclass(frozen=True)
class BalanceWindow:
    """How the samples of several steps are dealt out.

    Attributes:
        batch: samples of a step.
        group: samples that are kept together; it divides `batch`.
        steps: of a window; the last one of a run is shorter.
        total: steps of the run.
        seed: of the run.
    """

    batch: int
    group: int
    steps: int
    total: int
    seed: int

    @classmethod
    def of(cls, train: Train, total: int, seed: int) -> BalanceWindow | None:
        """What a recipe asks for, None for steps as they come."""
        if not train.balance_for:
            return None
        most = max(1, train.batch // train.balance_for)
        group = next(size for size in range(most, 0, -1) if train.batch % size == 0)
        return cls(train.batch, group, train.balance_window, total, seed)


def arrange(lengths: Sequence[int], window: BalanceWindow, number: int) -> list[list[int]]:
    """The places of a window's samples, for each of its steps in their order.

    Args:
        lengths: tokens of each sample, in the order of the mixture.
        window: how many make a group and a step.
        number: of the window, for the draw.
    """
    groups = np.arange(len(lengths)).reshape(-1, window.group)
    tokens = np.asarray(lengths)[groups].sum(axis=1)
    steps = groups[np.argsort(tokens, kind="stable")].reshape(-1, window.batch)
    drawn = permutation(len(steps), window.seed, "window", number)
    return [[int(place) for place in step] for step in steps[drawn]]


class Balanced:
    """Step -> its samples, of balanced steps.

    Args:
        mixture: the order of samples.
        window: how they are dealt out.
        length: tokens of a sample.
    """

    def __init__(self, mixture: Mixture, window: BalanceWindow, length: Callable[[Ref], int]) -> None:
        self.mixture, self.window, self._length = mixture, window, length
        self._arranged = functools.lru_cache(maxsize=2)(self._arrange)

    def step(self, step: int) -> list[Ref]:
        """The samples of a step."""
        number, place = divmod(step, self.window.steps)
        return self._arranged(number)[place]

    def _arrange(self, number: int) -> list[list[Ref]]:
        first = number * self.window.steps
        # beyond the end of a run (a benchmark, a test) windows go on
        last = first + self.window.steps
        last = min(last, self.window.total) if first < self.window.total else last
        refs = [ref for step in range(first, last) for ref in self.mixture.step(step, self.window.batch)]
        lengths = [self._length(ref) for ref in refs]
        return [[refs[place] for place in step] for step in arrange(lengths, self.window, number)]

    def __getstate__(self) -> dict[str, object]:
        """For a loader's worker that is started, not forked."""
        return {name: value for name, value in self.__dict__.items() if name != "_arranged"}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._arranged = functools.lru_cache(maxsize=2)(self._arrange)
