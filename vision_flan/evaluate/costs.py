"""What training and evaluation cost: estimates from `experiments/sizes.yaml`, which says what they assume.

Nothing of them is measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import yaml

from vision_flan.evaluate.experiment import FOLDER
from vision_flan.train.config import Config


@dataclass(frozen=True)
class Cost:
    """What a command takes; None is not known.

    Attributes:
        samples: of training.
        questions: of generation.
        gpu_hours: of one A100.
    """

    steps: int | None = 0
    samples: int | None = 0
    questions: int = 0
    gpu_hours: float | None = 0.0


@dataclass(frozen=True)
class Assumed:
    """`assumed` of `sizes.yaml`: parameters, tokens of a sample, FLOP/s, MFU, seconds of an answer."""

    parameters: float
    tokens_a_sample: int
    peak_flops: float
    mfu: float
    seconds_a_question: float
    seconds_a_long_answer: float

    def __str__(self) -> str:
        return (
            f"{self.parameters / 1e9:.0f}B parameters, {self.tokens_a_sample} tokens a sample, "
            f"{self.mfu:.0%} of {self.peak_flops / 1e12:.0f} TFLOP/s (an A100), "
            f"{self.seconds_a_question:g} s a question, "
            f"{self.seconds_a_long_answer:g} s where answers are long"
        )


@dataclass(frozen=True)
class Sizes:
    """`sizes.yaml`."""

    instances: Mapping[str, int]
    questions: Mapping[str, int]
    long_answers: Sequence[str]
    assumed: Assumed


@cache
def sizes() -> Sizes:
    """What costs are estimated from."""
    tree = yaml.safe_load((FOLDER / "sizes.yaml").read_text(encoding="utf-8"))
    return Sizes(tree["instances"], tree["questions"], tree["long_answers"], Assumed(**tree["assumed"]))


def training_cost(config: Config) -> Cost:
    """Steps, samples and GPU hours of a recipe, from what it plans, whatever is compiled."""
    train, assumed = config.train, sizes().assumed
    if train.untuned:
        return Cost()
    steps: int | None = train.steps
    if not steps:
        total = planned_instances(config)
        steps = None if total is None else max(train.min_steps, math.ceil(total * train.epochs / train.batch))
    if steps is None:
        return Cost(None, None, 0, None)
    samples = steps * train.batch
    if config.init.tiny:
        return Cost(steps, samples, 0, 0.0)
    operations = (4 if train.freeze_llm else 6) * assumed.parameters * assumed.tokens_a_sample * samples
    return Cost(steps, samples, 0, operations / (assumed.peak_flops * assumed.mfu) / 3600)


def planned_instances(config: Config) -> int | None:
    """How many instances a recipe shows an epoch, if everything is compiled; None if it is not known."""
    counts = [_instances(config, number) for number in range(len(config.data.sources))]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _instances(config: Config, number: int) -> int | None:
    """How many instances a source has by its recipe."""
    source = config.data.sources[number]
    if source.total:
        return round(source.total * source.weight)
    known = sizes().instances
    if source.include == ("*",):
        whole = known.get(config.data.suite)
        planned = source.tasks * source.per_task
        found = planned or whole
        if source.tasks and not source.per_task:
            found = None
    else:
        of = [known.get(name) for name in source.include]
        found = None if None in of else sum(count for count in of if count is not None)
    return None if found is None else round(found * source.weight)


def evaluation_cost(benchmarks: Sequence[str]) -> Cost:
    """Questions and GPU hours of benchmarks."""
    known = sizes()
    seconds = 0.0
    for name in benchmarks:
        long = name in known.long_answers
        each = known.assumed.seconds_a_long_answer if long else known.assumed.seconds_a_question
        seconds += known.questions[name] * each
    return Cost(0, 0, sum(known.questions[name] for name in benchmarks), seconds / 3600)
