"""`parallel.compile` compiles what is trained: every layer, every step, also after generating."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from vision_flan.train import loop
from vision_flan.train.fsdp import CompiledLayers
from vision_flan.train.loop import run
from vision_flan.train.recipe import load
from vision_flan.train.tiny import create
from vision_flan.train.update import update

LAYERS = 12


class Counting:
    """A compiler's backend that runs what it is given, and counts."""

    def __init__(self) -> None:
        self.compiled, self.calls = 0, 0

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., Any]:
        self.compiled += 1

        def call(*given: Any) -> Any:
            self.calls += 1
            return graph.forward(*given)

        return call


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counting]:
    torch._dynamo.reset()
    backend = Counting()
    monkeypatch.setattr(
        loop, "CompiledLayers", lambda model, name: CompiledLayers(model, backend if name else "")
    )
    yield backend
    torch._dynamo.reset()


@pytest.mark.parametrize("checkpointing", ["none", "full", "selective"])
def test_every_layer_of_every_step_is_compiled(
    compiled: Path, tmp_path: Path, counting: Counting, monkeypatch: pytest.MonkeyPatch, checkpointing: str
) -> None:
    """Generating before used up the forms dynamo allows a function: then nothing was compiled any more."""
    create(tmp_path / "model", ["Which digit is drawn in the image?"], layers=LAYERS)
    calls = []

    def counted(*given: Any, **named: Any) -> Any:
        before = counting.calls
        outcome = update(*given, **named)
        calls.append(counting.calls - before)
        return outcome

    monkeypatch.setattr(loop, "update", counted)
    over = [
        f"data.root={compiled}",
        f"init.from={tmp_path / 'model'}",
        "init.tiny=false",
        f"out={tmp_path / 'run'}",
    ]
    over += [
        "train.batch=3",
        "train.steps=5",
        "log.samples=2",
        "data.workers=0",
        "data.sources=[{include: [object_digits]}]",
    ]
    run(load("tiny_cpu", [*over, "parallel.compile=eager", f"parallel.checkpointing={checkpointing}"]))
    # each layer of the LLM and each MLP of the tower once
    assert calls == [2 * LAYERS] * 5
    assert counting.compiled <= 8, "a form for the first length and one for all others, of tower and LLM"


def test_without_the_key_nothing_is_compiled(
    compiled: Path, tiny: Path, tmp_path: Path, counting: Counting
) -> None:
    over = [f"data.root={compiled}", f"init.from={tiny}", "init.tiny=false", f"out={tmp_path / 'run'}"]
    run(load("tiny_cpu", [*over, "train.steps=1", "log.samples=0", "data.workers=0", "train.batch=2"]))
    assert counting.compiled == 0
