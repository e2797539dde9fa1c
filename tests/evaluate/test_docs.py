"""Every command of docs/evaluate.md prints what it shows, on a few real answers and with a test judge."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs.console import examples, matches, run
from tests.evaluate.judge_server import JudgeServer
from vision_flan.evaluate.registry import BENCHMARKS

DOCUMENT = Path(__file__).parents[2] / "docs" / "evaluate.md"
SHOWN_URL = "http://localhost:8000/v1"
VET = {
    "v1_0": {"question": "What is x?", "answer": "-1<AND>-5", "capability": ["ocr", "math"]},
    "v1_1": {"question": "What is y?", "answer": "3", "capability": ["math"]},
    "v1_2": {"question": "What does the sign say?", "answer": "Stop", "capability": ["ocr"]},
}


@pytest.fixture
def folder(tmp_path: Path, fixtures: Path) -> Path:
    """The files that the document's commands name."""
    shutil.copytree(fixtures / "mme", tmp_path / "LaVIN")
    shutil.copytree(fixtures / "mmmu", tmp_path / "llava1.5_13b")
    shutil.copytree(fixtures / "pope", tmp_path / "coco")
    (tmp_path / "answers").mkdir()
    for path in (fixtures / "pope").glob("*.json"):
        labels = [json.loads(line)["label"] for line in path.read_text().splitlines()]
        labels[0] = "no"
        lines = [json.dumps({"answer": label.title()}) + "\n" for label in labels]
        (tmp_path / "answers" / path.name).write_text("".join(lines))
    (tmp_path / "mm-vet.json").write_text(json.dumps(VET))
    (tmp_path / "llava.json").write_text(json.dumps({"v1_0": "-1 and -5", "v1_1": "8", "v1_2": "STOP"}))
    for example in examples(DOCUMENT):
        if example.command.startswith("cat "):
            (tmp_path / example.command.removeprefix("cat ")).write_text(example.output + "\n")
    return tmp_path


def judge(prompt: str) -> str:
    if "drink" in prompt:
        return "B"
    return "0.0" if prompt.endswith(" | 8 | ") else "1.0"


@pytest.mark.slow
def test_every_command_prints_what_the_document_shows(
    folder: Path, serve: Callable[[Callable[[str], str]], JudgeServer]
) -> None:
    url = serve(judge).url
    found = list(examples(DOCUMENT))
    assert len(found) > 12
    for example in found:
        printed, _ = run(example.command.replace(SHOWN_URL, url), folder)
        printed = printed.replace(url, SHOWN_URL)
        assert matches(example.output, printed), (
            f"evaluate.md:{example.line}: $ {example.command}\n"
            f"shows\n{example.output}\nbut it prints\n{printed}"
        )


def test_the_document_names_every_benchmark_and_its_fields() -> None:
    text = DOCUMENT.read_text("utf-8")
    table = text.split("## answers.jsonl")[1].split("##")[0]
    assert set(BENCHMARKS) <= set(re.findall(r"`(\w+)`", table))
