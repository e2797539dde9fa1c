"""The figures of a table: read from the scores of a run, with a mark for what is not as in the paper."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vision_flan.errors import Location, VflanError
from vision_flan.evaluate.costs import planned_instances
from vision_flan.evaluate.experiment import Column, RunSpec
from vision_flan.evaluate.files import json_document
from vision_flan.evaluate.values import AnswerError
from vision_flan.train.recipe import flat, is_free, is_path
from vision_flan.train.recipe import load as load_recipe

OTHER_JUDGE, OUR_PROMPT, PARTIAL, OTHER_MODEL, OTHER_DATA = "*", "^", "+", "~", "#"
MARKS = {
    OTHER_JUDGE: "another judge than the paper's",
    OUR_PROMPT: "prompt or images are ours, the paper prints none",
    PARTIAL: "not the whole benchmark",
    OTHER_MODEL: "the model was trained by another recipe than the paper's",
    OTHER_DATA: "the model was trained on another number of instances than the paper's",
}
_HINT = "vflan score NAME PATH --json > FOLDER/NAME.json"

#: No benchmark counts that far.
_MOST = 1e15

#: What `vflan score --json` printed, by benchmark.
Scores = Mapping[str, Mapping[str, object]]


@dataclass(frozen=True)
class Cell:
    """A figure as papers print it, with its marks and who judged."""

    value: float | None = None
    marks: str = ""
    judge: str = ""

    def __str__(self) -> str:
        return "" if self.value is None else f"{self.value:.1f}{self.marks}"

    @property
    def remarks(self) -> str:
        """The marks in words."""
        return "; ".join(MARKS[mark] for mark in self.marks)


@dataclass(frozen=True)
class ScoredModel:
    """The scores of one model.

    Attributes:
        name: as the user calls it, or the run's folder.
        folder: the run; None if the scores are a folder of their own.
    """

    name: str
    scores: Scores
    folder: Path | None = None


def read_scores(folder: Path) -> dict[str, Mapping[str, object]]:
    """The scores of a folder of files that `vflan score --json` printed.

    Raises:
        AnswerError: a file is no score, or there are two of one benchmark.
    """
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise AnswerError("no score files", where=Location(folder), hint=_HINT)
    found: dict[str, Mapping[str, object]] = {}
    for path in paths:
        data: object = json_document(path)
        if not isinstance(data, dict) or not all(_is_number(data.get(key)) for key in ("value", "percent")):
            raise AnswerError("not a score", where=Location(path), hint="vflan score NAME PATH --json > FILE")
        name = str(data.get("benchmark"))
        if name in found:
            raise AnswerError(f"second score of {name}", where=Location(path), hint="keep one")
        found[name] = data
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -_MOST < value < _MOST


def cell(model: ScoredModel, column: Column, run: RunSpec | None = None) -> Cell:
    """The figure of a column; empty if the model has no such score.

    Args:
        run: what the row says the model is; another recipe is marked.
    """
    data = model.scores.get(column.score)
    value = None if data is None else _value(data, column)
    if data is None or value is None:
        return Cell()
    judges = _judges(data)
    marks = ""
    if column.judge and not any(name.lower().split("/")[-1].startswith(column.judge) for name in judges):
        marks += OTHER_JUDGE
    if "ours" in (column.prompt, data.get("prompt")):
        marks += OUR_PROMPT
    notes = data.get("notes")
    if isinstance(notes, list) and any(str(note).startswith("--partial") for note in notes):
        marks += PARTIAL
    if run is not None and model.folder is not None:
        marks += OTHER_MODEL if is_another(model.folder, run) else ""
        marks += OTHER_DATA if has_other_data(model.folder, run) else ""
    return Cell(value, marks, ", ".join(judges) or ("none" if column.judge else ""))


def _value(data: Mapping[str, object], column: Column) -> float | None:
    value, percent = data["value"], data["percent"]
    assert isinstance(value, int | float) and isinstance(percent, int | float)  # read_scores
    if not column.value:
        return float(value * percent)
    parts = data.get("parts")
    for part in parts if isinstance(parts, list) else []:
        if isinstance(part, dict) and part.get("name") == column.part:
            values = part.get("values")
            found = values.get(column.value) if isinstance(values, dict) else None
            return float(found) if isinstance(found, int | float) and _is_number(found) else None
    return None


def _judges(data: Mapping[str, object]) -> list[str]:
    judge = data.get("judge")
    if not isinstance(judge, dict):
        return []
    versions = judge.get("versions")
    return [str(judge.get("model")), *map(str, versions if isinstance(versions, list) else [])]


def is_another(folder: Path, run: RunSpec, overrides: Sequence[str] = ()) -> bool:
    """Whether the folder holds a model of another recipe than `run` says; False where no recipe is known.

    Args:
        overrides: what is different in all runs.
    """
    wanted = run.config(overrides)
    path = folder / "config.yaml"
    if wanted is None or not path.is_file():
        return False
    try:
        found = load_recipe(str(path))
    except VflanError:  # a key that is no more: it was another recipe
        return True
    before, after = flat(wanted), flat(found)
    return any(
        before.get(key) != after.get(key)
        for key in {*before, *after}
        if not is_free(key) and not is_path(key) and key != "init.tiny"  # a run names the model it made
    )


def has_other_data(folder: Path, run: RunSpec) -> bool:
    """Whether a run was trained on another number of instances than its recipe plans, where both are known.

    The trainer writes into each checkpoint, of each task, `500 of 10000 instances (fingerprint)`.
    """
    config = run.config()
    planned = planned_instances(config) if config else None
    stored = sorted(folder.glob("checkpoints/step-*/identity.json"))
    if planned is None or not stored:
        return False
    data: object = json_document(stored[-1])
    of = data.get("data") if isinstance(data, dict) else None
    counts = [str(text).split(" ", 1)[0] for text in of.values()] if isinstance(of, dict) else []
    return sum(int(count) for count in counts if re.fullmatch(r"[0-9]{1,18}", count)) != planned
