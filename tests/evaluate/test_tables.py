"""The paper's tables and figures: its numbers, ours beside them, what differs marked."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from vision_flan.cli.main import run, vflan
from vision_flan.evaluate.experiment import load, names
from vision_flan.train.recipe import dump
from vision_flan.train.recipe import load as load_recipe

Tables = Callable[..., tuple[int, str, str]]


@pytest.fixture
def tables(capsys: pytest.CaptureFixture[str]) -> Tables:
    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(vflan, ["tables", *arguments])
        return code, *capsys.readouterr()

    return call


def save(folder: Path, name: str, value: float, percent: float = 1.0, **more: Any) -> None:
    folder.mkdir(exist_ok=True)
    data = {"benchmark": name, "value": value, "percent": percent, "judge": None, "notes": [], **more}
    (folder / f"{name}.json").write_text(json.dumps(data))


def judge(model: str, *versions: str) -> dict[str, Any]:
    return {"model": model, "url": "", "versions": list(versions), "replies": 1}


def test_our_scores_stand_below_the_papers_on_its_scale(tmp_path: Path, tables: Tables) -> None:
    folder = tmp_path / "scores"
    save(folder, "mme", 1500.04)
    save(folder, "mmmu", 0.3666, 100.0)
    save(folder, "textocr", 0.5, 100.0)  # of another figure
    code, out, _ = tables(f"Ours={folder}")
    assert code == 0
    assert "| LLaVA 1.5 13B (paper) | 66.7 | 1531.3 | 33.6 | 70.7 | 35.4 | 83.6 | 73.3 |" in out
    assert "| Vision-Flan Base (paper) | 69.8 | 1537.8 |  | 38.5 |  | 85.9 | 87.2 |" in out
    assert out.endswith("| Ours |  | 1500.0 | 36.7 |  |  |  |  |\n")


def test_another_judge_and_a_partial_score_are_marked(tmp_path: Path, tables: Tables) -> None:
    folder = tmp_path / "scores"
    save(folder, "mm_vet", 36.0, judge=judge("gpt-4-0613"))
    save(folder, "llava_bench", 70.0, judge=judge("recorded", "llama-3-70b"))
    save(folder, "mmbench", 0.65, 100.0)
    save(folder, "cf", 0.8, 100.0, judge=judge("lmsys/vicuna-13b-v1.5"))
    save(folder, "pope", 0.85, 100.0, notes=["--partial: perhaps not the whole benchmark"])
    _, out, _ = tables(f"Ours={folder}")
    assert r"| Ours | 65.0\* |  |  | 70.0\* | 36.0 | 85.0+ | 80.0^ |" in out
    assert out.endswith(
        "\\*: another judge than the paper's; ^: prompt or images are ours, the paper prints none; "
        "+: not the whole benchmark\n"
    )
    _, out, _ = tables(f"Ours={folder}", "--format", "csv")
    ours = {row["benchmark"]: row for row in csv.DictReader(out.splitlines()) if row["model"] == "Ours"}
    assert ours["llava_bench"]["remarks"] == "another judge than the paper's"
    assert ours["llava_bench"]["judge"] == "recorded, llama-3-70b"
    assert ours["mmbench"]["judge"] == "none"
    assert ours["mm_vet"]["remarks"] == ""


def test_what_is_no_score_is_refused(tmp_path: Path, tables: Tables) -> None:
    folder = tmp_path / "scores"
    assert "no score files" in tables(f"Ours={folder}")[2]
    save(folder, "mme", 1.0)
    (folder / "other.json").write_text((folder / "mme.json").read_text())
    assert "other.json: second score of mme" in tables(f"Ours={folder}")[2]
    for text in ("[]", "{}", '{"value": "1", "percent": 1}', '{"value": NaN, "percent": 1}'):
        (folder / "other.json").write_text(text)
        assert "other.json: not a score" in tables(f"Ours={folder}")[2]
    assert "neither a run with scores nor MODEL=FOLDER" in tables(str(folder))[2]
    assert tables(str(tmp_path / "nothing"))[0] == 1
    (folder / "other.json").unlink()
    assert "no experiment 'table9'" in tables(f"Ours={folder}", "--only", "table9")[2]


def test_a_printed_score_is_a_cell(
    tmp_path: Path, fixtures: Path, tables: Tables, score: Callable[..., Any]
) -> None:
    folder = tmp_path / "scores"
    folder.mkdir()
    (folder / "mmmu.json").write_text(json.dumps(score("mmmu", fixtures / "mmmu", "--partial")))
    assert "| Ours |  |  | 50.0+ |  |  |  |  |" in tables(f"Ours={folder}")[1]


def a_run(runs: Path, name: str, **scores: float) -> Path:
    """A run with scores, as `vflan evaluate` leaves it."""
    folder = runs / name
    folder.mkdir(parents=True)
    for benchmark, value in scores.items():
        save(folder / "scores", benchmark, value)
    return folder


@pytest.mark.parametrize("name", names())
def test_every_experiment_has_rows_and_a_recipe_for_each_run(name: str) -> None:
    experiment = load(name)
    assert experiment.rows
    for row in experiment.rows:
        assert row.run.weights
        assert row.run.exchange == "" or row.run.exchange in experiment.runs


def test_a_run_stands_beside_the_papers_row_of_its_name_in_every_table(
    tmp_path: Path, tables: Tables
) -> None:
    runs = tmp_path / "runs"
    a_run(runs, "stage1", mme=1500.0)
    a_run(runs, "tasks_x_instances-tasks=187-per_task=500", mme=1300.0, pope=80.0)
    code, out, _ = tables(str(runs))
    assert code == 0
    assert "| Vision-Flan Base (paper) | 69.8 | 1537.8 |" in out.split("## Table 5")[0]
    assert "\n| Vision-Flan Base |  | 1500.0 |" in out
    table3 = out.split("## Table 3")[1].split("##")[0]
    ours = (
        "| 187 tasks x 500 (paper) | 58.8 | 1314.3 | 83.3 | 33.3 |\n| 187 tasks x 500 |  | 1300.0 | 80.0 |  |"
    )
    assert ours in table3
    table5 = out.split("## Table 5")[1].split("##")[0]
    assert "| MLP and LLM |  | 1500.0 |  |  |" in table5
    assert "## Table 4" not in out  # of which there is nothing of ours
    one = runs / "tasks_x_instances-tasks=187-per_task=500"
    assert "| 187 tasks x 500 |  | 1300.0 |" in tables(str(one), "--only", "table3")[1]
    assert "| 187 tasks x 500 |  | 1300.0 |" in tables(f"tasks_187_x_500={one}", "--only", "table3")[1]


def test_a_model_of_another_recipe_is_marked(tmp_path: Path, tables: Tables) -> None:
    folder = a_run(tmp_path, "stage2", mme=1400.0)
    (folder / "config.yaml").write_text(dump(load_recipe("stage2")))
    assert "| Two stages, 1,000 | 1400.0 |" in tables(str(folder), "--only", "table4")[1]
    (folder / "config.yaml").write_text(dump(load_recipe("stage2", ["data.root=/elsewhere"])))
    assert "| Two stages, 1,000 | 1400.0 |" in tables(str(folder), "--only", "table4")[1]
    (folder / "config.yaml").write_text(dump(load_recipe("stage2", ["train.lr=2e-5"])))
    out = tables(str(folder), "--only", "table4")[1]
    assert "| Two stages, 1,000 | 1400.0\\~ |" in out
    assert "the model was trained by another recipe than the paper's" in out


def test_a_model_of_other_data_is_marked(tmp_path: Path, tables: Tables) -> None:
    folder = a_run(tmp_path, "stage2", mme=1400.0)
    for step, count in ((64, 900), (128, 1000)):
        checkpoint = folder / "checkpoints" / f"step-{step:06}"
        checkpoint.mkdir(parents=True)
        data = {"stage2_llava_instruct of source 0": f"{count} of 10000 instances (0123)"}
        (checkpoint / "identity.json").write_text(json.dumps({"data": data}))
    assert "| Two stages, 1,000 | 1400.0 |" in tables(str(folder), "--only", "table4")[1]
    (folder / "checkpoints" / "step-000128" / "identity.json").unlink()
    out = tables(str(folder), "--only", "table4")[1]
    assert "| Two stages, 1,000 | 1400.0# |" in out
    assert "#: the model was trained on another number of instances than the paper's" in out


def test_figures_are_written_as_data_and_as_images(tmp_path: Path, tables: Tables) -> None:
    runs, report = tmp_path / "runs", tmp_path / "report"
    for name, value in (("total=100", 1400.0), ("total=0-at_least=150000", 1450.0)):
        folder = a_run(runs, f"instances_from_base-{name}", mme=value, pope=80.0)
        save(folder / "scores", "yes_ratio", 0.5, 100.0)
    part = {"name": "all", "count": 1, "values": {"recall": 0.2, "mean_tokens": 31.5}}
    save(a_run(runs, "stage1") / "scores", "textocr", 0.2, 100.0, parts=[part])
    code, out, err = tables(str(runs), "--out", str(report))
    assert code == 0, err
    written = {Path(line).name for line in out.splitlines()}
    assert {"figure5.md", "figure5.csv", "figure7.csv", "figure9.csv", "table2.md"} <= written
    points = list(csv.DictReader((report / "figure5.csv").read_text().splitlines()))
    assert [(point["series"], point["x"], point["value"]) for point in points] == [
        ("from Base", "100", "1400.0"),
        ("from Base", "158000", "1450.0"),
    ]
    assert "| from Base, 158,000 | 80.0 | 50.0 |" in (report / "figure7.md").read_text()
    assert "| Vision-Flan Base | 20.0^ | 31.5^ |" in (report / "figure9.md").read_text()
    if find_spec("matplotlib"):
        assert {path.name for path in report.glob("*.png")} == {"figure5.png", "figure7.png", "figure9.png"}


def test_without_matplotlib_the_data_is_written_all_the_same(
    tmp_path: Path, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vision_flan.evaluate.figures.importlib.util.find_spec", lambda name: None)
    folder = a_run(tmp_path / "runs", "tasks_x_instances", mme=700.0)
    code, _, err = tables(str(folder), "--only", "figure4", "--out", str(tmp_path / "report"))
    assert code == 0
    assert "matplotlib is not installed" in err
    assert ",10,mme,700.0," in (tmp_path / "report" / "figure4.csv").read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "not a mapping"),
        ("{title: a, rows: []}", "no key 'columns'"),
        ("{title: a, columns: [mme], rows: [], colour: 1}", "unknown key 'colour'"),
        ("{title: a, columns: [mee], rows: [{run: stage1}]}", "no column 'mee'"),
        ("{title: a, columns: [mme], rows: []}", "no rows"),
        ("{title: a, columns: [mme], rows: [{run: stage9}]}", "no run 'stage9'"),
        ("{title: a, columns: [mme], rows: [{run: stage1, paper: {mme: high}}]}", "not a number"),
        ("{title: a, columns: [mme], runs: {a: {}}, rows: [{run: a}]}", "one of recipe, exchange and model"),
        ("{title: a, columns: [mme], runs: {a: {exchange: stage1}}, rows: [{run: a}]}", "projector and llm"),
    ],
)
def test_an_experiment_file_that_is_wrong_says_what(
    tmp_path: Path, tables: Tables, text: str, message: str
) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    code, _, err = tables(str(a_run(tmp_path, "stage1", mme=1.0)), "--only", str(tmp_path / "mine.yaml"))
    assert code == 1
    assert message in err
    assert "mine.yaml" in err
