"""`vflan evaluate`: lmms-eval answers, we score; what failed is said, what is there is not made again.

A stand-in takes the place of lmms-eval. With `VFLAN_LMMS_PYTHON`, the Python of an environment with lmms-eval
0.7.3, the last tests run the real one on a tiny model.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.evaluate.conftest import STAND_IN
from tests.evaluate.judge_server import JudgeServer
from tests.evaluate.lmms_data import ASKED, image, write_parquet
from vision_flan.cli.main import run, vflan
from vision_flan.columns import arrow_schema

DIGITS = ["0", "1", "2", "3", "4", "5"]
Evaluate = Callable[..., tuple[int, str, str]]


def write_task(compiled: Path, task: str, targets: Sequence[str]) -> None:
    """A compiled task, as `vflan compile` leaves it."""
    rows = [
        {
            "id": f"{task}/{number}",
            "image": image(),
            "instruction": "Which digit is it?",
            "input": "",
            "options": [],
            "target": target,
            "prompt": "Which digit is it?",
            "turns": [{"user": "Which digit is it?", "assistant": target}],
            "task": task,
            "category": "General Object",
            "source": "drawn",
            "source_id": str(number),
        }
        for number, target in enumerate(targets)
    ]
    (compiled / task).mkdir(parents=True)
    table = pa.Table.from_pylist(rows, schema=arrow_schema())
    split = "test" if task.startswith("eval_") else "train"
    pq.write_table(table, compiled / task / f"{split}-00000-of-00001.parquet")


def suite(tmp_path: Path, text: str) -> str:
    path = tmp_path / "suite.yaml"
    path.write_text(text)
    return str(path)


CF = "cf: {mnist: {compiled: eval_mnist}, cifar10: {compiled: eval_cifar_10}}\n"


def test_answers_are_generated_scored_and_kept(
    tmp_path: Path, model: Path, evaluate: Evaluate, calls: Callable[[], list[str]]
) -> None:
    write_task(tmp_path / "compiled", "eval_mnist", DIGITS)
    write_task(tmp_path / "compiled", "eval_cifar_10", ["cat", "dog"])
    name = suite(tmp_path, CF)
    code, out, err = evaluate(model, "--suite", name, "--partial")
    assert code == 0, err
    assert out == "cf: 100.00\n"
    stored = json.loads((model / "scores" / "cf.json").read_text())
    assert stored["prompt"] == "ours"
    assert [part["count"] for part in stored["parts"]] == [2, 6]
    lines = (model / "evaluate" / "cf" / "answers.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["question"] == "Which digit is it?"
    assert evaluate(model, "--suite", name, "--partial")[1] == "cf: 100.00 (as before)\n"
    assert len(calls()) == 1
    (model / "hf" / "config.json").write_text('{"other": 1}')  # another model
    assert evaluate(model, "--suite", name, "--partial")[1] == "cf: 100.00 (as before)\n"
    assert len(calls()) == 2  # the same answers again: the score is still theirs


def test_a_failure_is_named_though_lmms_eval_exits_with_0(
    tmp_path: Path, model: Path, evaluate: Evaluate, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_task(tmp_path / "compiled", "eval_mnist", DIGITS)
    name = suite(tmp_path, "mme: {all: {include: mme/mme.yaml}}\ncf: {mnist: {compiled: eval_mnist}}\n")
    code, out, err = evaluate(model, "--suite", name, "--partial")
    assert code == 1
    assert "mme: failed: " in err
    assert "Couldn't reach 'lmms-lab-encoder/MME'" in err
    assert out == "cf: 100.00\n"  # the others are scored all the same
    assert not (model / "scores" / "mme.json").exists()
    monkeypatch.setenv("STAND_IN_ANSWER", "''")
    (model / "hf" / "config.json").write_text('{"other": 1}')
    code, _, err = evaluate(model, "--suite", name, "--benchmark", "cf", "--partial")
    assert code == 1
    assert "all 6 answers to vflan_cf_mnist are empty" in err


def test_a_killed_run_resumes_with_the_benchmark_it_was_at(
    tmp_path: Path,
    model: Path,
    evaluate: Evaluate,
    calls: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_task(tmp_path / "compiled", "eval_mnist", DIGITS)
    write_task(tmp_path / "compiled", "ocr_textocr", ["STOP; Main St", "Exit"])
    text = "cf: {mnist: {compiled: eval_mnist}}\ntextocr: {all: {compiled: ocr_textocr, prompt: Read.}}\n"
    name = suite(tmp_path, text)
    monkeypatch.setenv("STAND_IN_ANSWER", "1 / 0 if doc['task'] == 'ocr_textocr' else doc['target']")
    code, out, err = evaluate(model, "--suite", name, "--partial")
    assert (code, out) == (1, "cf: 100.00\n")
    assert "ZeroDivisionError" in err
    monkeypatch.setenv("STAND_IN_ANSWER", "doc['target'].split(';')[0]")
    code, out, err = evaluate(model, "--suite", name, "--partial")
    assert code == 0, err
    assert out == "cf: 100.00 (as before)\ntextocr: 75.00\n"
    assert calls() == ["vflan_cf_mnist", "vflan_textocr_all", "vflan_textocr_all"]


def test_a_judge_that_is_down_is_asked_again_without_generating_again(
    tmp_path: Path,
    model: Path,
    evaluate: Evaluate,
    calls: Callable[[], list[str]],
    serve: Callable[[Callable[[str], str]], JudgeServer],
) -> None:
    write_task(tmp_path / "compiled", "eval_mnist", DIGITS)
    name = suite(tmp_path, "cf: {mnist: {compiled: eval_mnist}}\n")
    server = serve(lambda prompt: "right")
    server.failures += [(400, {})] * 6
    judges = tmp_path / "judges.yaml"
    judges.write_text(f"cf: {{url: '{server.url}', model: lmsys/vicuna-13b-v1.5}}\n")
    code, _, err = evaluate(model, "--suite", name, "--partial", "--judges", judges)
    assert code == 1
    assert "cf: failed: the judge" in err
    server.failures.clear()
    code, out, err = evaluate(model, "--suite", name, "--partial", "--judges", judges)
    assert (code, out) == (0, "cf: 100.00\n")
    assert len(calls()) == 1
    stored = json.loads((model / "scores" / "cf.json").read_text())
    assert stored["judge"]["model"] == "lmsys/vicuna-13b-v1.5"


def test_a_task_of_lmms_eval_is_asked_as_it_is_and_scored_by_our_rules(
    tmp_path: Path, model: Path, evaluate: Evaluate, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_parquet(tmp_path / "mme.parquet", ASKED["mme"].rows["all"])
    files = {"data_files": {"test": [str(tmp_path / "mme.parquet")]}}
    changed = json.dumps({"dataset_path": "parquet", "dataset_kwargs": files})
    name = suite(tmp_path, f"mme: {{all: {{include: mme/mme.yaml, set: {changed}}}}}\n")
    monkeypatch.setenv("STAND_IN_ANSWER", "'Yes'")
    code, out, err = evaluate(model, "--suite", name, "--partial")
    assert code == 0, err
    assert out == "mme: 50.00\n"  # half of the questions, no pair
    written = (model / "evaluate/mme/lmms-eval/tasks/vflan_mme_all.yaml").read_text()
    assert f"include: {STAND_IN / 'lmms_eval/tasks/mme/mme.yaml'}" in written


def test_the_share_of_yes_reads_the_answers_of_pope(
    tmp_path: Path,
    model: Path,
    evaluate: Evaluate,
    calls: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [
        {"question_id": str(n), "question": "Is it red?", "answer": "yes" if n else "no"} for n in range(4)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "pope.parquet")
    files = {"data_files": {"test": [str(tmp_path / "pope.parquet")]}}
    changed = json.dumps({"dataset_path": "parquet", "dataset_kwargs": files})
    name = suite(tmp_path, f"pope: {{random: {{include: mme/mme.yaml, set: {changed}}}}}\n")
    monkeypatch.setenv("STAND_IN_ANSWER", "'Yes, it is.'")
    both = ["--benchmark", "pope", "--benchmark", "yes_ratio"]
    code, out, err = evaluate(model, "--suite", name, "--partial", *both)
    assert code == 0, err
    assert out == "pope: 85.71\nyes_ratio: 100.00\n"
    assert len(calls()) == 1


def compile_miniatures(compiled: Path, **tasks: str) -> None:
    """Compiles tasks (dataset -> task) from miniatures in upstream's own formats."""
    raw = compiled.with_name("raw")
    for dataset, task in tasks.items():
        assert run(vflan, ["miniature", dataset, "--out", str(raw), "--n", "6"]) == 0
        assert run(vflan, ["compile", "--task", task, "--raw", str(raw), "--out", str(compiled)]) == 0


@pytest.mark.slow
def test_compiled_benchmarks_are_scored_right_where_every_answer_is_right(
    tmp_path: Path, model: Path, evaluate: Evaluate, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = {"mme": "eval_mme", "pope": "eval_pope", "mmbench": "eval_mmbench", "mnist": "eval_mnist"}
    compile_miniatures(tmp_path / "compiled", **tasks)
    capsys.readouterr()
    chosen = ["--benchmark", "mme", "--benchmark", "pope", "--benchmark", "mmbench"]
    code, out, err = evaluate(model, "--suite", "compiled", "--partial", *chosen)
    assert code == 0, err
    figures = dict(line.split(": ") for line in out.splitlines())
    assert float(figures["mme"]) % 200 == 0
    assert float(figures["mme"]) > 0
    assert (figures["pope"], figures["mmbench"]) == ("100.00", "100.00")


def test_a_limit_asks_the_first_questions_and_is_marked(
    tmp_path: Path, model: Path, evaluate: Evaluate
) -> None:
    write_task(tmp_path / "compiled", "ocr_textocr", ["STOP", "Exit", "Open"])
    name = suite(tmp_path, "textocr: {all: {compiled: ocr_textocr, prompt: Read., limit: 2}}\n")
    assert evaluate(model, "--suite", name)[0] == 0
    stored = json.loads((model / "scores" / "textocr.json").read_text())
    assert (stored["count"], stored["notes"]) == (2, [])
    assert evaluate(model, "--suite", name, "--limit", "1")[0] == 0
    stored = json.loads((model / "scores" / "textocr.json").read_text())
    assert stored["count"] == 1
    assert stored["notes"] == ["--partial: perhaps not the whole benchmark"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--suite", "other"], "no suite 'other'"),
        (["--benchmark", "mme2"], "the suite has no benchmark 'mme2'"),
        (["--benchmark", "cf"], "eval_cifar_10 is not compiled"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(
    model: Path, evaluate: Evaluate, arguments: list[str], message: str
) -> None:
    code, _, err = evaluate(model, *arguments)
    assert code == 1
    assert message in err
    assert "Traceback" not in err


def test_a_task_that_lmms_eval_lacks_is_named(tmp_path: Path, model: Path, evaluate: Evaluate) -> None:
    name = suite(tmp_path, "mmmu: {all: {include: mmmu/mmmu_next.yaml}}\n")
    assert "this lmms-eval has no task mmmu/mmmu_next.yaml" in evaluate(model, "--suite", name)[2]


def test_without_lmms_eval_the_way_to_install_it_is_named(
    model: Path, evaluate: Evaluate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "")
    code, _, err = evaluate(model, "--benchmark", "mme")
    assert code == 1
    assert "lmms-eval is not installed" in err
    assert "lmms-eval==0.7.3" in err


REAL = os.environ.get("VFLAN_LMMS_PYTHON", "")


@pytest.mark.slow
@pytest.mark.skipif(not REAL, reason="VFLAN_LMMS_PYTHON names no Python that has lmms-eval")
def test_the_real_lmms_eval_answers_with_a_tiny_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    create = pytest.importorskip("vision_flan.train.tiny").create
    create(tmp_path / "run" / "hf", ["Which digit is it? Is it red? yes no 0 1 2 3 4 5"] * 4)
    write_task(tmp_path / "compiled", "eval_mnist", DIGITS)
    write_parquet(tmp_path / "mme.parquet", ASKED["mme"].rows["all"])
    files = {"token": None, "data_files": {"test": [str(tmp_path / "mme.parquet")]}}
    changed = json.dumps({"dataset_path": "parquet", "dataset_kwargs": files})
    text = f"mme: {{all: {{include: mme/mme.yaml, set: {changed}}}}}\n"
    text += "textocr: {all: {compiled: eval_mnist, prompt: 'What are the texts?', tokens: 8, limit: 2}}\n"
    name = suite(tmp_path, text + "cf: {mnist: {compiled: eval_mnist, tokens: 8}}\n")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    arguments = ["evaluate", str(tmp_path / "run"), "--suite", name, "--partial", "--device", "cpu"]
    code = run(vflan, [*arguments, "--compiled", str(tmp_path / "compiled"), "--lmms-python", REAL])
    out, err = capsys.readouterr()
    assert code == 0, err
    assert [line.split(":")[0] for line in out.splitlines()] == ["mme", "textocr", "cf"]
    assert json.loads((tmp_path / "run/scores/textocr.json").read_text())["count"] == 2
    log = next((tmp_path / "run/evaluate/mme/lmms-eval/log").rglob("*_samples_*.jsonl")).read_text()
    asked = json.loads(log.splitlines()[0])["input"]
    assert asked == "Is it red?\nAnswer the question using a single word or phrase."  # the official prompt
