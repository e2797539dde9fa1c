"""Any number of ranks, and any interruption, gives the same run. Gloo on CPU, real processes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from vision_flan.train.tiny import create

pytestmark = pytest.mark.slow

Lines = Callable[[Path], list[dict[str, Any]]]
Tensors = Callable[[Path], dict[str, torch.Tensor]]
ALL = "data.sources.0.exclude=[]"
MIXED = "data.sources=[{include: [object_digits, text_only], exclude: [], per_task: 12}]"
SGD = ["train.optimizer=sgd", "train.lr=0.1", "train.steps=5"]
ADAM = ["train.lr=1e-3", "train.steps=6", "checkpoint.every=3", "checkpoint.keep=5"]


@pytest.fixture(scope="module")
def common(compiled: Path, tiny: Path) -> list[str]:
    quiet = ["log.every=1", "log.samples=0", "checkpoint.every=100", "data.workers=0"]
    small = ["train.batch=12", "data.max_tokens=256", "parallel.max_tokens_per_rank=512", "init.tiny=false"]
    return [f"data.root={compiled}", f"init.from={tiny}", *quiet, *small, "data.sources=[{}]", ALL]


@pytest.fixture(scope="module")
def poisoned(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in which one word, seen in `text_only` alone, is not a number."""
    from safetensors.torch import load_file, save_file

    from vision_flan.train.model import load_tokenizer

    folder = tmp_path_factory.mktemp("poison") / "model"
    shutil.copytree(tiny, folder)
    state = load_file(folder / "model.safetensors")
    tokenizer = load_tokenizer(tiny)
    (repeat,) = set(tokenizer("Repeat").input_ids) - set(tokenizer("Say please Which digit now").input_ids)
    state["language_model.model.embed_tokens.weight"][repeat] = float("nan")
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory,
    run_worlds: Callable[..., Any],
    common: list[str],
    poisoned: Path,
) -> Path:
    """All runs of this module that do not build on each other, each in a folder of its name."""
    base = tmp_path_factory.mktemp("runs")
    tied = base / "tied_model"
    create(tied, ["Which digit is drawn?", "Repeat the word"], tied=True, layers=2)
    jobs: list[tuple[str, int, list[str]]] = [
        ("sgd1", 1, SGD),
        ("sgd2", 2, SGD),
        ("sgd3", 3, SGD),
        ("adam2", 2, ADAM),
        ("mixed1", 1, [*SGD, MIXED, "train.batch=2", "train.steps=8"]),
        ("mixed2", 2, [*SGD, MIXED, "train.batch=2", "train.steps=8"]),
        ("tied1", 1, [*SGD, f"init.from={tied}", "log.samples=2"]),
        ("tied2", 2, [*SGD, f"init.from={tied}", "log.samples=2"]),
        ("frozen2", 2, [*SGD, "train.freeze_llm=true", "parallel.precision=bf16"]),
        ("oversize3", 3, [*SGD, "data.max_tokens=54", "parallel.max_tokens_per_rank=160"]),
    ]
    made = [
        {"ranks": ranks, "recipe": "tiny_cpu", "overrides": [*common, *over, f"out={base / name}"]}
        for name, ranks, over in jobs
    ]
    poison = [*common, *SGD, f"init.from={poisoned}", f"out={base / 'poisoned2'}", "checkpoint.every=1"]
    run_worlds([*made, {"ranks": 2, "recipe": "tiny_cpu", "overrides": poison, "fails": True}])
    return base


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor], atol: float = 1e-6) -> None:
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name], atol=atol, rtol=0, msg=lambda m, n=name: f"{n}: {m}")


def moved(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> set[str]:
    return {name for name in a if not torch.equal(a[name], b[name])}


def losses(lines: list[dict[str, Any]]) -> list[float]:
    return [line["loss"] for line in lines]


def test_one_two_and_three_ranks_learn_the_same(
    runs: Path, tiny: Path, lines: Lines, tensors: Tensors
) -> None:
    alone = tensors(runs / "sgd1" / "hf")
    assert len(moved(alone, tensors(tiny))) > 20
    for other in ("sgd2", "sgd3"):
        assert losses(lines(runs / other)) == pytest.approx(losses(lines(runs / "sgd1")), abs=1e-6)
        norms = [[line["grad_norm"] for line in lines(runs / name)] for name in ("sgd1", other)]
        assert norms[0] == pytest.approx(norms[1], rel=1e-4)
        same(alone, tensors(runs / other / "hf"))


def test_a_rank_with_text_alone_learns_with_the_others(runs: Path, lines: Lines, tensors: Tensors) -> None:
    """Two samples on two ranks: some steps have an image on one rank only, some on none."""
    assert losses(lines(runs / "mixed2")) == pytest.approx(losses(lines(runs / "mixed1")), abs=1e-6)
    same(tensors(runs / "mixed1" / "hf"), tensors(runs / "mixed2" / "hf"))


def test_steps_of_the_mixed_run_have_a_text_only_rank(compiled: Path, common: list[str]) -> None:
    from vision_flan.train.corpus import open_corpus
    from vision_flan.train.recipe import load

    corpus = open_corpus(load("tiny_cpu", [*common, MIXED]).data, seed=0)
    images = [sum(corpus.sample(r).has_image for r in corpus.mixture.step(n, 2)) for n in range(8)]
    assert images[0] < 2, "the projector's first step must already have an idle rank"
    assert {0, 1, 2} == set(images)


def test_tied_embeddings_learn_the_same_on_two_ranks(runs: Path, lines: Lines, tensors: Tensors) -> None:
    assert losses(lines(runs / "tied2")) == pytest.approx(losses(lines(runs / "tied1")), abs=1e-6)
    exported = tensors(runs / "tied2" / "hf")
    assert "language_model.lm_head.weight" not in exported
    same(tensors(runs / "tied1" / "hf"), exported)


def test_ranks_answer_samples_together(runs: Path) -> None:
    for when in ("before", "after"):
        texts = [(runs / name / f"samples.{when}.jsonl").read_text() for name in ("tied1", "tied2")]
        assert texts[0] == texts[1]
        assert [sorted(json.loads(line)) for line in texts[0].splitlines()] == [
            ["answer", "id", "prompt", "target"]
        ] * 2


def test_what_is_frozen_is_bit_equal(runs: Path, tiny: Path, tensors: Tensors) -> None:
    """Also where the tower computes in bf16: the export takes frozen tensors from where they came."""
    start = tensors(tiny)
    for name in ("sgd1", "sgd2", "adam2"):
        assert {n.split(".")[0] for n in moved(start, tensors(runs / name / "hf"))} == {
            "language_model",
            "multi_modal_projector",
        }
    changed = moved(start, tensors(runs / "frozen2" / "hf"))
    assert changed == {n for n in start if n.startswith("multi_modal_projector")}


def test_an_oversize_sample_is_cut_and_counted(runs: Path, lines: Lines) -> None:
    told = lines(runs / "oversize3")
    assert len(told) == 5
    assert sum(line["dropped"] for line in told) > 0
    assert all(line["loss"] > 0 for line in told)


def test_a_loss_that_is_no_number_stops_with_the_samples_ids(runs: Path) -> None:
    """`run_worlds` has seen it fail; nothing was learned or kept."""
    assert not (runs / "poisoned2" / "metrics.jsonl").exists()
    assert not list((runs / "poisoned2").glob("checkpoints/step-*"))
    assert not (runs / "poisoned2" / "hf").exists()


def test_the_ids_of_the_samples_are_named(common: list[str], poisoned: Path, tmp_path: Path) -> None:
    from vision_flan.train.loop import run
    from vision_flan.train.recipe import load
    from vision_flan.train.update import LossError

    overrides = [*common, *SGD, MIXED, "train.batch=4", f"init.from={poisoned}", f"out={tmp_path}"]
    with pytest.raises(LossError, match=r"loss nan.*at step 0; samples (object_digits/\d+, )*text_only/\d+"):
        run(load("tiny_cpu", overrides))


def kept_at_three(runs: Path, name: str) -> Path:
    """A copy of `adam2` as it was after its third step."""
    out = runs / name
    shutil.copytree(runs / "adam2", out)
    shutil.rmtree(out / "checkpoints" / "step-000006")
    shutil.rmtree(out / "hf")
    return out


def test_saved_on_two_ranks_resumed_on_four_and_on_one(
    runs: Path, run_worlds: Callable[..., Any], common: list[str], lines: Lines, tensors: Tensors
) -> None:
    jobs = []
    for ranks in (4, 1):
        out = kept_at_three(runs, f"resumed{ranks}")
        jobs.append({"ranks": ranks, "recipe": "tiny_cpu", "overrides": [*common, *ADAM, f"out={out}"]})
    run_worlds(jobs)
    whole = lines(runs / "adam2")
    for ranks in (4, 1):
        again = lines(runs / f"resumed{ranks}")
        assert [line["step"] for line in again] == [1, 2, 3, 4, 5, 6]
        assert losses(again) == pytest.approx(losses(whole), abs=1e-6)
        same(tensors(runs / "adam2" / "hf"), tensors(runs / f"resumed{ranks}" / "hf"), atol=2e-6)


def test_a_run_of_another_shape_is_refused_by_name(
    runs: Path, run_worlds: Callable[..., Any], common: list[str], tmp_path: Path
) -> None:
    from vision_flan.train.identity import AnotherRunError
    from vision_flan.train.loop import run
    from vision_flan.train.recipe import load

    create(tmp_path / "wide", ["Which digit?"], width=32, layers=2)
    out = kept_at_three(runs, "other_shape")
    with pytest.raises(AnotherRunError, match="the LLM has other weights"):
        run(load("tiny_cpu", [*common, *ADAM, f"init.from={tmp_path / 'wide'}", f"out={out}"]))


def test_killed_in_the_middle_and_resumed_it_is_the_same_run(
    runs: Path, run_worlds: Callable[..., Any], common: list[str], lines: Lines, tensors: Tensors
) -> None:
    """torchrun with two ranks and worker processes, kill -9 of all of it, the same command again."""
    out = runs / "killed"
    more = [*common, *ADAM, "train.steps=24", "checkpoint.every=2", "data.workers=1", f"out={out}"]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "vision_flan.train", "tiny_cpu", *more]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    with (runs / "killed.log").open("wb") as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
    until = time.monotonic() + 200
    while not (out / "checkpoints" / "step-000004").exists():
        assert process.poll() is None and time.monotonic() < until, (runs / "killed.log").read_text()[-3000:]
        time.sleep(0.05)
    ranks = subprocess.run(["pgrep", "-s", str(process.pid)], capture_output=True, text=True).stdout.split()
    for pid in ranks:  # torchrun gives each rank a group of its own
        os.kill(int(pid), signal.SIGKILL)
    process.wait()
    assert not (out / "hf").exists()
    whole = [*common, *ADAM, "train.steps=24", f"out={runs / 'whole'}"]
    run_worlds(
        [
            {"ranks": 2, "recipe": "tiny_cpu", "overrides": more},
            {"ranks": 1, "recipe": "tiny_cpu", "overrides": whole},
        ]
    )
    assert [line["step"] for line in lines(out)] == list(range(1, 25))
    assert losses(lines(out)) == pytest.approx(losses(lines(runs / "whole")), abs=2e-5)
    same(tensors(out / "hf"), tensors(runs / "whole" / "hf"), atol=2e-5)
    assert sorted(path.name for path in (out / "checkpoints").iterdir())[-1] == "step-000024"
