"""LLaVA-Bench (in the wild): open questions; a language model grades the answer beside GPT-4's.

Prompt, reading of replies and aggregation are those of `eval_gpt_review_bench.py` and
`summarize_gpt_review.py` of haotian-liu/LLaVA, whose judge is gpt-4-0314.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vision_flan.evaluate.files import Record, answers_jsonl, is_answers_jsonl, json_lines
from vision_flan.evaluate.judge import Judge, JudgeError, Prompt, ask_all, readable
from vision_flan.evaluate.prompts import prompt
from vision_flan.evaluate.request import Request
from vision_flan.evaluate.values import (
    Answer,
    AnswerError,
    JudgeInfo,
    Part,
    Score,
    grouped,
    mean,
    require_same_ids,
    require_sizes,
    require_unique,
)

SIZE = 60
CATEGORIES = ("conv", "detail", "complex")
SYSTEM = "You are a helpful and precise assistant for checking the quality of the answer."
ROLE = "Assistant"


@dataclass(frozen=True)
class Review:
    """The judge's marks, 1 to 10. The official tool records a reply that it cannot read as -1 twice."""

    id: str
    category: str
    reference: float
    model: float


def parse_marks(reply: str) -> tuple[float, float] | None:
    """The two numbers of the first line, with a space or a comma between them, if they are from 0 to 10."""
    words = reply.split("\n")[0].replace(",", " ").split(" ")
    try:
        first, second = (float(word) for word in words)
    except ValueError:
        return None
    return (first, second) if 0.0 <= first <= 10.0 and 0.0 <= second <= 10.0 else None


def review_prompt(answer: Answer) -> Prompt:
    """The official prompt: description of the image, question, reference answer, the model's answer."""
    answers = "".join(
        f"[{ROLE} {number}]\n{text}\n\n[End of {ROLE} {number}]\n\n"
        for number, text in ((1, answer.target[0]), (2, answer.prediction))
    )
    text = f"[Context]\n{answer.caption}\n\n[Question]\n{answer.question}\n\n{answers}"
    return Prompt(f"{text}[System]\n{prompt('llava_bench')}\n\n", SYSTEM, temperature=0.2, max_tokens=1024)


def review(judge: Judge, answer: Answer) -> Review:
    """The judge's marks.

    Raises:
        JudgeError: no reply of three can be read; the official tool would average a mark of -1 in.
    """
    marks, reply = readable(judge, review_prompt(answer), parse_marks, fresh=True)
    if marks is None:
        raise JudgeError(
            f"the judge's replies on question {answer.id} do not begin with two marks: {reply.text[:60]!r}",
            where=answer.place,
            hint="use a judge that follows the prompt",
        )
    return Review(answer.id, answer.part, *marks)


def summarize(reviews: Sequence[Review], judge: JudgeInfo | None = None) -> Score:
    """100 x the mean mark of the model over the mean mark of the reference, over all and by category.

    Raises:
        AnswerError: the reference answers have no marks above 0.
    """
    parts = [
        _part(category, found)
        for category, found in sorted(grouped(reviews, lambda item: item.category).items())
        if category
    ]
    total = _part("all", list(reviews))
    unread = sum(item.reference < 0 for item in reviews)
    notes = (
        (f"{unread} unreadable reviews are averaged in as -1, as the official tool does",) if unread else ()
    )
    value = total.values["score"]
    return Score("llava_bench", "relative score", value, len(reviews), tuple(parts), judge=judge, notes=notes)


def _part(name: str, reviews: list[Review]) -> Part:
    reference, model = mean(item.reference for item in reviews), mean(item.model for item in reviews)
    if reference <= 0:
        raise AnswerError(f"{name}: the reference answers' mean mark is {reference:.1f}")
    return Part(
        name, len(reviews), {"score": 100 * model / reference, "reference": reference, "model": model}
    )


def load(request: Request) -> list[Answer]:
    """Answers of answers.jsonl, or of LLaVA's answer file with --truth, the benchmark's folder.

    answers.jsonl: `part` is the category, `caption` describes the image, `target` is the reference answer.
    The folder holds questions.jsonl, context.jsonl and answers_gpt4.jsonl.

    Raises:
        AnswerError: the files are not as the format says, or not complete.
    """
    if is_answers_jsonl(request.path):
        request.refuse_truth()
        answers = answers_jsonl(request.path, "llava_bench")
    else:
        answers = _official(request)
    require_unique(answers)
    for answer in answers:
        if answer.part not in CATEGORIES:
            raise AnswerError(
                f"category {answer.part!r} is none of {', '.join(CATEGORIES)}", where=answer.place
            )
        if not answer.question or not answer.caption or len(answer.target) != 1:
            raise AnswerError("no question, caption or target", where=answer.place)
    require_sizes(
        {"LLaVA-Bench": len(answers)}, {"LLaVA-Bench": (SIZE,)}, request.where, partial=request.partial
    )
    return answers


def _official(request: Request) -> list[Answer]:
    folder = request.required_truth("the folder of questions.jsonl, context.jsonl and answers_gpt4.jsonl")
    questions = _by(folder / "questions.jsonl", "question_id")
    captions = _by(folder / "context.jsonl", "image")
    references = _by(folder / "answers_gpt4.jsonl", "question_id")
    found = [
        Answer(record.text("question_id"), record.text("text"), place=record.place)
        for record in json_lines(request.path)
    ]
    require_unique(found)
    require_same_ids(found, questions, request.where, partial=request.partial)
    answers = []
    for answer in found:
        question, reference = questions[answer.id], references.get(answer.id)
        caption = captions.get(question.text("image"))
        if reference is None or caption is None:
            raise AnswerError(
                f"question {answer.id} has no reference answer or no caption", where=question.place
            )
        answers.append(
            Answer(
                answer.id,
                answer.prediction,
                (reference.text("text"),),
                question.text("text"),
                question.text("category"),
                caption="\n".join(caption.texts("caption")),
                place=answer.place,
            )
        )
    return answers


def _by(path: Path, name: str) -> dict[str, Record]:
    return {record.text(name): record for record in json_lines(path)}


def reviewed_file(request: Request, records: Sequence[Record]) -> Score:
    """Score the official tool's own file of reviews, lines with `tuple` and `category`.

    Raises:
        AnswerError: a review has no two marks, or there are two of one question.
    """
    reviews, asked = [], []
    for record in records:
        marks = record.data.get("tuple")
        if not isinstance(marks, list) or len(marks) != 2 or not all(_is_mark(mark) for mark in marks):
            raise AnswerError(f"tuple is {marks!r}, not two marks", where=record.place)
        category = record.text("category").removeprefix("llava_bench_")
        reviews.append(Review(record.text("question_id"), category, *map(float, marks)))
        asked.append(Answer(reviews[-1].id, "", place=record.place))
    require_unique(asked)
    require_sizes(
        {"LLaVA-Bench": len(reviews)}, {"LLaVA-Bench": (SIZE,)}, request.where, partial=request.partial
    )
    return summarize(reviews, JudgeInfo("recorded", "", (), len(reviews)))


def _is_mark(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def run(request: Request) -> Score:
    """Score reviews that are there, or ask the judge for them."""
    if not is_answers_jsonl(request.path):
        records = json_lines(request.path)
        if all("tuple" in record.data for record in records):
            request.refuse_truth()
            return reviewed_file(request, records)
    answers = load(request)
    judge = request.required_judge("LLaVA-Bench is graded by a language model")
    reviews = ask_all(judge, [partial(review, judge, answer) for answer in answers], request.reporter)
    return summarize(reviews, judge.info())
