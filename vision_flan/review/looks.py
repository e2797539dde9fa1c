"""How an image looks, in the measures of cleanvision: brightness, sharpness, information, shape and size.

Its issue managers want a whole dataset in memory; here its measures are taken image by image, and its limits
are applied to the numbers of a task.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from vision_flan.errors import VflanError, install_command

#: Kind -> cleanvision's name of it, and the parameter that is its limit.
_ISSUES = {
    "dark": ("dark", "threshold"),
    "bright": ("light", "threshold"),
    "blurry": ("blurry", "threshold"),
    "uniform": ("low_information", "threshold"),
    "odd_aspect": ("odd_aspect_ratio", "threshold"),
    "odd_size": ("odd_size", "iqr_factor"),
}
#: Kind -> what it means, for people.
KINDS = {
    "dark": "dark: even the brightest hundredth of the image is",
    "bright": "bright: even the darkest twentieth of the image is",
    "blurry": "blurry: few edges",
    "uniform": "near-uniform: little information",
    "odd_aspect": "odd aspect ratio: much longer than wide, or wider than long",
    "odd_size": "odd size: far from the other images of the task",
}
#: cleanvision's own limits. A score below one is an issue; a size so many interquartile ranges away, too.
USUAL: Mapping[str, float] = {
    "dark": 0.32, "bright": 0.05, "blurry": 0.29, "uniform": 0.3, "odd_aspect": 0.35, "odd_size": 3.0,
}  # fmt: skip
#: Longest side at which pixels are measured.
_SIDE = 512
#: Sizes of images of which the quartiles say something.
_ENOUGH = 4


class _Column(Protocol):
    def to_numpy(self) -> npt.NDArray[np.float64]: ...


class _Frame(Protocol):
    def __getitem__(self, name: str | list[str]) -> _Column: ...


class _Property(Protocol):
    score_columns: list[str]

    def calculate(self, image: Image.Image) -> dict[str, float]: ...
    def get_scores(self, raw_scores: object, issue_type: str, **parameters: float) -> _Frame: ...
    def mark_issue(self, scores: object, issue_type: str, threshold: float | None) -> _Frame: ...


class _Manager(Protocol):
    params: Mapping[str, Mapping[str, float]]
    image_properties: Mapping[str, _Property]


def check_library() -> None:
    """Fail before a large folder is read.

    Raises:
        VflanError: cleanvision is not installed.
    """
    _manager()


def _manager() -> _Manager:
    try:
        module = importlib.import_module("cleanvision.issue_managers.image_property_issue_manager")
    except ImportError as error:
        raise VflanError("cleanvision is not installed", hint=install_command("review")) from error
    made: _Manager = module.ImagePropertyIssueManager()
    return made


@dataclass
class Looks:
    """The measures of images, in the order in which they come."""

    rows: list[dict[str, float]] = field(default_factory=list)
    _manager: _Manager = field(default_factory=_manager)

    def add(self, image: Image.Image) -> None:
        """Measure an image, as it is shown and in RGB or gray."""
        properties = self._manager.image_properties
        row = dict(properties["odd_size"].calculate(image) | properties["odd_aspect_ratio"].calculate(image))
        small = image.copy()
        small.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX)
        for issue in ("dark", "blurry", "low_information"):  # dark measures what light needs, too
            row |= properties[issue].calculate(small)
        self.rows.append(row)

    def issues(self, limits: Mapping[str, float] = USUAL) -> dict[str, Sequence[tuple[int, float]]]:
        """Kind -> the images that have it by number, with their score: 0 is worst, 1 best."""
        if not self.rows:
            return {}
        frame = importlib.import_module("pandas").DataFrame(self.rows)
        found: dict[str, Sequence[tuple[int, float]]] = {}
        for kind, (issue, parameter) in _ISSUES.items():
            if kind == "odd_size" and len(self.rows) < _ENOUGH:
                continue
            measure = self._manager.image_properties[issue]
            parameters = {**self._manager.params[issue], parameter: limits[kind]}
            scores = measure.get_scores(frame[measure.score_columns], issue, **parameters)
            marks = measure.mark_issue(scores, issue, parameters.get("threshold"))
            numbers = scores[f"{issue}_score"].to_numpy()
            chosen = np.flatnonzero(marks[f"is_{issue}_issue"].to_numpy())
            found[kind] = [(int(i), float(numbers[i])) for i in chosen]
        return found
