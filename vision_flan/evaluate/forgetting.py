"""CF, catastrophic forgetting: four classification datasets asked as questions.

The Vision-Flan paper averages the accuracies on CIFAR-10, CIFAR-100, MNIST and miniImageNet, judged by
Vicuna 13B v1.5. It prints no prompt; ours is `prompts/cf.txt`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

from vision_flan.evaluate.files import answers_jsonl
from vision_flan.evaluate.judge import Judge, JudgeError, Prompt, ask_all, readable
from vision_flan.evaluate.prompts import filled
from vision_flan.evaluate.request import Request
from vision_flan.evaluate.values import (
    Answer,
    AnswerError,
    JudgeInfo,
    Part,
    Score,
    grouped,
    mean,
    require_sizes,
    require_unique,
)

#: dataset -> test images; miniImageNet has several test sets, so its size is not checked
DATASETS = {"cifar10": 10_000, "cifar100": 10_000, "mnist": 10_000, "miniimagenet": 0}


def names_class(prediction: str, targets: Sequence[str]) -> bool:
    """Whether the answer has one of the class names as whole words, in any case; used without a judge."""
    return any(
        re.search(rf"(?<!\w){re.escape(' '.join(target.split()))}(?!\w)", " ".join(prediction.split()), re.I)
        for target in targets
        if target.strip()
    )


def parse_verdict(reply: str) -> bool | None:
    """True for "right", False for "wrong", None where neither or both are said."""
    words = set(re.findall(r"[a-z]+", reply.lower()))
    return None if ("right" in words) == ("wrong" in words) else "right" in words


def verdict_prompt(answer: Answer) -> Prompt:
    """Our prompt for one answer."""
    target = " or ".join(answer.target)
    text = filled("cf", question=answer.question, target=target, answer=answer.prediction)
    return Prompt(text, temperature=0.0, max_tokens=16)


def judged(judge: Judge, answer: Answer) -> bool:
    """The judge's verdict.

    Raises:
        JudgeError: no reply of three can be read.
    """
    found, reply = readable(judge, verdict_prompt(answer), parse_verdict, fresh=True)
    if found is None:
        raise JudgeError(
            f"the judge says neither right nor wrong of {answer.part} {answer.id}: {reply.text[:60]!r}",
            where=answer.place,
            hint="use a judge that follows the prompt",
        )
    return found


def score(answers: Sequence[Answer], verdicts: Sequence[bool], judge: JudgeInfo | None = None) -> Score:
    """The mean of the datasets' accuracies, each dataset counting the same."""
    right: dict[str, list[bool]] = {}
    for answer, verdict in zip(answers, verdicts, strict=True):
        right.setdefault(answer.part, []).append(verdict)
    parts = tuple(
        Part(name, len(right[name]), {"accuracy": mean(right[name])}) for name in DATASETS if name in right
    )
    notes = []
    if len(parts) < len(DATASETS):
        notes.append(f"mean of {len(parts)} of {len(DATASETS)} datasets")
    if judge is None:
        notes.append("no judge: an answer is right if it contains the class name as words")
    value = mean(part.values["accuracy"] for part in parts)
    return Score("cf", "mean accuracy", value, len(answers), parts, 100.0, judge=judge, notes=tuple(notes))


def load(request: Request) -> list[Answer]:
    """answers.jsonl with `part` the dataset and `target` the class name, or several names of it.

    Raises:
        AnswerError: an unknown dataset, no target, or an incomplete file.
    """
    request.refuse_truth()
    answers = answers_jsonl(request.path, "cf")
    require_unique(answers)
    for answer in answers:
        if answer.part not in DATASETS:
            raise AnswerError(f"part {answer.part!r} is none of {', '.join(DATASETS)}", where=answer.place)
        if not any(target.strip() for target in answer.target) or not answer.question:
            raise AnswerError("no target or no question", where=answer.place)
    sizes = {name: len(found) for name, found in grouped(answers, lambda answer: answer.part).items()}
    wanted = {name: (size or max(1, sizes.get(name, 0)),) for name, size in DATASETS.items()}
    require_sizes(sizes, wanted, request.where, partial=request.partial)
    return answers


def run(request: Request) -> Score:
    """Load, judge (or match names, without a judge) and score."""
    answers, judge = load(request), request.judge
    if judge is None:
        return score(answers, [names_class(answer.prediction, answer.target) for answer in answers])
    verdicts = ask_all(judge, [partial(judged, judge, answer) for answer in answers], request.reporter)
    return score(answers, verdicts, judge.info())
