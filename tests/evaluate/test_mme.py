"""MME: the rules of its `calculation.py`, and what is refused."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_flan.evaluate.mme import TASKS, score, verdict
from vision_flan.evaluate.values import Answer

Scored = Callable[..., dict[str, Any]]
Refused = Callable[..., str]


@pytest.mark.parametrize(
    ("prediction", "expected"),
    [
        ("Yes", "yes"),
        ("NO", "no"),
        ("yes, there is", "yes"),
        ("No.", "no"),
        ("I do not", "other"),  # "i do" are the first four
        ("Oh yes", "other"),
        ("a yes", "other"),
        ("a no", "no"),
        (" yes", "yes"),
        ("nope yes", "no"),
        ("none", "no"),
        ("", "other"),
        ("eyes", "yes"),
    ],
)
def test_the_first_four_characters_decide(prediction: str, expected: str) -> None:
    assert verdict(prediction) == expected


@settings(deadline=None)
@given(st.text())
def test_any_text_has_a_verdict(text: str) -> None:
    assert verdict(text) in ("yes", "no", "other")


def pair(image: str, first: str, second: str, task: str = "existence") -> list[Answer]:
    return [
        Answer(f"{image} 1", first, ("Yes",), "Is it?", task, image),
        Answer(f"{image} 2", second, ("No",), "Is it not?", task, image),
    ]


def test_acc_counts_questions_and_acc_plus_counts_images_with_both_right() -> None:
    found = score([*pair("a", "yes", "no"), *pair("b", "yes", "yes"), *pair("c", "hm", "no")])
    values = found.parts[1].values
    assert values["acc"] == pytest.approx(4 / 6)
    assert values["acc+"] == pytest.approx(1 / 3)
    assert found.value == values["score"] == pytest.approx(100)


def test_perception_and_cognition_are_sums_over_their_tasks() -> None:
    found = score(
        [*pair("a", "yes", "no"), *pair("a", "no", "no", "OCR"), *pair("a", "yes", "no", "code_reasoning")]
    )
    assert found.value == 200 + 50
    assert {part.name: part.values["score"] for part in found.parts[:2]} == {
        "perception": 250,
        "cognition": 200,
    }


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), min_size=1), st.randoms())
def test_the_score_is_in_range_and_the_order_does_not_matter(
    texts: list[tuple[str, str]], shuffler: random.Random
) -> None:
    answers = [answer for number, texts_ in enumerate(texts) for answer in pair(str(number), *texts_)]
    found = score(answers)
    assert 0 <= found.value <= 200
    shuffler.shuffle(answers)
    assert score(answers).value == found.value


def lines(path: Path, *rows: tuple[str, ...]) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join("\t".join(row) + "\n" for row in rows))
    return path.parent


FIRST, SECOND = ("a.jpg", "Is it?", "Yes", "yes"), ("a.jpg", "Is it not?", "No", "no, it is")


def test_the_official_folder_is_scored(tmp_path: Path, score: Scored) -> None:
    folder = lines(tmp_path / "mine" / "count.txt", FIRST, SECOND)
    (folder / "README.txt").write_text("not a task")
    found = score("mme", folder, "--partial")
    assert found["value"] == 200
    assert found["count"] == 2


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([FIRST], "count.txt:1: 1 lines, an odd number"),
        ([FIRST, ("b.jpg", *SECOND[1:])], "image a.jpg has 1 answers to 1 questions"),
        ([FIRST, FIRST], "count.txt:2: count: image a.jpg has 2 answers to 1 questions"),
        ([FIRST, SECOND, FIRST, SECOND], "image a.jpg has 4 answers to 2 questions"),
        ([FIRST, SECOND[:3]], "count.txt:2: 3 columns, not 4"),
        ([FIRST, (*SECOND, "more")], "count.txt:2: 5 columns, not 4"),
        ([FIRST, ("a.jpg", "Is it not?", "Maybe", "no")], "count.txt:2: truth 'Maybe' is neither yes nor no"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(
    rows: list[tuple[str, ...]], message: str, tmp_path: Path, refused: Refused
) -> None:
    assert message in refused("mme", lines(tmp_path / "mine" / "count.txt", *rows), "--partial")


def test_a_file_that_is_not_utf8_is_refused_with_its_line(tmp_path: Path, refused: Refused) -> None:
    folder = lines(tmp_path / "mine" / "count.txt", FIRST, SECOND)
    (folder / "count.txt").write_bytes((folder / "count.txt").read_bytes() + b"\xff\n")
    assert "count.txt:3: not UTF-8" in refused("mme", folder, "--partial")


def test_an_incomplete_benchmark_is_refused_unless_partial(
    fixtures: Path, refused: Refused, score: Scored
) -> None:
    assert "existence: 12 answers, the benchmark has 60" in refused("mme", fixtures / "mme")
    found = score("mme", fixtures / "mme", "--partial")
    assert found["count"] == 24
    assert "--partial" in found["notes"][0]


def test_more_answers_than_the_benchmark_has_are_refused_even_if_partial(
    tmp_path: Path, refused: Refused
) -> None:
    rows = [(f"{number}.jpg", *row[1:]) for number in range(31) for row in (FIRST, SECOND)]
    folder = lines(tmp_path / "mine" / "count.txt", *rows)
    assert "count: 62 answers, the benchmark has 60" in refused("mme", folder, "--partial")


def test_answers_are_checked_against_the_official_questions(
    tmp_path: Path, fixtures: Path, score: Scored, refused: Refused
) -> None:
    questions = tmp_path / "questions"
    questions.mkdir()
    for task in ("existence", "OCR"):
        rows = (fixtures / "mme" / f"{task}.txt").read_text().splitlines()
        (questions / f"{task}.txt").write_text("".join("\t".join(row.split("\t")[:3]) + "\n" for row in rows))
    found = score("mme", fixtures / "mme", "--truth", questions, "--partial")
    assert found["count"] == 24
    folder = lines(tmp_path / "mine" / "OCR.txt", FIRST, SECOND)
    assert "OCR.txt:1: OCR has no question 'Is it?'" in refused(
        "mme", folder, "--truth", questions, "--partial"
    )


def test_our_own_format_gives_the_same_score(
    fixtures: Path, jsonl: Callable[..., Path], score: Scored
) -> None:
    rows: list[dict[str, Any]] = []
    for task in ("OCR", "existence"):
        for number, line in enumerate((fixtures / "mme" / f"{task}.txt").read_text().splitlines()):
            image, question, truth, prediction = line.split("\t")
            rows.append(
                {
                    "id": str(number),
                    "part": task,
                    "image": image,
                    "question": question,
                    "target": truth,
                    "prediction": prediction,
                }
            )
    official = score("mme", fixtures / "mme", "--partial")
    assert score("mme", jsonl(*rows[::-1]), "--partial")["value"] == official["value"]


def test_the_tasks_have_2374_questions_in_all() -> None:
    assert sum(TASKS.values()) == 2374
