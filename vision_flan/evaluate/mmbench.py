"""MMBench: multiple choice, each question asked once for every rotation of its options.

The rules are those of VLMEvalKit (`can_infer` and circular evaluation) as of the Vision-Flan paper, early
2024. Later versions also look at where in the answer a letter stands and at the answer's length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from string import ascii_uppercase

from vision_flan.evaluate.files import Record, answers_jsonl, is_answers_jsonl
from vision_flan.evaluate.judge import Judge, Prompt, ask_all, readable
from vision_flan.evaluate.prompts import filled
from vision_flan.evaluate.request import Request
from vision_flan.evaluate.sheets import table
from vision_flan.evaluate.values import (
    Answer,
    AnswerError,
    Part,
    Score,
    grouped,
    mean,
    require_same_ids,
    require_unique,
)

#: A rotation's index is the question's plus a multiple of this.
STEP = 1_000_000
NONE = "Z"
_ANSWERS, _TRUTH = ("index", "prediction"), ("index", "question", "A", "B", "answer")
_REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
_MARKS = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
_API_FAILED = "Failed to obtain answer via API"


def letter_in(text: str, letters: Sequence[str]) -> str | None:
    """The one letter that stands as a word in a text; Z for a refusal, or where Z does and no letter."""
    if _API_FAILED in text:
        return None
    if any(refusal in text for refusal in _REFUSALS):
        return NONE
    words = set(text.translate(_MARKS).split())
    named = [letter for letter in letters if letter in words]
    if len(named) == 1:
        return named[0]
    return NONE if not named and NONE in words else None


def option_in(text: str, options: Mapping[str, str]) -> str | None:
    """The one option whose text is in the answer, in any case."""
    lower = text.lower()
    named = [letter for letter, option in options.items() if option.lower() in lower]
    return named[0] if len(named) == 1 else None


def choice(text: str, options: Mapping[str, str]) -> str | None:
    """The letter first, then the option's text, else None."""
    return letter_in(text, list(options)) or option_in(text, options)


@dataclass(frozen=True)
class _Group:
    """A question in all its rotations."""

    rows: tuple[Answer, ...]

    def verdict(self) -> bool | None:
        """Right or wrong, None if it takes a judge. One wrong rotation is enough."""
        found = [(choice(row.prediction, row.options), row.target[0]) for row in self.rows]
        if any(chosen is not None and chosen != target for chosen, target in found):
            return False
        return True if all(chosen is not None for chosen, _ in found) else None

    def judged(self, judge: Judge) -> tuple[bool, int]:
        """As `verdict`, with a judge where it takes one; and how many replies named no option."""
        unread = 0
        for row in self.rows:
            chosen = choice(row.prediction, row.options)
            if chosen is None:
                chosen, _ = readable(judge, matching_prompt(row), partial(choice, options=row.options))
                unread += chosen is None
            if chosen != row.target[0]:
                return False, unread
        return True, unread


def matching_prompt(answer: Answer) -> Prompt:
    """VLMEvalKit's prompt to match an answer with the options."""
    options = "".join(f"{letter}. {text}\n" for letter, text in answer.options.items())
    options = f"There are several options: \n{options}"
    return Prompt(filled("mmbench", question=answer.question, options=options, answer=answer.prediction))


def score(answers: Sequence[Answer], judge: Judge | None = None, request: Request | None = None) -> Score:
    """The share of questions right in every rotation, by category too.

    Without a judge an answer that names no option is wrong, as in VLMEvalKit's exact matching.
    """
    groups = {
        name: _Group(tuple(sorted(rows, key=lambda row: int(row.id))))
        for name, rows in grouped(answers, lambda answer: str(int(answer.id) % STEP)).items()
    }
    verdicts = {name: group.verdict() for name, group in groups.items()}
    open_names = [name for name, verdict in verdicts.items() if verdict is None]
    notes = [f"{len(answers):,} answers to {len(groups):,} questions"]
    if judge is not None and open_names and request is not None:
        work = [partial(groups[name].judged, judge) for name in open_names]
        results = ask_all(judge, work, request.reporter)
        verdicts |= {name: right for name, (right, _) in zip(open_names, results, strict=True)}
        unread = sum(count for _, count in results)
        if unread:
            notes.append(f"{unread:,} answers that the judge matched with no option count as wrong")
    elif open_names:
        notes.append(
            f"{len(open_names):,} questions have an answer that names no option and count as wrong (no judge)"
        )
    hits = {name: bool(verdict) for name, verdict in verdicts.items()}
    parts = _parts(groups, hits)
    info = judge.info() if judge is not None else None
    return Score(
        "mmbench",
        "circular accuracy",
        mean(hits.values()),
        len(groups),
        parts,
        100.0,
        judge=info,
        notes=tuple(notes),
    )


def _parts(groups: Mapping[str, _Group], hits: Mapping[str, bool]) -> tuple[Part, ...]:
    by_category = grouped(groups, lambda name: groups[name].rows[0].part)
    return tuple(
        Part(category, len(names), {"accuracy": mean(hits[name] for name in names)})
        for category, names in sorted(by_category.items())
        if category
    )


def load(request: Request) -> list[Answer]:
    """Answers of answers.jsonl or of a table with `index`, `question`, `A`, `B`, ..., `prediction`.

    The truth is the column `answer`, or that of --truth, the benchmark's own table, matched by `index`.

    Raises:
        AnswerError: the files are not as the format says, or a rotation is missing.
    """
    if is_answers_jsonl(request.path):
        request.refuse_truth()
        answers = answers_jsonl(request.path, "mmbench")
    elif request.truth is not None:
        answers = _joined(request)
    else:
        answers = [_row(record, record) for record in table(request.path, (*_ANSWERS, *_TRUTH))]
    require_unique(answers)
    for answer in answers:
        if not answer.id.isdecimal():
            raise AnswerError(f"index {answer.id!r} is no number", where=answer.place)
        if len(answer.target) != 1 or answer.target[0] not in answer.options:
            raise AnswerError(
                f"the truth {answer.target} is no option of question {answer.id}", where=answer.place
            )
    if request.truth is None:
        _require_rotations(answers)
    return answers


def _joined(request: Request) -> list[Answer]:
    assert request.truth is not None
    truth = {record.text("index"): record for record in table(request.truth, _TRUTH)}
    records = table(request.path, _ANSWERS)
    found = [Answer(record.text("index"), "", place=record.place) for record in records]
    require_same_ids(found, truth, request.where, partial=request.partial)
    answers = [_row(record, truth[record.text("index")]) for record in records]
    present = {str(int(answer.id) % STEP) for answer in answers if answer.id.isdecimal()}
    ids = {answer.id for answer in answers}
    for index in truth:
        if index.isdecimal() and str(int(index) % STEP) in present and index not in ids:
            raise AnswerError(
                f"question {int(index) % STEP}: rotation {index} has no answer",
                where=request.where,
                hint="circular evaluation takes every rotation of a question",
            )
    return answers


def _row(record: Record, truth: Record) -> Answer:
    options = {letter: truth.text(letter) for letter in ascii_uppercase if truth.optional(letter) is not None}
    return Answer(
        record.text("index"),
        record.optional("prediction") or "",
        (truth.text("answer"),),
        truth.text("question"),
        truth.optional("category") or "",
        options=options,
        place=record.place,
    )


def _require_rotations(answers: Sequence[Answer]) -> None:
    for name, rows in grouped(answers, lambda answer: str(int(answer.id) % STEP)).items():
        if len(rows) != len(rows[0].options):
            raise AnswerError(
                f"question {name} has {len(rows)} rows for {len(rows[0].options)} options",
                where=rows[0].place,
                hint="answer every rotation, or pass the benchmark's own table as --truth",
            )


def run(request: Request) -> Score:
    """Load and score; the judge is optional."""
    return score(load(request), request.judge, request)
