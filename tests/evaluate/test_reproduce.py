"""`vflan reproduce`: every command of an experiment with its cost, and the whole way on a laptop."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.conftest import WITHOUT_TORCH
from tests.evaluate.conftest import STAND_IN
from tests.evaluate.test_evaluate import compile_miniatures, write_task
from vision_flan.cli.main import run, vflan
from vision_flan.evaluate.experiment import names
from vision_flan.train.recipe import dump, load

Reproduce = Callable[..., tuple[int, str, str]]


@pytest.fixture
def reproduce(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Reproduce:
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        code = run(vflan, ["reproduce", *map(str, arguments)])
        return code, *capfd.readouterr()

    return call


def shown(out: str) -> list[str]:
    """The commands of a dry run that are still to do."""
    return [line for line in out.splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("name", names())
def test_every_experiment_prints_its_commands_and_what_they_cost(name: str, reproduce: Reproduce) -> None:
    code, out, err = reproduce(name, "--dry-run")
    assert code == 0, err
    assert re.search(r"GPU hours left, estimated: [\d,]+\. Assumed, not measured: 13B parameters", out)
    commands = shown(out)
    assert commands[-1].startswith("vflan tables ")
    assert any(command.startswith("vflan evaluate ") for command in commands)
    assert not list(Path().iterdir())  # a dry run writes nothing


def test_table_3_trains_four_models_at_the_papers_numbers(reproduce: Reproduce) -> None:
    out = reproduce("table3", "--dry-run", "--train", "data.root=/data")[1]
    trained = [command for command in shown(out) if "vision_flan.train" in command]
    start = "torchrun --nproc-per-node 8 -m vision_flan.train tasks_x_instances"
    assert trained == [
        f"{start} data.root=/data",
        f"{start} data.sources.0.tasks=187 data.sources.0.per_task=500 data.root=/data",
        f"{start} data.sources.0.tasks=20 data.root=/data",
        f"{start} data.sources.0.tasks=187 data.sources.0.per_task=1000 data.root=/data",
    ]
    assert "#   782 steps, 100,096 samples; about 12.8 GPU hours" in out
    assert "#   731 steps, 93,568 samples; about 12.0 GPU hours" in out


def test_what_a_model_starts_from_comes_before_it(reproduce: Reproduce) -> None:
    commands = shown(reproduce("table7", "--dry-run")[1])
    made = [next(i for i, c in enumerate(commands) if re.search(text, c)) for text in (
        r"train untuned$", r"exchange runs/untuned/hf .*--out runs/table7_untuned$",
        r"train stage1$", r"train stage2$", r"exchange runs/stage2/hf", r"evaluate runs/table7_chat ",
    )]  # fmt: skip
    assert made == sorted(made)
    assert all("--prompt llama2_chat" in command for command in commands if " exchange " in command)


def test_a_model_of_the_hub_is_not_trained(reproduce: Reproduce) -> None:
    commands = shown(reproduce("figure9", "--dry-run", "--gpus", "1")[1])
    assert any(
        c.startswith("vflan evaluate runs/llava15 ") and "--model llava-hf/llava-1.5-13b-hf" in c
        for c in commands
    )
    assert "vflan train stage1" in commands
    assert not any("llava15" in command for command in commands if command.startswith("vflan train"))


def test_what_is_there_is_not_made_again_unless_it_is_of_another_recipe(
    tmp_path: Path, reproduce: Reproduce
) -> None:
    hf = tmp_path / "runs" / "stage1" / "hf"
    hf.mkdir(parents=True)
    (hf / "config.json").write_text("{}")
    config = tmp_path / "runs" / "stage1" / "config.yaml"
    config.write_text(dump(load("stage1")))
    out = reproduce("table2", "--dry-run")[1]
    assert "# there: torchrun --nproc-per-node 8 -m vision_flan.train stage1" in out
    assert any(command.endswith("stage2") for command in shown(out))
    config.write_text(dump(load("stage1", ["train.lr=1e-4"])))
    assert any(
        command.endswith("vision_flan.train stage1") for command in shown(reproduce("table2", "--dry-run")[1])
    )


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ("{a: {exchange: b, llm: x}, b: {exchange: a, llm: x}}", "runs need one another: a -> b -> a"),
        ("{a: {exchange: nothing, llm: x}}", "which is no run"),
        ("{a: {recipe: nothing}}", "no recipe 'nothing'"),
    ],
)
def test_runs_that_cannot_be_made_are_refused(
    tmp_path: Path, reproduce: Reproduce, runs: str, message: str
) -> None:
    (tmp_path / "mine.yaml").write_text(f"{{title: a, columns: [mme], runs: {runs}, rows: [{{run: a}}]}}")
    code, _, err = reproduce("mine.yaml", "--dry-run")
    assert code == 1
    assert message in err
    assert "no experiment 'table1'" in reproduce("table1")[2]


TABLE = """
title: "Table 2, on a laptop"
columns: [mme, textocr, cf]
runs:
  tiny1: {recipe: tiny1.yaml}
  tiny2: {recipe: tiny2.yaml}
rows:
  - {name: Vision-Flan Base, run: tiny1, paper: {cf: 87.2}}
  - {name: Vision-Flan Chat, run: tiny2}
"""
STAGE1 = """
base: tiny_cpu
data: {root: compiled, workers: 0, sources: [{include: [object_mnist_m]}]}
train: {steps: 3, batch: 4}
"""
STAGE2 = """
base: tiny1
init: {from: runs/tiny1/hf, tiny: false}
data: {sources: [{include: [stage2_llava_instruct], exclude: [], total: 4}]}
"""
SUITE = """
mme: {all: {compiled: eval_mme, tokens: 16}}
cf: {mnist: {compiled: eval_mnist, tokens: 8}}
textocr: {all: {compiled: ocr_textocr, prompt: Read the text., tokens: 8}}
"""


@pytest.mark.slow
def test_both_stages_are_trained_scored_and_tabled_and_a_fault_between_is_resumed(
    tmp_path: Path, reproduce: Reproduce, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason=WITHOUT_TORCH)
    compile_miniatures(tmp_path / "compiled", mme="eval_mme")
    tasks = ("object_mnist_m", "stage2_llava_instruct", "eval_mnist")
    for task in tasks:
        write_task(tmp_path / "compiled", task, [str(n % 10) for n in range(12)])
    write_task(tmp_path / "compiled", "ocr_textocr", ["STOP; Main St", "Exit"])
    texts = {"table2_tiny": TABLE, "tiny1": STAGE1, "tiny2": STAGE2, "suite": SUITE}
    for name, text in texts.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    write_card(tmp_path / "compiled", (*tasks, "ocr_textocr"))
    lmms = os.environ.get("VFLAN_LMMS_PYTHON", "")
    path = [*sys.path, *([] if lmms else [str(STAND_IN)])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path) if not lmms else str(Path(__file__).parents[2]))
    monkeypatch.setenv("STAND_IN_ANSWER", "1 / 0 if doc['task'] == 'ocr_textocr' else doc['target']")
    text = "--gpus 1 --suite suite.yaml --compiled compiled --device cpu --partial"
    options = [*text.split(), "--lmms-python", lmms or sys.executable]
    if not lmms:
        code, out, err = reproduce("table2_tiny.yaml", *options)
        assert code == 1
        assert "$ vflan train " in out
        assert "ZeroDivisionError" in err
        assert "the same `vflan reproduce` goes on here" in err
    trained = (tmp_path / "runs/tiny2/metrics.jsonl").stat().st_mtime_ns if not lmms else 0
    monkeypatch.setenv("STAND_IN_ANSWER", "doc['target'].split(';')[0]")
    code, out, err = reproduce("table2_tiny.yaml", *options)
    assert code == 0, err
    table = (tmp_path / "runs/paper/table2_tiny.md").read_text()
    assert "| Vision-Flan Base (paper) |  |  | 87.2 |" in table
    assert (
        len(
            re.findall(
                r"^\| Vision-Flan (Base|Chat) \| [\d.]+\^\+ \| [\d.]+\^\+ \| [\d.]+\\\*\^\+ \|$", table, re.M
            )
        )
        == 2
    )
    if not lmms:
        assert "$ vflan train " not in out  # both were there
        assert (tmp_path / "runs/tiny2/metrics.jsonl").stat().st_mtime_ns == trained
        assert re.search(r"\| Vision-Flan Chat \| \d+00.0\^\+ \| 75.0\^\+ \| 100.0\\\*\^\+ \|", table)
    assert json.loads((tmp_path / "runs/tiny1/scores/cf.json").read_text())["benchmark"] == "cf"


def write_card(compiled: Path, tasks: tuple[str, ...]) -> None:
    """The card of a compiled folder, which says its configs."""
    configs = [
        {"config_name": t, "data_files": [{"split": "train", "path": f"{t}/train-*.parquet"}]} for t in tasks
    ]
    card = yaml.safe_dump({"configs": configs, "dataset_info": [{"config_name": task} for task in tasks]})
    (compiled / "README.md").write_text(f"---\n{card}---\n")
