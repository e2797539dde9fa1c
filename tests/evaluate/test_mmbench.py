"""MMBench: VLMEvalKit's reading of answers and circular evaluation, and what is refused."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluate.judge_server import JudgeServer
from vision_flan.evaluate.mmbench import choice, letter_in, matching_prompt, option_in, score
from vision_flan.evaluate.values import Answer

Scored = Callable[..., dict[str, Any]]
Refused = Callable[..., str]
Serve = Callable[[Callable[[str], str]], JudgeServer]
OPTIONS = {"A": "red", "B": "dark blue", "C": "blue"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A", "A"),
        ("(B).", "B"),
        ("C: blue", "C"),
        ("The answer is B", "B"),
        ("A or B", None),  # two letters
        ("b", None),
        ("Bravo", None),
        ("Z", "Z"),
        ("I can't process this file.", "Z"),
        ("Failed to obtain answer via API. A", None),
        ("", None),
    ],
)
def test_the_one_letter_that_stands_as_a_word(text: str, expected: str | None) -> None:
    assert letter_in(text, list(OPTIONS)) == expected


def test_the_option_text_counts_if_it_is_only_one_options() -> None:
    assert option_in("It is RED", OPTIONS) == "A"
    assert option_in("dark blue", OPTIONS) is None  # contains blue too
    assert option_in("green", OPTIONS) is None


def test_the_letter_is_looked_for_before_the_option_text() -> None:
    assert choice("B, it is not red", OPTIONS) == "B"


@settings(deadline=None)
@given(st.text())
def test_any_text_is_read(text: str) -> None:
    assert choice(text, OPTIONS) in (None, "Z", *OPTIONS)


def rotations(index: int, *predictions: str, category: str = "color") -> list[Answer]:
    """A question with options red and green; green is right."""
    return [
        Answer(
            str(index + 1_000_000 * turn),
            prediction,
            ("BA"[turn],),
            "Which color",
            category,
            options=({"A": "red", "B": "green"}, {"A": "green", "B": "red"})[turn],
        )
        for turn, prediction in enumerate(predictions)
    ]


def test_a_question_is_right_only_if_all_its_rotations_are() -> None:
    found = score([*rotations(1, "B", "A"), *rotations(2, "B", "B"), *rotations(3, "green", "green.")])
    assert found.count == 3
    assert found.value == pytest.approx(2 / 3)


def test_without_a_judge_an_answer_that_names_no_option_is_wrong_and_counted() -> None:
    found = score([*rotations(1, "B", "the grass color"), *rotations(2, "B", "A")])
    assert found.value == 0.5
    assert "1 questions have an answer that names no option" in found.notes[1]


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3)), min_size=1), st.randoms())
def test_the_score_is_a_share_and_the_order_does_not_matter(
    texts: list[tuple[str, str]], shuffler: random.Random
) -> None:
    answers = [answer for index, pair in enumerate(texts) for answer in rotations(index, *pair)]
    found = score(answers)
    assert 0 <= found.value <= 1
    shuffler.shuffle(answers)
    assert score(answers).value == found.value


def write(path: Path, answers: list[Answer], *, with_truth: bool = True) -> Path:
    header = [
        "index",
        "question",
        "A",
        "B",
        "C",
        "category",
        *(["answer"] if with_truth else []),
        "prediction",
    ]
    rows = [
        [
            item.id,
            item.question,
            item.options["A"],
            item.options["B"],
            "",
            item.part,
            *(item.target if with_truth else ()),
            item.prediction,
        ]
        for item in answers
    ]
    if path.suffix == ".xlsx":
        openpyxl = pytest.importorskip("openpyxl")
        book = openpyxl.Workbook()
        for row in [header, *([int(row[0]), *(cell or None for cell in row[1:])] for row in rows)]:
            book.active.append(row)
        book.save(path)
    else:
        with path.open("w", newline="") as file:
            csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",").writerows([header, *rows])
    return path


@pytest.mark.parametrize("name", ["mine.csv", "mine.tsv", "mine.xlsx"])
def test_every_kind_of_table_is_read(name: str, tmp_path: Path, score: Scored) -> None:
    path = write(tmp_path / name, [*rotations(1, "B", "A"), *rotations(2, 'B, "so\nto say"', "B")])
    found = score("mmbench", path)
    assert (found["count"], found["value"]) == (2, 0.5)
    assert found["parts"] == [{"name": "color", "count": 2, "values": {"accuracy": 0.5}}]


def test_predictions_are_joined_with_the_benchmarks_own_table(
    tmp_path: Path, score: Scored, refused: Refused
) -> None:
    answers = [*rotations(1, "B", "A"), *rotations(2, "B", "A")]
    truth = write(tmp_path / "dev.tsv", answers)
    path = write(tmp_path / "mine.csv", answers, with_truth=False)
    assert score("mmbench", path, "--truth", truth)["value"] == 1
    assert "mine.csv:1: no column 'answer'" in refused("mmbench", path)
    write(path, answers[:2], with_truth=False)
    assert "2 of 4 questions have no answer, the first is '2'" in refused("mmbench", path, "--truth", truth)
    assert score("mmbench", path, "--truth", truth, "--partial")["count"] == 1
    write(path, answers[:3], with_truth=False)
    assert "rotation 1000002 has no answer" in refused("mmbench", path, "--truth", truth, "--partial")


def test_wrong_tables_are_refused_with_file_and_line(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "mine.csv"
    answers = rotations(1, "B", "A")
    write(path, [*answers, answers[1]])
    assert "mine.csv:4: second answer to question '1000001'" in refused("mmbench", path)
    write(path, answers[:1])
    assert "mine.csv:2: question 1 has 1 rows for 2 options" in refused("mmbench", path)
    path.write_text("index,question,A,B,answer\n")
    assert "mine.csv:1: no column 'prediction'" in refused("mmbench", path)
    path.write_text("index,question,A,B,answer,prediction\n1,q,x,y,D,B\n")
    assert "mine.csv:2: the truth ('D',) is no option" in refused("mmbench", path)
    path.write_text("index,question,A,B,answer,prediction\n1,q,x,y,B\n")
    assert "mine.csv:2: 5 cells, the header has 6" in refused("mmbench", path)
    path.rename(tmp_path / "mine.json")
    assert ".json ending" in refused("mmbench", tmp_path / "mine.json")


def test_a_judge_matches_only_answers_that_name_no_option(
    tmp_path: Path, serve: Serve, score: Scored
) -> None:
    server = serve(lambda prompt: "A" if "grass" in prompt else "Z")
    path = write(
        tmp_path / "mine.csv",
        [
            *rotations(1, "B", "the color of grass"),  # judged right
            *rotations(2, "A", "who knows"),  # wrong without a judge
            *rotations(3, "B", "who knows"),  # judged to match nothing
        ],
    )
    found = score("mmbench", path, "--judge", server.url, "--judge-model", "gpt-4")
    assert found["value"] == pytest.approx(1 / 3)
    assert len(server.requests) == found["judge"]["replies"] == 2
    assert found["judge"]["versions"] == ["gpt-4-2024"]


def test_a_judge_without_an_answer_is_asked_three_times_and_counted(
    tmp_path: Path, serve: Serve, score: Scored
) -> None:
    server = serve(lambda prompt: "maybe A, maybe B")
    path = write(tmp_path / "mine.csv", rotations(1, "B", "who knows"))
    found = score("mmbench", path, "--judge", server.url, "--judge-model", "gpt-4")
    assert found["value"] == 0
    assert len(server.requests) == 3
    assert "1 answers that the judge matched with no option" in found["notes"][1]


def test_the_judges_prompt_is_that_of_vlmevalkit() -> None:
    text = matching_prompt(rotations(1, "it is {green}")[0]).user
    assert text.startswith("You are an AI assistant who will help me to match an answer with several options")
    assert text.endswith(
        "Question: Which color?\nOptions: There are several options: \nA. red\nB. green\n"
        "\nAnswer: it is {green}\nYour output: "
    )
