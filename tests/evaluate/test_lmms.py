"""lmms-eval's log of each benchmark becomes answers.jsonl, and gets the score its official tool gives.

A stand-in logs as lmms-eval 0.7.3 does (`lmms_samples.jsonl` has lines of the real one). With
`VFLAN_LMMS_PYTHON`, the Python of an environment with lmms-eval 0.7.3, the last test has the real one ask a
tiny model the same questions by its official tasks.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.evaluate.judge_server import JudgeServer
from tests.evaluate.lmms_data import ASKED, local_suite
from tests.evaluate.test_evaluate import write_task
from vision_flan.cli.main import run, vflan
from vision_flan.errors import Location
from vision_flan.evaluate.convert import answer_line
from vision_flan.evaluate.files import Record, json_lines
from vision_flan.evaluate.lmms_functions import answer
from vision_flan.evaluate.suite import load_suite

Evaluate = Callable[..., tuple[int, str, str]]
Serve = Callable[[Callable[[str], str]], JudgeServer]
JUDGED = ("mm_vet", "llava_bench")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def suite(folder: Path, **more: object) -> Path:
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump(local_suite(load_suite("paper"), folder, **more), sort_keys=False))
    return path


def judge_of(prompt: str) -> str:
    """Full marks to the first answer of MM-Vet, half to the second; 8 and 6 to all of LLaVA-Bench."""
    if "[Assistant 2]" in prompt:
        return "8 6\nBecause."
    return "1.0" if "What is side 0" in prompt else "0.5"


@pytest.mark.parametrize("benchmark", ASKED)
def test_answers_of_a_benchmarks_own_data_get_the_official_score(
    benchmark: str, tmp_path: Path, model: Path, evaluate: Evaluate, says: Callable[..., None], serve: Serve
) -> None:
    asked = ASKED[benchmark]
    says(*asked.answers)
    server = serve(judge_of)
    judges = tmp_path / "judges.yaml"
    judges.write_text(yaml.safe_dump({name: {"url": server.url, "model": "gpt-4"} for name in JUDGED}))
    options = ["--suite", suite(tmp_path), "--benchmark", benchmark, "--partial", "--judges", judges]
    code, out, err = evaluate(model, *options)
    assert code == 0, err
    assert out == f"{benchmark}: {asked.score:.2f}\n"
    written = lines(model / "evaluate" / benchmark / "answers.jsonl")
    assert [line["prediction"] for line in written] == list(asked.answers)
    assert without_answer(written[0]) == {"benchmark": benchmark, **asked.line}
    stored = json.loads((model / "scores" / f"{benchmark}.json").read_text())
    assert stored["prompt"] == "official"
    assert len(server.requests) == {"mm_vet": 10, "llava_bench": 2}.get(benchmark, 0)


def test_entities_of_wit_are_found_in_answers_to_compiled_captions(
    tmp_path: Path, model: Path, evaluate: Evaluate, says: Callable[..., None]
) -> None:
    spacy = pytest.importorskip("spacy")
    pipeline = spacy.blank("en")
    names = [{"label": "GPE", "pattern": name} for name in ("Paris", "Oslo", "Rome")]
    pipeline.add_pipe("entity_ruler").add_patterns(names)
    pipeline.to_disk(tmp_path / "pipeline")
    write_task(tmp_path / "compiled", "knowledge_wit", ["Paris and Oslo at night.", "A street in Rome."])
    path = tmp_path / "wit.yaml"
    path.write_text("wit: {all: {compiled: knowledge_wit, prompt: Introduce it., limit: 1000}}\n")
    says("It is Paris.", "Rome, or Oslo.")
    code, out, err = evaluate(model, "--suite", path, "--spacy-model", tmp_path / "pipeline")
    assert code == 0, err
    assert out == "wit: 75.00\n"
    stored = json.loads((model / "scores" / "wit.json").read_text())
    assert stored["parts"][0]["values"]["mean_entities"] == 1.5


def without_answer(line: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name not in ("prediction", "tokens")}


def logged(doc: Mapping[str, object], said: str, number: int) -> Record:
    """A line of the log, as lmms-eval 0.7.3 writes it with our function."""
    line: dict[str, object] = {
        "doc_id": number,
        "target": "",
        "filtered_resps": said,
        "doc_hash": "",
        "input": "",
    }
    line |= answer(doc, [said])
    return Record(json.loads(json.dumps(line)), Location(Path("log.jsonl"), number + 1))


@pytest.mark.parametrize(
    ("doc", "expected"),
    [
        ({"A": "x", "B": "y", "C": float("nan"), "D": "nan"}, {"options": {"A": "x", "B": "y"}}),
        ({"A": "x", "B": "y", "C": None, "D": ""}, {"options": {"A": "x", "B": "y"}}),
    ],
)
def test_options_that_a_question_of_mmbench_lacks_are_left_out(
    doc: dict[str, object], expected: dict[str, object]
) -> None:
    row = {"index": 3, "question": "?", "answer": "A", "category": "color", **doc}
    line = answer_line(
        "mmbench", "dev", Record(json.loads(json.dumps(logged(row, "A", 0).data)), Location(Path("a")))
    )
    assert {name: line[name] for name in expected} == expected


@pytest.mark.parametrize("caption", ["a\nb", ["a", "b"]])
def test_a_caption_of_llava_bench_may_be_lines(caption: object) -> None:
    doc = {"question_id": 0, "question": "?", "category": "conv", "gpt_answer": "c", "caption": caption}
    assert answer_line("llava_bench", "all", logged(doc, "d", 0))["caption"] == "a\nb"


@pytest.mark.parametrize("capability", ["ocr,math", ["ocr", "math"]])
def test_capabilities_of_mm_vet_may_be_a_list(capability: object) -> None:
    doc = {"question_id": "v1_0", "question": "?", "answer": "4", "capability": capability}
    assert answer_line("mm_vet", "all", logged(doc, "4", 0))["labels"] == ["ocr", "math"]


def score_of(benchmark: str, docs: list[tuple[dict[str, object], str]], folder: Path) -> Path:
    """answers.jsonl of a log of these questions and answers."""
    path = folder / "answers.jsonl"
    made = (answer_line(benchmark, "all", logged(doc, said, n)) for n, (doc, said) in enumerate(docs))
    path.write_text("".join(json.dumps(line) + "\n" for line in made))
    return path


def test_lavins_answers_to_mme_out_of_a_log_get_the_official_score(
    real: Callable[[str], Path], tmp_path: Path, score: Callable[..., dict[str, Any]]
) -> None:
    docs: list[tuple[dict[str, object], str]] = []
    for path in sorted(real("mme_lavin").glob("*.txt")):
        if path.stem != "PROVENANCE":
            for line in path.read_text(encoding="utf-8").splitlines():
                image, question, truth, said = line.split("\t")
                fields = {"question_id": f"{path.stem}/{image}", "question": question, "answer": truth}
                docs.append(({**fields, "category": path.stem}, said))
    found = score("mme", score_of("mme", docs, tmp_path))
    assert found["value"] == pytest.approx(963.61, abs=0.005)
    assert found["parts"][1]["values"]["score"] == pytest.approx(249.64, abs=0.005)


def test_llava_15s_answers_to_mmmu_out_of_a_log_get_the_official_score(
    real: Callable[[str], Path], tmp_path: Path, score: Callable[..., dict[str, Any]]
) -> None:
    docs: list[tuple[dict[str, object], str]] = []
    for path in sorted(real("mmmu_val").glob("*/output.json")):
        for row in json.loads(path.read_text(encoding="utf-8")):
            options = list((row.get("index2ans") or {}).values())
            fields = {"id": row["id"], "question": "?", "question_type": row["question_type"]}
            truth = row["answer"] if isinstance(row["answer"], str) else str(row["answer"])
            docs.append(({**fields, "answer": truth, "options": str(options)}, row["response"]))
    found = score("mmmu", score_of("mmmu", docs, tmp_path))
    assert found["count"] == 900
    assert round(found["value"], 3) == 0.367


def test_the_stand_in_logs_what_lmms_eval_logs(
    tmp_path: Path, model: Path, evaluate: Evaluate, says: Callable[..., None], fixtures: Path
) -> None:
    """`fixtures/lmms_samples.jsonl` holds the first line of the real tool's log of each benchmark."""
    recorded = {line["benchmark"]: line["line"] for line in lines(fixtures / "lmms_samples.jsonl")}
    assert set(recorded) == set(ASKED)
    says(*["Yes"] * 9)
    evaluate(model, "--suite", suite(tmp_path), "--partial")
    for name, asked in ASKED.items():
        part = next(iter(asked.rows))
        (ours,) = (model / "evaluate" / name / "lmms-eval/log").rglob(f"*_samples_vflan_{name}_{part}.jsonl")
        kept = recorded[name].keys() - {"resps", "input_media"}  # not in every line of the real one
        assert json_lines(ours)[0].data.keys() == kept
        assert json_lines(ours)[0].data["vflan_answer"] == recorded[name]["vflan_answer"]
        line = answer_line(name, part, Record(recorded[name], Location(Path("recorded"))))
        assert line["prediction"]
        assert without_answer(line) == {"benchmark": name, **asked.line}


REAL = os.environ.get("VFLAN_LMMS_PYTHON", "")


@pytest.mark.slow
@pytest.mark.skipif(not REAL, reason="VFLAN_LMMS_PYTHON names no Python that has lmms-eval")
def test_the_real_lmms_eval_asks_each_benchmark_by_its_official_task(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    create = pytest.importorskip("vision_flan.train.tiny").create
    create(tmp_path / "run" / "hf", ["Which color has the square? red blue yes no A B"] * 4)
    for name in ("PYTHONPATH", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    short = suite(tmp_path, generation_kwargs={"max_new_tokens": 4, "temperature": 0})
    arguments = ["evaluate", str(tmp_path / "run"), "--suite", str(short), "--partial"]
    code = run(vflan, [*arguments, "--device", "cpu", "--lmms-python", REAL])
    out, err = capsys.readouterr()
    assert code == 0, err
    assert out.count("\n") == len(ASKED)
    for name, asked in ASKED.items():
        written = lines(tmp_path / "run" / "evaluate" / name / "answers.jsonl")
        assert len(written) == len(asked.answers)
        assert without_answer(written[0]) == {"benchmark": name, **asked.line}
