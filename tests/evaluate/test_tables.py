"""Table 2: the paper's figures, ours below, other judges marked."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vision_flan.cli.main import run, vflan

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
    assert r"| Ours | 65.0\* |  |  | 70.0\* | 36.0 | 85.0+ | 80.0 |" in out
    assert out.endswith("\\*: another judge than the paper's; +: not the whole benchmark\n")
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
    assert tables(str(folder))[0] == 2
    assert tables(f"Vision-Flan Base (paper)={folder}")[0] == 2


def test_a_printed_score_is_a_cell(
    tmp_path: Path, fixtures: Path, tables: Tables, score: Callable[..., Any]
) -> None:
    folder = tmp_path / "scores"
    folder.mkdir()
    (folder / "mmmu.json").write_text(json.dumps(score("mmmu", fixtures / "mmmu", "--partial")))
    assert "| Ours |  |  | 50.0+ |  |  |  |  |" in tables(f"Ours={folder}")[1]
