"""`vflan reproduce` on a laptop: tiny models are trained, scored, tabled; from nothing, and after a fault."""

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
from vision_flan.evaluate.experiment import FOLDER

Reproduce = Callable[..., tuple[int, str, str]]

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


TINY = {
    "train": {"steps": 2, "batch": 4},
    "data": {"root": "compiled", "workers": 0, "sources": [{"include": ["object_mnist_m"]}]},
}
TINY_RECIPES: dict[str, dict[str, object]] = {
    "stage1": {"base": "tiny_cpu", **TINY},
    "untuned": {"base": "stage1.yaml", "train": {"untuned": True}, "init": {"from": "parts", "tiny": False}},
    "freeze_llm": {"base": "stage1.yaml", "train": {"freeze_llm": True}},
    "freeze_projector": {"base": "stage1.yaml", "train": {"freeze_projector": True}},
    "instances_from_base": {
        "base": "stage1.yaml",
        "init": {"from": "runs/stage1/hf", "tiny": False},
        "data": {"sources": [{"include": ["stage2_llava_instruct"], "exclude": [], "total": 4}]},
    },
    "instances_from_pretrained": {"base": "instances_from_base.yaml", "init": {"from": "runs/untuned/hf"}},
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "suite", "kept"),
    [
        (
            "table5",
            {"mme": {"all": {"compiled": "eval_mme", "tokens": 8}}},
            ["untuned", "freeze_llm", "freeze_projector", "stage1"],
        ),
        (
            "figure5",
            {"mme": {"all": {"compiled": "eval_mme", "tokens": 8}}},
            ["base_100", "pretrained_100"],
        ),
    ],
)
def test_an_experiment_of_the_paper_is_run_from_nothing_to_its_table(
    name: str,
    suite: dict[str, object],
    kept: list[str],
    tmp_path: Path,
    reproduce: Reproduce,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The paper's own rows and runs, of tiny models: recipes of the same names lie beside the experiment."""
    tiny = pytest.importorskip("vision_flan.train.tiny", reason=WITHOUT_TORCH)
    tiny.create(tmp_path / "parts", ["Is it red? yes no 0 1 2 3"] * 4)
    compile_miniatures(tmp_path / "compiled", mme="eval_mme")
    tasks = ("object_mnist_m", "stage2_llava_instruct")
    for task in tasks:
        write_task(tmp_path / "compiled", task, [str(n % 10) for n in range(12)])
    write_card(tmp_path / "compiled", tasks)
    for recipe, keys in TINY_RECIPES.items():
        (tmp_path / f"{recipe}.yaml").write_text(yaml.safe_dump(keys))
    shipped = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    runs = yaml.safe_load((FOLDER / "runs.yaml").read_text())
    needed = {*kept, "stage1", "untuned"}
    small = {run: {**keys, "recipe": f"{keys['recipe']}.yaml"} for run, keys in runs.items() if run in needed}
    for keys in small.values():
        keys["set"] = [
            re.sub(r"total=100+", f"total={3 + len(keys['set'][0]) % 4}", text)
            for text in keys.get("set", [])
        ]
    rows = [row for row in shipped["rows"] if row["run"] in kept]
    mine = {
        **shipped,
        "columns": ["mme"],
        "rows": [{**row, "paper": {"mme": row.get("paper", {}).get("mme", 1.0)}} for row in rows],
        "runs": small,
    }
    (tmp_path / f"{name}_tiny.yaml").write_text(yaml.safe_dump(mine, sort_keys=False))
    (tmp_path / "suite.yaml").write_text(yaml.safe_dump(suite))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*sys.path, str(STAND_IN)]))
    options = "--gpus 1 --suite suite.yaml --compiled compiled --device cpu --partial --lmms-python"
    code, _, err = reproduce(f"{name}_tiny.yaml", *options.split(), sys.executable)
    assert code == 0, err
    table = (tmp_path / "runs" / "paper" / f"{name}_tiny.md").read_text()
    ours = re.findall(r"^\| ([^|]+?)(?<!\(paper\)) \| \d+00\.0\^\+ \|$", table, re.M)
    titles = [row.get("name") or f"{row['series']}, {row['x']:,}" for row in rows]
    assert ours == titles
    assert table.count("(paper) | ") == len(rows)
    assert (
        reproduce(f"{name}_tiny.yaml", *options.split(), sys.executable)[1].count("$ vflan ") == 1
    )  # the table


def write_card(compiled: Path, tasks: tuple[str, ...]) -> None:
    """The card of a compiled folder, which says its configs."""
    configs = [
        {"config_name": t, "data_files": [{"split": "train", "path": f"{t}/train-*.parquet"}]} for t in tasks
    ]
    card = yaml.safe_dump({"configs": configs, "dataset_info": [{"config_name": task} for task in tasks]})
    (compiled / "README.md").write_text(f"---\n{card}---\n")
