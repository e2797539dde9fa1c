"""MME: 14 tasks of yes/no questions, two an image.

The rules are those of `eval_tool/calculation.py` of BradyFU/Awesome-Multimodal-Large-Language-Models
(branch Evaluation). The figure of the Vision-Flan paper is the sum over the ten perception tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vision_flan.errors import Location
from vision_flan.evaluate.files import answers_jsonl, is_answers_jsonl, one_target, read_text
from vision_flan.evaluate.request import Request
from vision_flan.evaluate.values import Answer, AnswerError, Part, Score, grouped, require_sizes

#: task -> questions, as in the official question lists
PERCEPTION = {
    "existence": 60,
    "count": 60,
    "position": 60,
    "color": 60,
    "posters": 294,
    "celebrity": 340,
    "scene": 400,
    "landmark": 400,
    "artwork": 400,
    "OCR": 40,
}
COGNITION = {
    "commonsense_reasoning": 140,
    "numerical_calculation": 40,
    "text_translation": 40,
    "code_reasoning": 40,
}
TASKS = PERCEPTION | COGNITION


def verdict(prediction: str) -> str:
    """ "yes", "no" or "other", which is always wrong.

    Lower case decides. A text that is not exactly yes or no is judged by its first four characters.
    """
    text = prediction.lower()
    if text in ("yes", "no"):
        return text
    return next((word for word in ("yes", "no") if word in text[:4]), "other")


def score(answers: Sequence[Answer]) -> Score:
    """The perception sum, and every task's acc, acc+ and score.

    acc is the share of questions answered right, acc+ the share of images with both questions right; a task's
    score is 100 x (acc + acc+). Questions are paired by image, so the order of answers does not matter.

    Raises:
        AnswerError: an image that does not have two different questions.
    """
    parts, groups = [], grouped(answers, lambda answer: answer.part)
    sums = {"perception": 0.0, "cognition": 0.0}
    for task in (name for name in TASKS if name in groups):
        part = _task(task, groups[task])
        parts.append(part)
        sums["perception" if task in PERCEPTION else "cognition"] += part.values["score"]
    counts = {
        name: sum(part.count for part in parts if part.name in tasks)
        for name, tasks in (("perception", PERCEPTION), ("cognition", COGNITION))
    }
    totals = [Part(name, count, {"score": sums[name]}) for name, count in counts.items() if count]
    return Score("mme", "perception", sums["perception"], len(answers), (*totals, *parts))


def _task(name: str, answers: list[Answer]) -> Part:
    images = grouped(answers, lambda answer: answer.image)
    right, pairs = 0, 0
    for image, questions in images.items():
        different = len({answer.question for answer in questions})
        if len(questions) != 2 or different != 2:
            raise AnswerError(
                f"{name}: image {image} has {len(questions)} answers to {different} questions, not 2 to 2",
                where=questions[-1].place,
                hint="answer both questions of every image, each once",
            )
        hits = sum(verdict(answer.prediction) == one_target(answer).lower() for answer in questions)
        right, pairs = right + hits, pairs + (hits == 2)
    acc, plus = right / len(answers), pairs / len(images)
    return Part(name, len(answers), {"acc": acc, "acc+": plus, "score": acc * 100 + plus * 100})


def load(request: Request) -> list[Answer]:
    """Answers of answers.jsonl or of the official tool's folder with a `<task>.txt` for each task.

    Raises:
        AnswerError: the files are not as the format says, or not complete.
    """
    if is_answers_jsonl(request.path):
        answers = answers_jsonl(request.path, "mme")
        for answer in answers:
            if answer.part not in TASKS:
                raise AnswerError(f"part {answer.part!r} is no task of MME", where=answer.place)
            if not answer.image or not answer.question:
                raise AnswerError("no image or no question", where=answer.place)
            one_target(answer, ("yes", "no", "Yes", "No"))
    else:
        answers = _folder(request.path, columns=4)
    if request.truth is not None:
        _check(answers, _folder(request.truth, columns=3))
    sizes = {name: len(found) for name, found in grouped(answers, lambda answer: answer.part).items()}
    wanted = {task: (size,) for task, size in TASKS.items()}
    require_sizes(sizes, wanted, request.where, partial=request.partial)
    return answers


def _folder(folder: Path, columns: int) -> list[Answer]:
    if not folder.is_dir():
        raise AnswerError("not a folder of <task>.txt files", where=Location(folder), hint="give the folder")
    found: list[Answer] = []
    for task in TASKS:
        path = folder / f"{task}.txt"
        if path.is_file():
            found += _lines(path, task, columns)
    if not found:
        raise AnswerError("no <task>.txt of MME in this folder", where=Location(folder))
    return found


def _lines(path: Path, task: str, columns: int) -> list[Answer]:
    rows = read_text(path).split("\n")
    rows = rows[:-1] if not rows[-1] else rows
    found = []
    for number, row in enumerate(rows, start=1):
        cells, place = row.removesuffix("\r").split("\t"), Location(path, number)
        if len(cells) < columns or (columns == 4 and len(cells) > 4):
            raise AnswerError(
                f"{len(cells)} columns, not {columns}: image, question, truth, prediction, separated by tabs",
                where=place,
                hint="replace tabs and line breaks inside predictions by spaces",
            )
        image, question, truth = cells[:3]
        if truth.lower() not in ("yes", "no"):
            raise AnswerError(f"truth {truth!r} is neither yes nor no", where=place)
        prediction = cells[3] if columns == 4 else ""
        found.append(Answer(f"{image} {question}", prediction, (truth,), question, task, image, place=place))
    if len(found) % 2:
        raise AnswerError(
            f"{len(found)} lines, an odd number: an image has two questions",
            where=Location(path, len(found)),
            hint="a line is missing or stands twice",
        )
    return found


def _check(answers: list[Answer], truth: list[Answer]) -> None:
    """Every answered question is one of the benchmark's, with the same truth."""
    known = {(item.part, item.image, item.question): item for item in truth}
    for answer in answers:
        item = known.get((answer.part, answer.image, answer.question))
        if item is None:
            raise AnswerError(f"{answer.part} has no question {answer.question!r}", where=answer.place)
        if item.target[0].lower() != one_target(answer).lower():
            raise AnswerError(
                f"truth {answer.target[0]}, but {item.place} says {item.target[0]}", where=answer.place
            )


def run(request: Request) -> Score:
    """Load and score."""
    return score(load(request))
