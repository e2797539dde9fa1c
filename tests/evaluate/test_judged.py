"""MM-Vet, LLaVA-Bench and CF: prompts, readings of replies and aggregation."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluate.judge_server import JudgeServer
from vision_flan.evaluate.forgetting import names_class, parse_verdict
from vision_flan.evaluate.llava_bench import Review, parse_marks, review_prompt, summarize
from vision_flan.evaluate.mm_vet import Graded, aggregate, grading_prompt, parse_grade
from vision_flan.evaluate.values import Answer, AnswerError

Scored = Callable[..., dict[str, Any]]
Refused = Callable[..., str]
Serve = Callable[[Callable[[str], str]], JudgeServer]


@pytest.mark.parametrize(
    ("reply", "grade"),
    [
        ("0.5", 0.5),
        ("1.0 because", 1.0),
        ("0\n", 0.0),
        ("1.1", None),
        ("-0.1", None),
        ("half", None),
        ("nan", None),
    ],
)
def test_mm_vet_reads_a_number_from_0_to_1_before_the_first_space(reply: str, grade: float | None) -> None:
    assert parse_grade(reply) == grade


@pytest.mark.parametrize(
    ("reply", "marks"),
    [
        ("8 7\nwell", (8, 7)),
        ("8,7", (8, 7)),
        ("8.5 7.0", (8.5, 7)),
        ("8, 7", None),  # the comma becomes a second space, as in the official tool
        ("8", None),
        ("eight seven", None),
        ("nan 7", None),
    ],
)
def test_llava_bench_reads_two_numbers_from_the_first_line(
    reply: str, marks: tuple[float, float] | None
) -> None:
    assert parse_marks(reply) == marks


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("right", True),
        ("Wrong.", False),
        ("It is right.", True),
        ("right or wrong", None),
        ("brightly", None),
    ],
)
def test_cf_reads_one_of_two_words(reply: str, verdict: bool | None) -> None:
    assert parse_verdict(reply) == verdict


@settings(deadline=None)
@given(st.text())
def test_any_reply_is_read(text: str) -> None:
    for parse in (parse_grade, parse_marks, parse_verdict):
        parse(text)
    assert not names_class(text, [""])


def test_mm_vet_is_a_hundred_times_the_mean_by_capability_and_run() -> None:
    both, one = frozenset({"ocr", "math"}), frozenset({"ocr"})
    found = aggregate([Graded("a", both, (1.0, 0.5)), Graded("b", one, (0.0, 0.5))])
    assert found.value == 50
    assert {part.name: part.values["score"] for part in found.parts} == {
        "math": 75,
        "ocr": 50,
        "math_ocr": 75,
    }
    assert found.notes == ("runs: 50.0, 50.0; standard deviation 0.0",)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1))
def test_mm_vet_is_from_0_to_100_and_the_order_does_not_matter(grades: list[tuple[float, float]]) -> None:
    graded = [Graded(str(number), frozenset({"rec"}), pair) for number, pair in enumerate(grades)]
    found = aggregate(graded)
    assert 0 <= found.value <= 100.0000001
    assert aggregate(graded[::-1]).value == found.value


def test_mm_vets_prompt_ends_with_the_row_to_complete() -> None:
    prompt = grading_prompt(Answer("v1_0", "4", ("3<AND>4<OR>5",), "What is x?"))
    assert prompt.user.startswith("Compare the ground truth and prediction from AI models")
    assert prompt.user.endswith(" | 1.0\n\nWhat is x? | 3 <AND> 4 <OR> 5 | 4 | ")
    assert (prompt.temperature, prompt.max_tokens) == (0.0, 3)


def test_llava_bench_is_the_ratio_of_mean_marks() -> None:
    found = summarize([Review("1", "conv", 8, 4), Review("2", "detail", 4, 8), Review("3", "conv", 8, 8)])
    assert found.value == 100
    assert {part.name: part.values["score"] for part in found.parts} == {"conv": 75, "detail": 200}


def test_llava_bench_averages_unreadable_reviews_in_as_the_official_tool_does_and_says_so() -> None:
    found = summarize([Review("1", "conv", 9, 5), Review("2", "conv", -1, -1)])
    assert found.value == 50
    assert "1 unreadable" in found.notes[0]
    with pytest.raises(AnswerError):
        summarize([Review("2", "conv", -1, -1)])


def test_llava_benchs_prompt_shows_caption_question_reference_and_answer() -> None:
    prompt = review_prompt(Answer("1", "mine", ("reference",), "What?", "conv", caption="a boat"))
    assert prompt.user.startswith(
        "[Context]\na boat\n\n[Question]\nWhat?\n\n[Assistant 1]\nreference\n\n[End of Assistant 1]\n\n"
        "[Assistant 2]\nmine\n\n[End of Assistant 2]\n\n[System]\nWe would like to request your feedback"
    )
    assert prompt.user.endswith("does not affect your judgment.\n\n")
    assert (prompt.temperature, prompt.max_tokens) == (0.2, 1024)


def test_llava_benchs_prompt_is_the_official_one(real: Callable[[str], Path]) -> None:
    from vision_flan.evaluate.prompts import prompt

    rules = json.loads((real("llava_bench_in_the_wild") / "llava/eval/table/rule.json").read_text())
    assert {rule["prompt"] for rule in rules.values()} == {prompt("llava_bench")}


VET = {
    f"v1_{number}": {"question": f"What is {number}?", "answer": str(number), "capability": ["math"]}
    for number in range(4)
}


@pytest.fixture
def vet(tmp_path: Path) -> tuple[Path, Path]:
    """Official files of four questions, the last answered wrong."""
    (tmp_path / "mm-vet.json").write_text(json.dumps(VET))
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"v1_0": "0", "v1_1": "1", "v1_2": "2", "v1_3": "7"}))
    return path, tmp_path / "mm-vet.json"


def right_row(prompt: str) -> str:
    """Grades the last row: 1.0 where truth and prediction are equal."""
    row = (
        prompt.split("\n\n")[-1].split("\n")[-1]
        if "Predict the correctness" not in prompt
        else prompt.split("\n")[-2]
    )
    cells = row.split(" | ")
    return "1.0" if cells[1] == cells[2] else "0.0"


def test_mm_vet_is_graded_in_every_run(vet: tuple[Path, Path], serve: Serve, score: Scored) -> None:
    server = serve(right_row)
    arguments = (
        "mm_vet",
        vet[0],
        "--truth",
        vet[1],
        "--partial",
        "--judge",
        server.url,
        "--judge-model",
        "gpt-4",
    )
    assert score(*arguments, "--runs", "3")["value"] == 75
    assert len(server.requests) == 12
    score(*arguments)
    assert len(server.requests) == 20  # five runs by default, three are there


def test_mm_vet_asks_again_with_another_last_line_and_gives_0_after_five_unreadable_replies(
    vet: tuple[Path, Path], serve: Serve, score: Scored
) -> None:
    server = serve(lambda prompt: right_row(prompt) if "Predict the correctness" in prompt else "well")
    arguments = ("--truth", vet[1], "--partial", "--judge-model", "m", "--runs", "1")
    assert score("mm_vet", vet[0], *arguments, "--judge", server.url)["value"] == 75
    lost = serve(lambda prompt: "well")
    assert score("mm_vet", vet[0], *arguments, "--judge", lost.url)["value"] == 0
    asked = [body["temperature"] for body, _ in lost.requests]
    assert sorted(asked) == sorted([0.0, 0.0, 0.0, 0.5, 1.0] * 4)


def test_mm_vets_own_grades_are_scored_without_a_judge(
    vet: tuple[Path, Path], score: Scored, refused: Refused
) -> None:
    path, truth = vet
    grades = {name: {"model": ["gpt-4-0613"], "content": ["0.5"], "score": [0.5]} for name in VET}
    path.write_text(json.dumps(grades))
    found = score("mm_vet", path, "--truth", truth, "--partial")
    assert found["value"] == 50
    assert found["judge"]["versions"] == ["gpt-4-0613"]
    grades["v1_3"]["score"] = [2.0]  # type: ignore[list-item]
    path.write_text(json.dumps(grades))
    assert "v1_3: [2.0] is no list of grades" in refused("mm_vet", path, "--truth", truth, "--partial")


def test_mm_vet_refuses_unknown_and_missing_ids_and_a_missing_judge(
    vet: tuple[Path, Path], refused: Refused
) -> None:
    path, truth = vet
    assert "a judge is needed" in refused("mm_vet", path, "--truth", truth, "--partial")
    assert "4 answers, the benchmark has 218" in refused("mm_vet", path, "--truth", truth)
    path.write_text(json.dumps({"v1_0": "0"}))
    assert "3 of 4 questions have no answer" in refused("mm_vet", path, "--truth", truth)
    path.write_text(json.dumps({"v1_9": "0"}))
    assert "unknown question id 'v1_9'" in refused("mm_vet", path, "--truth", truth, "--partial")


@pytest.fixture
def bench(jsonl: Callable[..., Path]) -> tuple[Path, Path]:
    """LLaVA's answer file and the benchmark's folder, two questions."""
    ids = [{"question_id": number} for number in (0, 1)]
    jsonl(
        *(
            row | {"image": "001.jpg", "text": "What?", "category": ("conv", "detail")[row["question_id"]]}
            for row in ids
        ),
        name="bench/questions.jsonl",
    )
    jsonl({"id": "001", "image": "001.jpg", "caption": ["a boat", "on a lake"]}, name="bench/context.jsonl")
    truth = jsonl(
        *(row | {"text": "reference", "answer_id": "x"} for row in ids), name="bench/answers_gpt4.jsonl"
    )
    path = jsonl(*(row | {"text": f"mine {row['question_id']}", "answer_id": "y"} for row in ids[::-1]))
    return path, truth.parent


def test_llava_bench_is_reviewed_by_the_judge(bench: tuple[Path, Path], serve: Serve, score: Scored) -> None:
    server = serve(lambda prompt: "8 6\ngood" if "mine 0" in prompt else "8 8")
    found = score(
        "llava_bench",
        bench[0],
        "--truth",
        bench[1],
        "--partial",
        "--judge",
        server.url,
        "--judge-model",
        "gpt-4",
    )
    assert found["value"] == 87.5
    body = server.requests[0][0]
    assert body["messages"][0]["role"] == "system"
    assert "[Context]\na boat\non a lake\n\n" in body["messages"][1]["content"]


def test_llava_bench_refuses_a_judge_that_gives_no_marks(
    bench: tuple[Path, Path], serve: Serve, refused: Refused
) -> None:
    server = serve(lambda prompt: "Both are fine.")
    printed = refused(
        "llava_bench",
        bench[0],
        "--truth",
        bench[1],
        "--partial",
        "--judge",
        server.url,
        "--judge-model",
        "gpt-4",
    )
    assert "do not begin with two marks: 'Both are fine.'" in printed


def test_llavas_own_reviews_are_scored_without_a_judge(
    jsonl: Callable[..., Path], score: Scored, refused: Refused
) -> None:
    rows = [
        {"question_id": number, "category": "llava_bench_conv", "content": "8 6", "tuple": [8.0, 6.0]}
        for number in (0, 1)
    ]
    found = score("llava_bench", jsonl(*rows), "--partial")
    assert (found["value"], found["parts"][0]["name"]) == (75, "conv")
    assert "answers.jsonl:2: second answer" in refused("llava_bench", jsonl(rows[0], rows[0]), "--partial")
    assert "answers.jsonl:1: tuple is [8], not two marks" in refused(
        "llava_bench", jsonl(rows[0] | {"tuple": [8]}), "--partial"
    )


def cf_row(part: str, prediction: str, target: Any, number: int = 0) -> dict[str, Any]:
    return {"id": number, "part": part, "question": "What?", "prediction": prediction, "target": target}


def test_cf_is_the_mean_of_the_datasets_accuracies(
    jsonl: Callable[..., Path], serve: Serve, score: Scored, refused: Refused
) -> None:
    path = jsonl(
        cf_row("cifar10", "a cat", "cat", 0),
        cf_row("cifar10", "a dog", "cat", 1),
        cf_row("mnist", "seven", ["7", "seven"]),
        cf_row("cifar100", "an automobile", "car"),
    )
    found = score("cf", path, "--partial")
    assert found["value"] == pytest.approx((0.5 + 1 + 0) / 3)
    assert "no judge" in found["notes"][-1]
    server = serve(lambda prompt: "wrong" if "a dog" in prompt else "right")
    judged = score("cf", path, "--partial", "--judge", server.url, "--judge-model", "vicuna-13b-v1.5")
    assert judged["value"] == pytest.approx((0.5 + 1 + 1) / 3)
    assert "The right class: 7 or seven" in "".join(str(body) for body, _ in server.requests)
    assert "cifar10: 2 answers, the benchmark has 10,000" in refused("cf", path)
    unsure = serve(lambda prompt: "hm")
    assert "neither right nor wrong" in refused(
        "cf", path, "--partial", "--judge", unsure.url, "--judge-model", "m"
    )


@pytest.mark.parametrize(
    ("prediction", "right"), [("A CAT.", True), ("a caterpillar", False), ("black  cat", True), ("", False)]
)
def test_cf_without_a_judge_looks_for_the_class_name_as_words(prediction: str, right: bool) -> None:
    assert names_class(prediction, ["cat"]) == right
