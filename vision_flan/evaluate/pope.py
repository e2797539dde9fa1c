"""POPE: is an object in the image, yes or no; three ways to choose the objects that are not.

The rules are those of `evaluate.py` of RUCAIBox/POPE and, the same, of LLaVA's `eval_pope.py`. The headline
is the mean F1 of the three splits, as LLaVA 1.5 reports it; the mean accuracy stands beside it, because the
Vision-Flan paper does not say which of them it prints.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vision_flan.errors import Location
from vision_flan.evaluate.files import Record, answers_jsonl, is_answers_jsonl, json_lines, one_target
from vision_flan.evaluate.request import Request
from vision_flan.evaluate.values import (
    Answer,
    AnswerError,
    Part,
    Score,
    grouped,
    mean,
    require_same_ids,
    require_sizes,
    require_unique,
)

#: split -> sizes; the first release had 2,910 random questions
SPLITS = {"random": (3000, 2910), "popular": (3000,), "adversarial": (3000,)}
LLAVA_QUESTIONS = "llava_pope_test.jsonl"


def verdict(prediction: str) -> str:
    """ "no" if "No", "not" or "no" is a word of the text before the first period, else "yes".

    Commas are removed and words are what single spaces separate, so "No!" and "no\\n" are read as yes.
    """
    words = prediction.split(".", 1)[0].replace(",", "").split(" ")
    return "no" if {"No", "not", "no"} & set(words) else "yes"


def score(answers: Sequence[Answer]) -> Score:
    """Accuracy, precision, recall, F1 and yes ratio of every split, and their means over splits.

    Yes is the positive class. The yes ratio counts predictions. Precision without a yes, and recall without a
    yes among the truths, are 0 here; the official script divides by zero.
    """
    groups = grouped(answers, lambda answer: answer.part)
    parts = [_split(name, groups[name]) for name in SPLITS if name in groups]
    names = ("accuracy", "precision", "recall", "f1", "yes_ratio")
    means = {name: mean(part.values[name] for part in parts) for name in names}
    notes = () if len(parts) == len(SPLITS) else (f"mean of {len(parts)} of {len(SPLITS)} splits",)
    return Score(
        "pope",
        "mean F1",
        means["f1"],
        len(answers),
        (Part("mean", len(answers), means), *parts),
        100.0,
        notes=notes,
    )


def _split(name: str, answers: list[Answer]) -> Part:
    pairs = [(verdict(answer.prediction), one_target(answer)) for answer in answers]
    hits, said, true = pairs.count(("yes", "yes")), 0, 0
    for prediction, target in pairs:
        said, true = said + (prediction == "yes"), true + (target == "yes")
    precision, recall = (hits / said if said else 0.0), (hits / true if true else 0.0)
    values = {
        "accuracy": sum(prediction == target for prediction, target in pairs) / len(pairs),
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall) if hits else 0.0,
        "yes_ratio": said / len(pairs),
    }
    return Part(name, len(pairs), values)


def load(request: Request) -> list[Answer]:
    """Answers of answers.jsonl, of POPE's own answer files or of LLaVA's one file.

    - POPE: a folder with one JSON-lines file a split, the split in its name, lines {"question", "answer"};
      --truth is the folder of `coco_pope_<split>.json`, matched line by line.
    - LLaVA: one JSON-lines file, lines {"question_id", "text"}; --truth also holds `llava_pope_test.jsonl`.

    Raises:
        AnswerError: the files are not as the format says, or not complete.
    """
    if is_answers_jsonl(request.path):
        request.refuse_truth()
        answers = answers_jsonl(request.path, "pope")
        for answer in answers:
            if answer.part not in SPLITS:
                raise AnswerError(f"part {answer.part!r} is no split of POPE", where=answer.place)
            one_target(answer, ("yes", "no"))
    elif request.path.is_dir():
        answers = _pope_folder(request)
    else:
        answers = _llava_file(request)
    require_unique(answers)
    sizes = {name: len(found) for name, found in grouped(answers, lambda answer: answer.part).items()}
    require_sizes(sizes, SPLITS, request.where, partial=request.partial)
    return answers


def _labels(folder: Path, split: str) -> list[Record]:
    records = json_lines(folder / f"coco_pope_{split}.json")
    for record in records:
        if record.text("label") not in ("yes", "no"):
            raise AnswerError(f"label {record.text('label')!r} is neither yes nor no", where=record.place)
    return records


def _pope_folder(request: Request) -> list[Answer]:
    truth = request.required_truth("the folder of coco_pope_<split>.json")
    found: list[Answer] = []
    for split in SPLITS:
        paths = [path for path in sorted(request.path.glob("*.json*")) if split in path.name]
        if len(paths) > 1:
            raise AnswerError(f"two answer files of split {split}", where=Location(paths[1]), hint="keep one")
        if not paths:
            continue
        answers, labels = json_lines(paths[0]), _labels(truth, split)
        if len(answers) != len(labels):
            raise AnswerError(
                f"{len(answers):,} answers to {len(labels):,} questions", where=Location(paths[0])
            )
        for record, label in zip(answers, labels, strict=True):
            question, asked = label.text("text"), record.optional("question")
            if asked is not None and asked.strip().lower() != question.strip().lower():
                raise AnswerError(
                    f"answers {asked!r}, but {label.place} asks {question!r}",
                    where=record.place,
                    hint="answers stand in the order of the questions",
                )
            found.append(_answer(record, record.text("answer"), label, split))
    if not found:
        raise AnswerError("no file with random, popular or adversarial in its name", where=request.where)
    return found


def _answer(record: Record, prediction: str, label: Record, split: str) -> Answer:
    return Answer(
        label.text("question_id"),
        prediction,
        (label.text("label"),),
        label.text("text"),
        split,
        place=record.place,
    )


def _llava_file(request: Request) -> list[Answer]:
    truth = request.required_truth(f"the folder of {LLAVA_QUESTIONS} and coco_pope_<split>.json")
    records = json_lines(request.path)
    answers = [
        Answer(record.text("question_id"), record.text("text"), place=record.place) for record in records
    ]
    require_unique(answers)
    by_id = {answer.id: (answer, record) for answer, record in zip(answers, records, strict=True)}
    questions = json_lines(truth / LLAVA_QUESTIONS)
    ids = [question.text("question_id") for question in questions]
    require_same_ids(answers, ids, request.where, partial=request.partial)
    found = []
    for split, asked in grouped(questions, lambda question: question.text("category")).items():
        if split not in SPLITS:
            raise AnswerError(f"category {split!r} is no split of POPE", where=asked[0].place)
        labels = _labels(truth, split)
        if len(asked) != len(labels):
            raise AnswerError(
                f"{split}: {len(asked):,} questions, {len(labels):,} labels", where=asked[0].place
            )
        for question, label in zip(asked, labels, strict=True):
            if not question.text("text").startswith(label.text("text")):
                raise AnswerError(
                    f"asks {question.text('text')!r}, not as {label.place}", where=question.place
                )
            answer, record = by_id.get(question.text("question_id"), (None, None))
            if answer is not None and record is not None:
                found.append(_answer(record, answer.prediction, label, split))
    return found


def run(request: Request) -> Score:
    """Load and score."""
    return score(load(request))


def run_yes_ratio(request: Request) -> Score:
    """Figure 7 of the paper: the share of predictions that are yes, by POPE's reading of them."""
    answers = load(request)
    groups = grouped(answers, lambda answer: answer.part)
    ratios = {
        name: Part(
            name, len(found), {"yes_ratio": mean(verdict(answer.prediction) == "yes" for answer in found)}
        )
        for name, found in groups.items()
    }
    value = mean(verdict(answer.prediction) == "yes" for answer in answers)
    parts = tuple(ratios[name] for name in SPLITS if name in ratios)
    return Score("yes_ratio", "share of yes", value, len(answers), parts, 100.0)
