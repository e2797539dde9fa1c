"""MMMU: the rules of its `eval_utils.py`, and what is refused."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_flan.evaluate.mmmu import SUBJECTS, score
from vision_flan.evaluate.mmmu_text import (
    is_open_right,
    normalized,
    numbers_in,
    open_candidates,
    parse_choice,
)
from vision_flan.evaluate.values import Answer

Scored = Callable[..., dict[str, Any]]
Refused = Callable[..., str]
OPTIONS = {"A": "a red cat", "B": "dog", "C": "Cow"}


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ("B", "B"),
        ("B.", "B"),
        ("'.B", None),  # quotes are removed last, so the period stays
        ("(A)", "A"),
        ("(A) or (B)?", "B"),  # the last of several
        ("(B) is right, A is not", "B"),  # parentheses before bare letters
        ("A and C are close, C", "C"),
        ("C is better than A here", "A"),
        ("B is right, not B but A ", "A"),
        ("I think that it is the DOG", "B"),  # option text, in more than five words
        ("so it is the dog", None),  # five words are too few
        ("first the dog and then a red cat", "A"),
        ("I have no idea at all", None),
        ("", None),
        ("b", None),
    ],
)
def test_the_choice_an_answer_names(response: str, expected: str | None) -> None:
    assert parse_choice(response, OPTIONS) == expected


@pytest.mark.parametrize(
    ("response", "truth", "right"),
    [
        ("The answer is 2.83", "2.83", True),
        ("2.834", "2.83", True),  # two decimals
        ("x = 1,200", "1200", True),
        ("It costs 3.5e2 dollars", "350", True),
        ("The result is 12", "2", False),
        ("12 is the sum. The answer is 7", "12", False),  # only what stands behind an indicator
        ("Transformation", "transformation", True),
        ("a transformation of it", "Transformation", True),
        ("trans", "transformation", False),  # the truth must be contained in the answer
        ("cabbage", "b", False),  # a single letter must stand at a word's edge
        ("option b", "b", True),
        ("-5", "5", False),
        ("y = 3\nso x = 4", "3", False),  # an equals sign counts in the last sentence only
        ("y = 3", "3", True),
    ],
)
def test_open_answers(response: str, truth: str, right: bool) -> None:
    assert is_open_right(open_candidates(response), [truth]) == right


def test_any_of_several_truths_is_enough() -> None:
    assert is_open_right(open_candidates("The answer is mx"), ["my", "MX"])


def test_numbers_are_found_with_commas_in_scientific_notation_and_plain() -> None:
    assert {"1,200", "3.5e2", "-.5", "7"} <= set(numbers_in("1,200 and 3.5e2 and -.5 and 7"))
    assert normalized(" 1,200.456 ") == [1200.46]
    assert normalized("A") == [" a", "a "]


@settings(deadline=None)
@given(st.text())
def test_any_text_is_parsed(text: str) -> None:
    assert parse_choice(text, OPTIONS) in (None, "A", "B", "C")
    assert open_candidates(text)
    is_open_right(open_candidates(text), [text])


def choice(number: int, prediction: str, subject: str = "Art") -> Answer:
    return Answer(
        f"validation_{subject}_{number}",
        prediction,
        ("A",),
        part=subject,
        options=OPTIONS,
        kind="multiple-choice",
    )


def test_an_answer_without_a_choice_is_drawn_by_one_generator_over_the_whole_run() -> None:
    generator = random.Random(42)
    drawn = [generator.choice(["A", "B", "C"]) for _ in range(20)]
    found = score([choice(number, "hm", "Art" if number < 10 else "Math") for number in range(20)])
    assert found.value == drawn.count("A") / 20
    assert found.parts[1].values["accuracy"] == drawn[:10].count("A") / 10
    assert "20 answers named no option" in found.notes[0]


@settings(deadline=None)
@given(st.lists(st.text(max_size=3), min_size=1, max_size=30))
def test_the_score_is_a_share(texts: list[str]) -> None:
    assert 0 <= score([choice(number, text) for number, text in enumerate(texts)]).value <= 1


def test_subjects_are_scored_in_the_order_of_the_official_tool() -> None:
    assert len(SUBJECTS) == 30
    assert SUBJECTS[:5] == ["Accounting", "Agriculture", "Architecture_and_Engineering", "Art", "Art_Theory"]
    assert SUBJECTS[-4:] == ["Physics", "Psychology", "Public_Health", "Sociology"]


def test_the_official_folder_and_our_format_agree_whatever_the_order_of_our_lines(
    fixtures: Path, jsonl: Callable[..., Path], score: Scored
) -> None:
    official = score("mmmu", fixtures / "mmmu", "--partial")
    assert official["count"] == 20
    rows = []
    for subject in ("Electronics", "Art"):
        for item in json.loads((fixtures / "mmmu" / subject / "output.json").read_text()):
            row = {"id": item["id"], "prediction": item["response"], "target": item["answer"]}
            rows.append(row | ({"options": item["index2ans"]} if "index2ans" in item else {}))
    assert score("mmmu", jsonl(*rows), "--partial")["parts"] == official["parts"]
    assert score("mmmu", jsonl(*rows[::-1]), "--partial")["parts"] == official["parts"]


def test_random_draws_do_not_depend_on_the_order_of_our_lines(
    jsonl: Callable[..., Path], score: Scored
) -> None:
    rows = [
        {
            "id": f"validation_{subject}_{number}",
            "prediction": "hm",
            "target": "A",
            "options": ["x", "y", "z"],
        }
        for subject in ("Math", "Art", "Sociology")
        for number in range(1, 31)
    ]
    found = score("mmmu", jsonl(*rows), "--partial")
    random.Random(1).shuffle(rows)
    assert score("mmmu", jsonl(*rows), "--partial")["parts"] == found["parts"]
    assert 0 < found["value"] < 1


def test_parsed_answers_are_scored_against_the_answer_file(
    tmp_path: Path, score: Scored, refused: Refused
) -> None:
    truths = {
        "validation_Art_1": {"question_type": "multiple-choice", "ground_truth": "B"},
        "validation_Math_2": {"question_type": "short-answer", "ground_truth": ["2.5", "5/2"]},
    }
    (tmp_path / "answer_dict_val.json").write_text(json.dumps(truths))
    path = tmp_path / "total_val_output.json"
    path.write_text(json.dumps({"validation_Art_1": "C", "validation_Math_2": "so 5/2"}))
    arguments = ("mmmu", path, "--truth", tmp_path / "answer_dict_val.json", "--partial")
    assert score(*arguments)["value"] == 0.5
    path.write_text(json.dumps({"validation_Art_1": "C", "validation_Art_3": "B"}))
    assert "unknown question id 'validation_Art_3'" in refused(*arguments)


def folder(tmp_path: Path, *records: dict[str, Any]) -> Path:
    (tmp_path / "out" / "Art").mkdir(parents=True, exist_ok=True)
    (tmp_path / "out" / "Art" / "output.json").write_text(json.dumps(list(records), indent=1))
    return tmp_path / "out"


def test_wrong_records_are_refused_with_file_and_line(tmp_path: Path, refused: Refused) -> None:
    good = {
        "id": "validation_Art_1",
        "question_type": "multiple-choice",
        "answer": "B",
        "index2ans": {"A": "x", "B": "y"},
        "response": "A",
    }
    cases = [
        ((good, good), "output.json:12: second answer to question 'validation_Art_1'"),
        ((good | {"answer": "E"},), "output.json:2: the truth 'E' is no option"),
        ((good | {"id": "validation_Math_1"},), "output.json:2: validation_Math_1 does not belong to Art"),
        ((good | {"id": "art1"},), "output.json:2: 'art1' is no question id"),
        ((good | {"response": None},), "output.json:2: no field 'response'"),
        ((good | {"response": ["A"]},), "output.json:2: response is ['A'], not text"),
        ((good,), "has 30"),
    ]
    for records, message in cases:
        assert message in refused("mmmu", folder(tmp_path, *records))
