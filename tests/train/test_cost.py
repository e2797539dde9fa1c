"""What a run takes of each GPU, said without one, is what real processes send and hold."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.benchmarks import train_cost
from tests.train.conftest import environment
from vision_flan.train.config import ConfigError, Init
from vision_flan.train.cost import Cost, cost, shape_of
from vision_flan.train.recipe import load

SCRIPT = Path(__file__).parent / "collectives.py"
#: ranks, rows of a step, and what differs from tiny_cpu
CASES: list[tuple[int, int, list[str]]] = [
    (1, 1, []),
    (2, 1, []),
    (2, 3, []),
    (2, 1, ["parallel.checkpointing=full"]),
    (2, 1, ["parallel.checkpointing=selective"]),
    (2, 4, ["parallel.reduce_once=true"]),
    (4, 1, ["parallel.replicate=2"]),
    (4, 2, ["parallel.replicate=2", "parallel.reduce_once=true"]),
    (2, 1, ["train.freeze_llm=true"]),
    (2, 1, ["parallel.reshard_after_forward=false"]),
    (2, 1, ["parallel.precision=bf16"]),
]


def overrides(ranks: int, rows: int, changed: list[str]) -> list[str]:
    """A batch and a row length whose typical step has so many rows."""
    return [f"train.batch={rows * ranks}", "parallel.max_tokens_per_rank=700", *changed]


@pytest.mark.slow
def test_real_processes_send_what_is_said_to_be_sent(tiny: Path) -> None:
    """As often and as many bytes, for every way of sharding and recomputing."""
    asked = [
        {"ranks": ranks, "recipe": "tiny_cpu", "overrides": overrides(ranks, rows, changed), "rows": rows}
        for ranks, rows, changed in CASES
    ]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tiny), json.dumps(asked)],
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    architecture = shape_of(Init(from_=str(tiny)))
    for (ranks, rows, changed), real in zip(CASES, json.loads(done.stdout), strict=True):
        said = cost(load("tiny_cpu", overrides(ranks, rows, changed)), architecture, ranks)
        assert said.rows == rows
        found = {kind: [sent.count, sent.bytes] for kind, sent in said.sent.items()}
        assert found == real, (ranks, rows, changed)


@pytest.mark.slow
def test_weights_gradients_and_moments_are_exact() -> None:
    """LLaVA-1.5-7B as published has 7,063,427,072 parameters, 303,507,456 of them in the tower."""
    found = cost(load("stage1"), shape_of(Init(llm="vicuna-7b")), 8)
    assert found.trained + found.frozen == 7_063_427_072
    assert found.frozen == 303_507_456
    assert found.gradients == -(-found.trained * 4 // 8) and found.moments == 2 * found.gradients
    assert found.weights == found.gradients + 2 * found.frozen
    assert found.sent["all-gather"].count == 2 * 32 + 1 and found.sent["reduce-scatter"].count == 33


def of_layers(layers: int, ranks: int, *changed: str) -> Cost:
    """A narrow model whose activations outweigh its weights."""
    architecture = shape_of(Init(llm="vicuna-7b"))
    architecture.vision_config.num_hidden_layers = 2
    text = architecture.text_config
    text.hidden_size, text.intermediate_size, text.num_attention_heads = 256, 512, 2
    text.num_key_value_heads, text.num_hidden_layers = 2, layers
    return cost(load("stage1", ["train.batch=64", *changed]), architecture, ranks)


@pytest.mark.parametrize("how", ["full", "2", "selective", "none"])
def test_a_straight_line_through_few_layers_gives_the_whole_model(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = of_layers(11, 8, f"parallel.checkpointing={how}")
    monkeypatch.setattr("vision_flan.train.cost._few_layers", lambda layers, every: (layers, layers))
    assert of_layers(11, 8, f"parallel.checkpointing={how}") == line


def test_recomputing_less_holds_more_and_sends_the_same() -> None:
    full, selective, none = (
        of_layers(6, 8, f"parallel.checkpointing={how}") for how in ("full", "selective", "none")
    )
    assert full.rest < selective.rest < none.rest
    assert full.sent == selective.sent == none.sent


def test_copies_of_the_model_hold_more_and_reduce_twice() -> None:
    flat, copies = of_layers(4, 64), of_layers(4, 64, "parallel.replicate=8")
    assert copies.gradients == 8 * flat.gradients
    assert copies.sent["all-reduce"].count == flat.sent["all-reduce"].count + 5


def test_a_name_without_a_size_is_an_error() -> None:
    with pytest.raises(ConfigError, match="shape"):
        shape_of(Init(llm="mistral"))
    with pytest.raises(ConfigError, match="untuned"):
        cost(load("untuned"), shape_of(Init(llm="7b")), 8)


def test_nothing_stays_behind(tiny: Path) -> None:
    """A run can start in the same process afterwards."""
    cost(load("tiny_cpu"), shape_of(Init(from_=str(tiny))), 2)
    assert not torch.distributed.is_initialized()


@pytest.mark.slow
def test_a_cell_of_the_documents_tables_is_computed_again() -> None:
    text = train_cost.DOCUMENT.read_text(encoding="utf-8")
    recomputed = train_cost.found(("stage1", "7b", (), 64))
    row = next(line for line in text.splitlines() if line.startswith("| LLaVA-7B |"))
    assert row.split("|")[-2].strip() == f"{recomputed.peak / 2**30:.0f}"
    row = next(line for line in text.splitlines() if line.startswith("| 7B, `full` | 64 |"))
    assert train_cost.gib(recomputed.peak) in row
    assert f"{recomputed.sent['all-gather'].count} x" in row
