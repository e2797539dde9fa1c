"""TextOCR recall (figure 9 of the Vision-Flan paper): how much of an image's text does the model say?

The paper gives the measure in words: the share of target strings found in the prediction, averaged over
images, next to the mean number of predicted tokens. Found means contained, white space run together; in any
case of letters, and exactly.
"""

from __future__ import annotations

from collections.abc import Sequence

from vision_flan.evaluate.files import answers_jsonl
from vision_flan.evaluate.request import Request
from vision_flan.evaluate.values import Answer, AnswerError, Part, Score, mean, require_unique


def recall(prediction: str, targets: Sequence[str], *, exact: bool = False) -> float:
    """The share of targets contained in a prediction; a target that stands twice counts twice."""
    text = _plain(prediction, exact)
    return mean(_plain(target, exact) in text for target in targets)


def _plain(text: str, exact: bool) -> str:
    return " ".join((text if exact else text.casefold()).split())


def score(answers: Sequence[Answer]) -> Score:
    """Mean recall over images, and the mean length of predictions.

    Raises:
        AnswerError: token counts are given for some answers only.
    """
    known = [answer.tokens for answer in answers if answer.tokens is not None]
    if known and len(known) < len(answers):
        lacking = next(answer for answer in answers if answer.tokens is None)
        raise AnswerError("no tokens, other lines have them", where=lacking.place)
    unit = "tokens" if known else "words"
    lengths = known or [len(answer.prediction.split()) for answer in answers]
    values = {
        "recall": mean(recall(answer.prediction, answer.target) for answer in answers),
        "recall_exact_case": mean(recall(answer.prediction, answer.target, exact=True) for answer in answers),
        f"mean_{unit}": mean(lengths),
    }
    notes = () if known else ("lengths are in words: the answers have no tokens",)
    return Score(
        "textocr",
        "recall",
        values["recall"],
        len(answers),
        (Part("all", len(answers), values),),
        100.0,
        notes=notes,
    )


def load(request: Request) -> list[Answer]:
    """answers.jsonl with `target` a list of the strings in the image, and `tokens` if known.

    Raises:
        AnswerError: an image without target strings, or with an empty one.
    """
    request.refuse_truth()
    answers = answers_jsonl(request.path, "textocr")
    require_unique(answers)
    for answer in answers:
        if not answer.target or not all(target.strip() for target in answer.target):
            raise AnswerError("no target strings, or an empty one", where=answer.place)
    return answers


def run(request: Request) -> Score:
    """Load and score."""
    return score(load(request))
