"""Table 2 of the Vision-Flan paper beside our scores, as Markdown or CSV.

The paper's figures are read from its text; a figure that is not legible there is left out.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision_flan.errors import Location
from vision_flan.evaluate.files import json_document
from vision_flan.evaluate.values import AnswerError

COLUMNS = {
    "mmbench": "MM-Bench",
    "mme": "MME",
    "mmmu": "MMMU",
    "llava_bench": "LLaVA-Bench",
    "mm_vet": "MM-Vet",
    "pope": "POPE",
    "cf": "CF",
}
PAPER: dict[str, dict[str, float]] = {
    "LLaVA 1.5 13B (paper)": {
        "mmbench": 66.7,
        "mme": 1531.3,
        "mmmu": 33.6,
        "llava_bench": 70.7,
        "mm_vet": 35.4,
        "pope": 83.6,
        "cf": 73.3,
    },
    "Vision-Flan Base (paper)": {
        "mmbench": 69.8,
        "mme": 1537.8,
        "llava_bench": 38.5,
        "pope": 85.9,
        "cf": 87.2,
    },
    "Vision-Flan Chat (paper)": {
        "mmbench": 67.6,
        "mme": 1490.6,
        "llava_bench": 78.3,
        "mm_vet": 38.0,
        "pope": 86.1,
    },
}
#: How the names of the paper's judges begin.
PAPER_JUDGES = {"mmbench": "gpt-4", "llava_bench": "gpt-4", "mm_vet": "gpt-4", "cf": "vicuna-13b-v1.5"}
OTHER_JUDGE, PARTIAL = "*", "+"
MARKS = {OTHER_JUDGE: "another judge than the paper's", PARTIAL: "not the whole benchmark"}


@dataclass(frozen=True)
class Cell:
    """A figure as papers print it, with its marks and who judged."""

    value: float | None = None
    marks: str = ""
    judge: str = ""

    def __str__(self) -> str:
        return "" if self.value is None else f"{self.value:.1f}{self.marks}"


def read_scores(folder: Path) -> dict[str, Cell]:
    """The scores of a folder of files that `vflan score --json` printed; those of other tables are left out.

    Raises:
        AnswerError: a file is no score, or there are two of one benchmark.
    """
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise AnswerError(
            "no score files", where=Location(folder), hint="vflan score NAME PATH --json > FOLDER/NAME.json"
        )
    found: dict[str, Cell] = {}
    for path in paths:
        data = json_document(path)
        numbers = [data.get(name) for name in ("value", "percent")] if isinstance(data, dict) else []
        if (
            not all(isinstance(number, (int, float)) and math.isfinite(number) for number in numbers)
            or not numbers
        ):
            raise AnswerError("not a score", where=Location(path), hint="vflan score NAME PATH --json > FILE")
        name = str(data.get("benchmark"))
        if name in found:
            raise AnswerError(f"second score of {name}", where=Location(path), hint="keep one")
        if name in COLUMNS:
            found[name] = _cell(name, data)
    return found


def _cell(name: str, data: Mapping[str, Any]) -> Cell:
    judge, notes = data.get("judge"), data.get("notes") or []
    names = (
        [str(judge.get("model")), *map(str, judge.get("versions") or [])] if isinstance(judge, dict) else []
    )
    wanted, marks = PAPER_JUDGES.get(name), ""
    if wanted and not any(known.lower().split("/")[-1].startswith(wanted) for known in names):
        marks += OTHER_JUDGE
    if any(str(note).startswith("--partial") for note in notes):
        marks += PARTIAL
    return Cell(
        data["value"] * data["percent"], marks, ", ".join(names) if names else "none" if wanted else ""
    )


def rows(ours: Mapping[str, Mapping[str, Cell]]) -> dict[str, list[Cell]]:
    """Model -> cells in the order of columns, the paper's models first."""
    paper = {model: {name: Cell(value) for name, value in row.items()} for model, row in PAPER.items()}
    return {model: [row.get(name, Cell()) for name in COLUMNS] for model, row in {**paper, **ours}.items()}


def markdown(table: Mapping[str, Sequence[Cell]]) -> str:
    """The table, and what its marks mean."""
    lines = ["| model | " + " | ".join(COLUMNS.values()) + " |", "|---|" + "---:|" * len(COLUMNS)]
    for model, cells in table.items():
        shown = [str(cell).replace("*", r"\*") for cell in cells]
        name = model.replace("|", r"\|")
        lines.append(f"| {name} | {' | '.join(shown)} |")
    used = "".join(cell.marks for cells in table.values() for cell in cells)
    notes = [f"{mark}: {text}".replace("*", r"\*") for mark, text in MARKS.items() if mark in used]
    return "\n".join([*lines, *(["", "; ".join(notes)] if notes else [])])


def as_csv(table: Mapping[str, Sequence[Cell]]) -> str:
    """One line a figure: model, benchmark, value, marks in words, judge."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["model", "benchmark", "value", "remarks", "judge"])
    for model, cells in table.items():
        for name, cell in zip(COLUMNS, cells, strict=True):
            if cell.value is not None:
                remarks = "; ".join(MARKS[mark] for mark in cell.marks)
                writer.writerow([model, name, f"{cell.value:.1f}", remarks, cell.judge])
    return out.getvalue().rstrip("\n")
