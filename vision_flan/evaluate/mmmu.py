"""MMMU: college questions of 30 subjects, multiple choice or open.

The rules are those of `eval_utils.py`, `main_parse_and_eval.py` and `main_eval_only.py` of
MMMU-Benchmark/MMMU.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from vision_flan.errors import Location
from vision_flan.evaluate.files import answers_jsonl, is_answers_jsonl, json_document, json_objects
from vision_flan.evaluate.mmmu_text import is_open_right, open_candidates, parse_choice
from vision_flan.evaluate.request import Request
from vision_flan.evaluate.values import (
    Answer,
    AnswerError,
    Part,
    Score,
    grouped,
    require_same_ids,
    require_sizes,
    require_unique,
)

#: domain -> subjects, in the order of the official table
DOMAINS = {
    "Art and Design": ("Art", "Art_Theory", "Design", "Music"),
    "Business": ("Accounting", "Economics", "Finance", "Manage", "Marketing"),
    "Science": ("Biology", "Chemistry", "Geography", "Math", "Physics"),
    "Health and Medicine": (
        "Basic_Medical_Science",
        "Clinical_Medicine",
        "Diagnostics_and_Laboratory_Medicine",
        "Pharmacy",
        "Public_Health",
    ),
    "Humanities and Social Science": ("History", "Literature", "Sociology", "Psychology"),
    "Tech and Engineering": (
        "Agriculture",
        "Architecture_and_Engineering",
        "Computer_Science",
        "Electronics",
        "Energy_and_Power",
        "Materials",
        "Mechanical_Engineering",
    ),
}
#: The official tool takes the subjects in this order, which decides what its random choices are.
SUBJECTS = sorted(subject for subjects in DOMAINS.values() for subject in subjects)
VALIDATION_SIZE = 30
SEED = 42


def score(answers: Sequence[Answer]) -> Score:
    """Accuracy over all questions, by domain and by subject.

    A multiple-choice answer that names no option is drawn at random, from one generator seeded 42 that runs
    through all answers in their order here: another order gives other draws.
    """
    generator, right, drawn = random.Random(SEED), {}, 0
    for answer in answers:
        if answer.kind == "multiple-choice":
            choice = parse_choice(answer.prediction, answer.options)
            drawn += choice is None
            chosen = generator.choice(list(answer.options)) if choice is None else choice
            right[answer.id] = chosen in answer.target
        else:
            right[answer.id] = is_open_right(open_candidates(answer.prediction), answer.target)
    return _report(
        answers, right, f"{drawn:,} answers named no option and were drawn at random (seed {SEED})"
    )


def score_parsed(answers: Sequence[Answer]) -> Score:
    """As `score`, of answers whose choices are letters already, as in `total_val_output.json`."""
    right = {}
    for answer in answers:
        if answer.kind == "multiple-choice":
            right[answer.id] = answer.prediction in answer.target
        else:
            right[answer.id] = is_open_right(open_candidates(answer.prediction), answer.target)
    return _report(answers, right, "the choices had been parsed before")


def _report(answers: Sequence[Answer], right: dict[str, bool], note: str) -> Score:
    groups = grouped(answers, lambda answer: answer.part)
    parts = []
    for domain, subjects in DOMAINS.items():
        rows = [_part(subject, groups[subject], right) for subject in subjects if subject in groups]
        if rows:
            together = [answer for subject in subjects for answer in groups.get(subject, ())]
            parts += [_part(f"Overall-{domain}", together, right), *rows]
    value = sum(right.values()) / len(answers)
    return Score("mmmu", "accuracy", value, len(answers), tuple(parts), 100.0, notes=(note,))


def _part(name: str, answers: list[Answer], right: dict[str, bool]) -> Part:
    return Part(name, len(answers), {"accuracy": sum(right[answer.id] for answer in answers) / len(answers)})


def subject_of(name: str, place: Location | None) -> str:
    """`validation_Art_Theory_3` -> `Art_Theory`.

    Raises:
        AnswerError: it is no id of MMMU.
    """
    subject = "_".join(name.split("_")[1:-1])
    if subject not in SUBJECTS or not name.rsplit("_", 1)[1].isdecimal():
        raise AnswerError(
            f"{name!r} is no question id of MMMU", where=place, hint="ids are validation_<Subject>_<n>"
        )
    return subject


def load(request: Request) -> tuple[list[Answer], bool]:
    """Answers, and whether their choices are parsed already.

    - answers.jsonl: scored in the order of subjects and question numbers, whatever the order of lines;
    - the official folder `<Subject>/output.json`: in its files' order, as the official tool does;
    - the official `total_val_output.json`, id -> parsed answer, with --truth `answer_dict_val.json`.

    Raises:
        AnswerError: the files are not as the format says, or not complete.
    """
    parsed = False
    if is_answers_jsonl(request.path):
        request.refuse_truth()
        answers = [_ours(answer) for answer in answers_jsonl(request.path, "mmmu")]
        answers.sort(key=lambda answer: (SUBJECTS.index(answer.part), int(answer.id.rsplit("_", 1)[1])))
    elif request.path.is_dir():
        request.refuse_truth()
        answers = _folder(request.path)
    else:
        answers, parsed = _parsed(request), True
    require_unique(answers)
    if all(answer.id.startswith("validation_") for answer in answers):
        sizes = {name: len(found) for name, found in grouped(answers, lambda answer: answer.part).items()}
        wanted = dict.fromkeys(SUBJECTS, (VALIDATION_SIZE,))
        require_sizes(sizes, wanted, request.where, partial=request.partial)
    return answers, parsed


def _ours(answer: Answer) -> Answer:
    kind = answer.kind or ("multiple-choice" if answer.options else "open")
    return _checked(
        Answer(
            answer.id,
            answer.prediction,
            answer.target,
            answer.question,
            subject_of(answer.id, answer.place),
            options=answer.options,
            kind=kind,
            place=answer.place,
        )
    )


def _checked(answer: Answer) -> Answer:
    if not answer.target:
        raise AnswerError("no target", where=answer.place)
    if answer.kind == "multiple-choice":
        for target in answer.target:
            if target not in answer.options:
                raise AnswerError(f"the truth {target!r} is no option of {answer.id}", where=answer.place)
    return answer


def _folder(folder: Path) -> list[Answer]:
    found = []
    for subject in SUBJECTS:
        path = folder / subject / "output.json"
        if not path.is_file():
            continue
        for record in json_objects(path):
            name = record.text("id")
            if subject_of(name, record.place) != subject:
                raise AnswerError(f"{name} does not belong to {subject}", where=record.place)
            answer = Answer(
                name,
                record.text("response"),
                record.texts("answer"),
                part=subject,
                options=record.options("index2ans"),
                kind=record.text("question_type"),
                place=record.place,
            )
            found.append(_checked(answer))
    if not found:
        raise AnswerError("no <Subject>/output.json in this folder", where=Location(folder))
    return found


def _parsed(request: Request) -> list[Answer]:
    truth_path = request.required_truth("the file answer_dict_val.json")
    predictions, truths = json_document(request.path), json_document(truth_path)
    for path, data in ((request.path, predictions), (truth_path, truths)):
        if not isinstance(data, dict) or not data:
            raise AnswerError("not a JSON object of question ids", where=Location(path))
    found = [
        Answer(name, "", part=subject_of(name, request.where), place=request.where) for name in predictions
    ]
    require_same_ids(found, truths, request.where, partial=request.partial)
    answers = []
    for answer in found:
        truth, prediction = truths[answer.id], predictions[answer.id]
        if not isinstance(truth, dict) or not {"question_type", "ground_truth"} <= truth.keys():
            raise AnswerError(f"{answer.id}: no question_type or no ground_truth", where=Location(truth_path))
        if not isinstance(prediction, str):
            raise AnswerError(f"{answer.id}: {prediction!r} is not text", where=request.where)
        gold = truth["ground_truth"]
        targets = tuple(str(item) for item in (gold if isinstance(gold, list) else [gold]))
        answers.append(
            Answer(
                answer.id,
                prediction,
                targets,
                part=answer.part,
                kind=truth["question_type"],
                place=answer.place,
            )
        )
    return answers


def run(request: Request) -> Score:
    """Load and score."""
    answers, parsed = load(request)
    return score_parsed(answers) if parsed else score(answers)
