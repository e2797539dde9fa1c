"""Whole answer files that the benchmarks ship get the numbers that their official tools print."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Real = Callable[[str], Path]
Scored = Callable[..., dict[str, Any]]


def test_lavins_answers_to_mme(real: Real, score: Scored) -> None:
    found = score("mme", real("mme_lavin"))
    assert found["count"] == 2374
    assert found["value"] == pytest.approx(963.61, abs=0.005)
    sums = {part["name"]: part["values"]["score"] for part in found["parts"][:2]}
    assert sums["cognition"] == pytest.approx(249.64, abs=0.005)


def test_llava_15s_answers_to_mmmu(real: Real, score: Scored) -> None:
    found = score("mmmu", real("mmmu_val"))
    assert found["count"] == 900
    figures = {part["name"]: round(part["values"]["accuracy"], 3) for part in found["parts"]}
    assert round(found["value"], 3) == 0.367
    assert figures["Art"] == 0.6
    assert figures["Math"] == 0.333
    assert figures["Overall-Business"] == 0.227
    assert figures["Overall-Art and Design"] == 0.525


def test_mmmus_parsed_answers_are_scored_against_its_answer_file(real: Real, score: Scored) -> None:
    folder = real("mmmu") / "mmmu"
    path = folder / "example_outputs/llava1.5_13b/total_val_output.json"
    found = score("mmmu", path, "--truth", folder / "answer_dict_val.json", "--partial")
    assert found["count"] == 22


def test_mmmus_answer_file_is_right_by_itself(real: Real, score: Scored, tmp_path: Path) -> None:
    """The truths as answers: all right, but for those of a single character, which no answer equals."""
    import json

    truths = json.loads((real("mmmu_val") / "answer_dict_val.json").read_text())
    golds = {name: item["ground_truth"] for name, item in truths.items()}
    predictions = {name: gold[0] if isinstance(gold, list) else gold for name, gold in golds.items()}
    path = tmp_path / "total_val_output.json"
    path.write_text(json.dumps(predictions))
    found = score("mmmu", path, "--truth", real("mmmu_val") / "answer_dict_val.json")
    assert found["count"] == 900
    assert found["value"] > 0.99


def test_popes_questions_answered_by_their_labels(real: Real, score: Scored, tmp_path: Path) -> None:
    import json

    truth = real("pope") / "pope/output/coco"
    truth = truth if truth.is_dir() else real("pope") / "output/coco"
    for path in truth.iterdir():
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        lines = [json.dumps({"question": row["text"], "answer": row["label"]}) + "\n" for row in rows]
        (tmp_path / path.name).write_text("".join(lines))
    found = score("pope", tmp_path, "--truth", truth, "--partial")
    assert (found["count"], found["value"]) == (72, 1)
