"""The values every benchmark shares: an answer, a part of a score, a score."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

from vision_flan.errors import Location, VflanError

T = TypeVar("T")


class AnswerError(VflanError):
    """An answer file is wrong or incomplete, so that a score of it would be wrong."""


@dataclass(frozen=True)
class Answer:
    """One answer of a model, with what is needed to score it.

    Attributes:
        id: unique within its part.
        prediction: the model's text, unchanged.
        target: every text that counts as the truth.
        part: what the benchmark is split into: task, split, subject, category, dataset.
        image: the image's name, where questions are paired or checked by it.
        options: letter -> text of a multiple-choice question.
        kind: "multiple-choice" or "open", where a benchmark mixes them.
        labels: capabilities (MM-Vet).
        caption: what a judge reads instead of the image (LLaVA-Bench).
        tokens: length of the prediction in tokens of the model, if known.
        place: file and line it was read from.
    """

    id: str
    prediction: str
    target: tuple[str, ...] = ()
    question: str = ""
    part: str = ""
    image: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    kind: str = ""
    labels: tuple[str, ...] = ()
    caption: str = ""
    tokens: int | None = None
    place: Location | None = None


@dataclass(frozen=True)
class Part:
    """The figures of one part of a benchmark, from `count` questions."""

    name: str
    count: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class JudgeInfo:
    """Who judged: the model asked for, the versions that answered, where, and how many replies were used."""

    model: str
    url: str
    versions: tuple[str, ...] = ()
    replies: int = 0


@dataclass(frozen=True)
class Score:
    """A benchmark's score, on the scale its official tool prints.

    Attributes:
        metric: what `value` is, as in "perception".
        count: questions scored.
        percent: factor that turns `value` into the figure papers print: 100 where the tool prints a fraction.
        notes: what a reader of the number must know.
    """

    benchmark: str
    metric: str
    value: float
    count: int
    parts: tuple[Part, ...] = ()
    percent: float = 1.0
    judge: JudgeInfo | None = None
    notes: tuple[str, ...] = ()

    def with_notes(self, *notes: str) -> Score:
        """The same score with more notes."""
        return replace(self, notes=(*self.notes, *notes))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def whole_characters(text: str) -> str:
    """Text that can be written: half a character, which JSON can name, becomes a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8")


def mean(values: Iterable[float]) -> float:
    """The mean, 0.0 of nothing; exact summation, so that the order of values does not matter."""
    found = list(values)
    return math.fsum(found) / len(found) if found else 0.0


def grouped(items: Iterable[T], key: Callable[[T], str]) -> dict[str, list[T]]:
    """Items by key, keys in the order they first appear."""
    groups: dict[str, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def require_unique(answers: Iterable[Answer]) -> None:
    """Refuse two answers to one question.

    Raises:
        AnswerError: at the second of them.
    """
    seen: dict[tuple[str, str], Answer] = {}
    for answer in answers:
        first = seen.setdefault((answer.part, answer.id), answer)
        if first is not answer:
            raise AnswerError(
                f"second answer to question {answer.id!r}; the first is at {first.place}",
                where=answer.place,
                hint="keep one answer a question",
            )


def require_same_ids(
    answers: Iterable[Answer], known: Iterable[str], where: Location, *, partial: bool
) -> None:
    """Refuse answers to questions that do not exist, and, unless `partial`, questions without an answer.

    Args:
        known: the ids of the benchmark.
        where: the file or folder of the answers.

    Raises:
        AnswerError: names the first such id.
    """
    ids, wanted = {answer.id: answer for answer in answers}, list(known)
    for unknown in sorted(ids.keys() - set(wanted)):
        raise AnswerError(
            f"unknown question id {unknown!r}",
            where=ids[unknown].place or where,
            hint="check that answers and questions are of the same benchmark and version",
        )
    missing = [name for name in wanted if name not in ids]
    if missing and not partial:
        raise AnswerError(
            f"{len(missing):,} of {len(wanted):,} questions have no answer, the first is {missing[0]!r}",
            where=where,
            hint="answer them all, or pass --partial for a score of these questions only",
        )


def require_sizes(
    found: Mapping[str, int], wanted: Mapping[str, Sequence[int]], where: Location, *, partial: bool
) -> None:
    """Refuse parts with more or fewer questions than the benchmark has.

    Args:
        wanted: part -> the sizes it may have (benchmarks have versions).

    Raises:
        AnswerError: names the part.
    """
    for name, sizes in wanted.items():
        count = found.get(name, 0)
        if count > max(sizes) or (count not in sizes and not partial):
            shown = " or ".join(f"{size:,}" for size in sizes)
            raise AnswerError(
                f"{name}: {count:,} answers, the benchmark has {shown}",
                where=where,
                hint="answer every question once, or pass --partial for a score of these questions only",
            )
