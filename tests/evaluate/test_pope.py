"""POPE: the rules of its `evaluate.py`, its own files and LLaVA's, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_flan.evaluate.pope import SPLITS, score, verdict
from vision_flan.evaluate.values import Answer

Scored = Callable[..., dict[str, Any]]
Refused = Callable[..., str]


@pytest.mark.parametrize(
    ("prediction", "expected"),
    [
        ("Yes", "yes"),
        ("No", "no"),
        ("No, there is none", "no"),
        ("There is not a dog.", "no"),
        ("There is no dog. Yes.", "no"),
        ("Yes. No dog", "yes"),  # text after the first period is not looked at
        ("NO", "yes"),  # only No, no and not are words of denial
        ("No!", "yes"),
        ("Nothing", "yes"),
        ("", "yes"),
        ("I do,not", "yes"),  # commas are removed, not replaced
    ],
)
def test_the_text_before_the_first_period_decides(prediction: str, expected: str) -> None:
    assert verdict(prediction) == expected


@settings(deadline=None)
@given(st.text())
def test_any_text_is_yes_or_no(text: str) -> None:
    assert verdict(text) in ("yes", "no")


def answers(split: str, *pairs: tuple[str, str]) -> list[Answer]:
    return [
        Answer(str(number), prediction, (target,), part=split)
        for number, (prediction, target) in enumerate(pairs)
    ]


def test_yes_is_the_positive_class_and_the_yes_ratio_counts_predictions() -> None:
    found = score(
        answers("random", ("yes", "yes"), ("yes", "no"), ("yes", "no"), ("no", "yes"), ("no", "no"))
    )
    assert dict(found.parts[1].values) == pytest.approx(
        {"accuracy": 0.4, "precision": 1 / 3, "recall": 0.5, "f1": 0.4, "yes_ratio": 0.6}
    )


def test_the_headline_is_the_mean_f1_of_the_splits() -> None:
    found = score([*answers("random", ("yes", "yes")), *answers("popular", ("no", "yes"), ("no", "no"))])
    assert found.value == 0.5
    assert found.parts[0].values["accuracy"] == 0.75
    assert found.notes == ("mean of 2 of 3 splits",)


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(max_size=4), st.sampled_from(["yes", "no"])), min_size=1))
def test_every_figure_is_a_share_and_the_order_does_not_matter(pairs: list[tuple[str, str]]) -> None:
    found = score(answers("random", *pairs))
    assert all(0 <= value <= 1 for part in found.parts for value in part.values.values())
    assert score(answers("random", *pairs[::-1])).parts == found.parts


@pytest.fixture
def folder(tmp_path: Path, fixtures: Path) -> Path:
    """Answers in POPE's own form, all right but the first of each split."""
    path = tmp_path / "answers"
    path.mkdir()
    for split in SPLITS:
        labels = [json.loads(line) for line in (fixtures / f"pope/coco_pope_{split}.json").open()]
        rows = [{"question": item["text"], "answer": f"{item['label'].title()}, I see."} for item in labels]
        rows[0]["answer"] = "No"
        (path / f"llava_{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_official_answer_files_are_matched_line_by_line(
    folder: Path, fixtures: Path, score: Scored
) -> None:
    found = score("pope", folder, "--truth", fixtures / "pope", "--partial")
    assert found["count"] == 36
    assert found["parts"][1]["values"]["accuracy"] == pytest.approx(11 / 12)
    assert found["parts"][1]["values"]["precision"] == 1


def test_answers_in_another_order_than_the_questions_are_refused(
    folder: Path, fixtures: Path, refused: Refused
) -> None:
    path = folder / "llava_popular.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[::-1]))
    assert "llava_popular.jsonl:1: answers" in refused(
        "pope", folder, "--truth", fixtures / "pope", "--partial"
    )


def test_a_missing_answer_is_refused(folder: Path, fixtures: Path, refused: Refused) -> None:
    path = folder / "llava_popular.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    assert "11 answers to 12 questions" in refused("pope", folder, "--truth", fixtures / "pope", "--partial")
    assert "pass --truth" in refused("pope", folder, "--partial")


@pytest.fixture
def llava(tmp_path: Path, fixtures: Path) -> tuple[Path, Path]:
    """LLaVA's one answer file and its folder of questions and labels."""
    truth, number = tmp_path / "truth", 0
    truth.mkdir()
    questions, rows = [], []
    for split in ("adversarial", "popular", "random"):
        text = (fixtures / f"pope/coco_pope_{split}.json").read_text()
        (truth / f"coco_pope_{split}.json").write_text(text)
        for item in map(json.loads, text.splitlines()):
            question = f"{item['text']}\nAnswer the question using a single word or phrase."
            questions.append(
                {"question_id": number, "image": item["image"], "text": question, "category": split}
            )
            rows.append({"question_id": number, "prompt": question, "text": item["label"]})
            number += 1
    (truth / "llava_pope_test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in questions))
    path = tmp_path / "llava.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows[::-1]))
    return path, truth


def test_llavas_answer_file_is_matched_by_question_id(llava: tuple[Path, Path], score: Scored) -> None:
    path, truth = llava
    found = score("pope", path, "--truth", truth, "--partial")
    assert (found["count"], found["value"]) == (36, 1)
    ratio = score("yes_ratio", path, "--truth", truth, "--partial")
    assert ratio["value"] == pytest.approx(0.5)


def test_unknown_second_and_missing_ids_are_refused(llava: tuple[Path, Path], refused: Refused) -> None:
    path, truth = llava
    rows = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*rows, rows[3]]))
    assert "llava.jsonl:37: second answer to question '32'" in refused("pope", path, "--truth", truth)
    path.write_text("".join([*rows, '{"question_id": 99, "text": "yes"}\n']))
    assert "llava.jsonl:37: unknown question id '99'" in refused("pope", path, "--truth", truth)
    path.write_text("".join(rows[1:]))
    assert "1 of 36 questions have no answer, the first is '35'" in refused("pope", path, "--truth", truth)


def test_our_own_format_refuses_other_splits_and_targets(
    jsonl: Callable[..., Path], refused: Refused
) -> None:
    row = {"id": 1, "part": "random", "prediction": "yes", "target": "yes"}
    assert "answers.jsonl:1: part 'rand' is no split" in refused("pope", jsonl({**row, "part": "rand"}))
    assert "target 'maybe' is not one of yes, no" in refused("pope", jsonl({**row, "target": "maybe"}))
    assert "random: 1 answers, the benchmark has 3,000 or 2,910" in refused("pope", jsonl(row))
