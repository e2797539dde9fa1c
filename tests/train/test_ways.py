"""Other ways to train: adapters, held-out loss, decay, HSDP, one reduction, a trace, no step at all."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoProcessor, LlavaForConditionalGeneration

from vision_flan.train.config import Train
from vision_flan.train.corpus import open_corpus
from vision_flan.train.loop import run
from vision_flan.train.recipe import load
from vision_flan.train.tiny import create
from vision_flan.train.update import make_optimizer
from vision_flan.train.weights import WeightsError

Lines = Callable[[Path], list[dict[str, Any]]]
Tensors = Callable[[Path], dict[str, torch.Tensor]]


@pytest.fixture(scope="module")
def common(compiled: Path, tiny: Path) -> list[str]:
    quiet = ["log.every=1", "log.samples=0", "data.workers=0", "checkpoint.every=100"]
    small = ["train.batch=8", "train.steps=3", "data.max_tokens=256", "init.tiny=false"]
    return [f"data.root={compiled}", f"init.from={tiny}", *quiet, *small]


def test_adapters_learn_alone_with_the_projector_and_are_merged(
    common: list[str], tmp_path: Path, tiny: Path, tensors: Tensors, lines: Lines
) -> None:
    lora = [*common, "train.lora.r=4", "train.lora.alpha=8", "train.lora.targets=[q_proj, up_proj]"]
    out = run(load("tiny_cpu", [*lora, f"out={tmp_path / 'lora'}", "train.steps=6", "train.lr=1e-2"]))
    before, after = tensors(tiny), tensors(out)
    assert before.keys() == after.keys(), "an export without a trace of peft"
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    adapted = {name for name in moved if "multi_modal_projector" not in name}
    assert adapted and {name.split(".")[-2] for name in adapted} == {"q_proj", "up_proj"}
    difference = (after[min(adapted)] - before[min(adapted)]).float()
    assert torch.linalg.matrix_rank(difference, atol=1e-5) <= 4
    stored = sum(f.stat().st_size for f in (tmp_path / "lora" / "checkpoints").rglob("*.distcp"))
    assert stored < 12 * sum(value.numel() for value in before.values()) / 4
    # the merged model gives the loss that training went on with
    still = [*common, f"init.from={out}", f"out={tmp_path / 'again'}", "train.lr=1e-30", "train.steps=6"]
    run(load("tiny_cpu", still))
    again = lines(tmp_path / "again")
    assert again[-1]["loss"] < lines(tmp_path / "lora")[0]["loss"]


def test_adapters_resume(common: list[str], tmp_path: Path, tensors: Tensors) -> None:
    lora = [*common, "train.lora.r=2", "train.steps=4", "checkpoint.every=2"]
    whole = run(load("tiny_cpu", [*lora, f"out={tmp_path / 'whole'}"]))
    shutil.copytree(tmp_path / "whole", tmp_path / "half")
    shutil.rmtree(tmp_path / "half" / "checkpoints" / "step-000004")
    half = run(load("tiny_cpu", [*lora, f"out={tmp_path / 'half'}"]))
    for name, value in tensors(whole).items():
        torch.testing.assert_close(tensors(half)[name], value, atol=1e-6, rtol=0)


def test_what_is_held_out_is_never_trained_on_and_its_loss_is_logged(
    common: list[str], tmp_path: Path, lines: Lines
) -> None:
    config = load(
        "tiny_cpu", [*common, "data.held_out=0.3", "log.held_out_every=2", f"out={tmp_path / 'run'}"]
    )
    corpus = open_corpus(config.data, config.seed)
    held_out = set(corpus.held_out)
    sizes = sum(map(len, corpus.tables))
    assert 0.15 < len(held_out) / sizes < 0.45
    shown = {ref for step in range(40) for ref in corpus.mixture.step(step, 8)}
    assert not shown & held_out and len(shown) == corpus.mixture.length == sizes - len(held_out)
    names = {corpus.sample(ref).id for ref in held_out}
    other = open_corpus(load("tiny_cpu", [*common, "data.held_out=0.3", "seed=5"]).data, 5)
    assert names == {other.sample(ref).id for ref in other.held_out}, "by its key, not by the seed"
    run(config)
    logged = lines(tmp_path / "run")
    assert ["held_out_loss" in line for line in logged] == [False, True, True]
    assert logged[-1]["held_out_loss"] > 0
    categories = {corpus.sample(ref).category for ref in held_out}
    assert set(logged[-1]["held_out_category_loss"]) == categories


def test_decay_is_of_matrices_alone(tiny: Path) -> None:
    model = LlavaForConditionalGeneration.from_pretrained(tiny)
    optimizer = make_optimizer(model, Train(weight_decay=0.1), torch.device("cpu"))
    matrices, others = optimizer.param_groups
    assert (matrices["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    assert {p.dim() for p in others["params"]} == {1} and 1 not in {p.dim() for p in matrices["params"]}
    assert len(matrices["params"]) + len(others["params"]) == len(list(model.parameters()))


@pytest.mark.slow
def test_copies_of_a_sharded_model_and_a_single_reduction_learn_the_same(
    common: list[str], tmp_path: Path, run_worlds: Callable[..., Any], tensors: Tensors
) -> None:
    """HSDP on four ranks; rows of a step whose gradients are reduced once."""
    base = [*common, "train.optimizer=sgd", "train.lr=0.1", "parallel.max_tokens_per_rank=256"]
    ways = {
        "plain": (1, []),
        "hsdp": (4, ["parallel.replicate=2"]),
        "once": (2, ["parallel.reduce_once=true"]),
    }
    ways["selective"] = (1, ["parallel.checkpointing=selective"])
    run_worlds(
        [
            {"ranks": ranks, "recipe": "tiny_cpu", "overrides": [*base, *over, f"out={tmp_path / name}"]}
            for name, (ranks, over) in ways.items()
        ]
    )
    plain = tensors(tmp_path / "plain" / "hf")
    for name in ("hsdp", "once", "selective"):
        for key, value in tensors(tmp_path / name / "hf").items():
            torch.testing.assert_close(
                value, plain[key], atol=1e-6, rtol=0, msg=lambda m, n=name: f"{n}: {m}"
            )


def test_a_trace_is_written(common: list[str], tmp_path: Path) -> None:
    run(load("tiny_cpu", [*common, "train.steps=8", "log.profile=2", f"out={tmp_path / 'run'}"]))
    trace = json.loads((tmp_path / "run" / "profile" / "trace.json").read_text())
    assert {"ProfilerStep#5", "ProfilerStep#6"} <= {event.get("name") for event in trace["traceEvents"]}
    assert "aten::mm" in (tmp_path / "run" / "profile" / "operations.txt").read_text()


def test_an_untuned_model_is_its_parts(tmp_path: Path, tiny: Path, tensors: Tensors) -> None:
    create(tmp_path / "other", ["Which digit?"], seed=3, layers=2)
    over = [
        f"init.from={tiny}",
        "init.tiny=false",
        "checkpoint.export_dtype=float32",
        f"out={tmp_path / 'run'}",
    ]
    out = run(load("untuned", [*over, "init.llm=", "init.projector="]))
    before, after = tensors(tiny), tensors(out)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert AutoProcessor.from_pretrained(out).chat_template
    assert LlavaForConditionalGeneration.from_pretrained(out).dtype == torch.float32
    assert not (tmp_path / "run" / "checkpoints").exists() and (tmp_path / "run" / "config.yaml").exists()


def test_an_untuned_model_needs_a_pretrained_projector(tmp_path: Path, tiny: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(tiny, tmp_path / "bare")
    state = load_file(tiny / "model.safetensors")
    save_file(
        {name: value for name, value in state.items() if "multi_modal_projector" not in name},
        tmp_path / "bare" / "model.safetensors",
    )
    over = [f"init.from={tmp_path / 'bare'}", "init.llm=", "init.projector=", f"out={tmp_path / 'run'}"]
    with pytest.raises(WeightsError, match="multi_modal_projector") as caught:
        run(load("untuned", over))
    assert "init.projector" in caught.value.hint
