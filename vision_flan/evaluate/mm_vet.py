"""MM-Vet: open questions that integrate capabilities, graded 0.0 to 1.0 by a language model.

Prompt, retries and aggregation are those of `mm-vet_evaluator.py` of yuweihao/MM-Vet, whose judge is
gpt-4-0613.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from vision_flan.errors import Location
from vision_flan.evaluate.files import answers_jsonl, is_answers_jsonl, json_document
from vision_flan.evaluate.judge import Judge, Prompt, ask_all
from vision_flan.evaluate.prompts import prompt
from vision_flan.evaluate.request import Request
from vision_flan.evaluate.values import (
    Answer,
    AnswerError,
    JudgeInfo,
    Part,
    Score,
    mean,
    require_same_ids,
    require_sizes,
    require_unique,
)

SIZE = 218
#: Temperatures of the questions after an unreadable reply, which also end with another line.
_AGAIN = (0.0, 0.0, 0.5, 1.0)
_AGAIN_LINE = "\nPredict the correctness of the answer (digit): "


@dataclass(frozen=True)
class Graded:
    """An answer's grade in every run, and its capabilities."""

    id: str
    capabilities: frozenset[str]
    grades: tuple[float, ...]


def parse_grade(reply: str) -> float | None:
    """The number before the first space, if it is from 0 to 1."""
    try:
        grade = float(reply.split(" ")[0].strip())
    except ValueError:
        return None
    return grade if 0.0 <= grade <= 1.0 else None


def grading_prompt(answer: Answer) -> Prompt:
    """The official few-shot prompt with the answer as its last row, to be completed by three tokens."""
    truth = answer.target[0].replace("<AND>", " <AND> ").replace("<OR>", " <OR> ")
    row = " | ".join([answer.question, truth, answer.prediction, ""])
    return Prompt(f"{prompt('mm_vet')}\n{row}", temperature=0.0, max_tokens=3)


def grade(judge: Judge, answer: Answer, run: int) -> float:
    """The judge's grade; 0 if no reply of five can be read, as in the official tool."""
    first = grading_prompt(answer)
    prompts = [replace(first, turn=f"run {run}")]
    for number, temperature in enumerate(_AGAIN, start=2):
        prompts.append(
            replace(
                first,
                user=first.user + _AGAIN_LINE,
                temperature=temperature,
                turn=f"run {run} attempt {number}",
            )
        )
    for asked in prompts:
        found = parse_grade(judge.ask(asked).text)
        if found is not None:
            return found
    return 0.0


def aggregate(graded: Sequence[Graded], judge: JudgeInfo | None = None) -> Score:
    """100 x the mean grade over all questions, by capability and by set of them; the mean over runs."""
    runs = len(graded[0].grades)
    totals = [100 * mean(item.grades[run] for item in graded) for run in range(runs)]
    names = sorted({name for item in graded for name in item.capabilities})
    sets = sorted(
        {tuple(sorted(item.capabilities)) for item in graded}, key=lambda names: (len(names), names)
    )
    parts = [_part(name, [item for item in graded if name in item.capabilities]) for name in names]
    parts += [
        _part("_".join(group), [item for item in graded if item.capabilities == set(group)])
        for group in sets
        if len(group) > 1
    ]
    shown = ", ".join(f"{total:.1f}" for total in totals)
    note = f"runs: {shown}; standard deviation {statistics.pstdev(totals):.1f}"
    return Score("mm_vet", "total", mean(totals), len(graded), tuple(parts), judge=judge, notes=(note,))


def _part(name: str, graded: list[Graded]) -> Part:
    return Part(name, len(graded), {"score": 100 * mean(mean(item.grades) for item in graded)})


def _metadata(request: Request) -> dict[str, Any]:
    path = request.required_truth("the file mm-vet.json")
    data = json_document(path)
    if not isinstance(data, dict) or not data:
        raise AnswerError("not MM-Vet's mm-vet.json", where=Location(path))
    for name, item in data.items():
        if not isinstance(item, dict) or not {"question", "answer", "capability"} <= item.keys():
            raise AnswerError(f"{name}: no question, answer or capability", where=Location(path))
    return data


def load(request: Request) -> list[Answer]:
    """Answers of answers.jsonl (`labels` are the capabilities) or of the official file id -> prediction.

    Raises:
        AnswerError: the files are not as the format says, or not complete.
    """
    if is_answers_jsonl(request.path):
        request.refuse_truth()
        answers = answers_jsonl(request.path, "mm_vet")
        require_unique(answers)
        for answer in answers:
            if not answer.question or len(answer.target) != 1 or not answer.labels:
                raise AnswerError("no question, target or labels", where=answer.place)
    else:
        truth, predictions = _metadata(request), _predictions(request)
        answers = [
            Answer(
                name,
                str(prediction),
                (str(truth[name]["answer"]),),
                str(truth[name]["question"]),
                labels=tuple(map(str, truth[name]["capability"])),
                place=request.where,
            )
            for name, prediction in predictions.items()
        ]
    require_sizes({"MM-Vet": len(answers)}, {"MM-Vet": (SIZE,)}, request.where, partial=request.partial)
    return answers


def _predictions(request: Request) -> Mapping[str, Any]:
    data = json_document(request.path)
    if not isinstance(data, dict) or not data:
        raise AnswerError("not a JSON object of question ids", where=request.where)
    require_same_ids(
        [Answer(name, "") for name in data], _metadata(request), request.where, partial=request.partial
    )
    return data


def graded_file(request: Request) -> Score:
    """Score the official tool's own file of grades, id -> {"model", "content", "score"}.

    Raises:
        AnswerError: the runs of the answers differ, or a grade is none.
    """
    truth, data = _metadata(request), _predictions(request)
    graded, versions = [], set()
    for name, item in data.items():
        grades = item.get("score") if isinstance(item, dict) else None
        if not isinstance(grades, list) or not all(_is_grade(value) for value in grades) or not grades:
            raise AnswerError(f"{name}: {grades!r} is no list of grades from 0 to 1", where=request.where)
        versions |= set(map(str, item.get("model", ())))
        graded.append(Graded(name, frozenset(truth[name]["capability"]), tuple(map(float, grades))))
    if len({len(item.grades) for item in graded}) > 1:
        raise AnswerError(
            "answers with different numbers of runs", where=request.where, hint="finish the runs first"
        )
    require_sizes({"MM-Vet": len(graded)}, {"MM-Vet": (SIZE,)}, request.where, partial=request.partial)
    replies = len(graded) * len(graded[0].grades)
    return aggregate(graded, JudgeInfo("recorded", "", tuple(sorted(versions)), replies))


def _is_grade(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value) and 0.0 <= value <= 1.0


def run(request: Request) -> Score:
    """Score grades that are there, or ask the judge for them, `runs` times an answer."""
    if not is_answers_jsonl(request.path):
        data = json_document(request.path)
        if isinstance(data, dict) and data and all(isinstance(item, dict) for item in data.values()):
            return graded_file(request)
    answers = load(request)
    judge = request.required_judge("MM-Vet is graded by a language model")
    jobs = [(answer, number) for answer in answers for number in range(1, request.runs + 1)]
    work = [partial(grade, judge, *job) for job in jobs]
    grades = ask_all(judge, work, request.reporter)
    size = request.runs
    graded = [
        Graded(answer.id, frozenset(answer.labels), tuple(grades[at * size : (at + 1) * size]))
        for at, answer in enumerate(answers)
    ]
    return aggregate(graded, judge.info())
