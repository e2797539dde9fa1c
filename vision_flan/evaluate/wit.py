"""WIT entities (figure 12 of the Vision-Flan paper): which named entities of a caption does the model name?

spaCy's entity recognizer runs on prediction and caption; the share of the caption's entities that are found
in the prediction is averaged over images, next to the mean number of entities predicted. Entities are
compared in any case of letters.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Sequence

from vision_flan.errors import VflanError, install_command
from vision_flan.evaluate.files import answers_jsonl, one_target
from vision_flan.evaluate.request import Request
from vision_flan.evaluate.values import Answer, AnswerError, Part, Score, mean, require_unique

#: texts -> the entities of each
Recognizer = Callable[[Iterable[str]], Iterable[Sequence[str]]]


def score(answers: Sequence[Answer], recognizer: Recognizer, name: str) -> Score:
    """Mean recall of entities over images whose caption has any; the others are counted in a note.

    Args:
        name: the recognizer and its version, for the note.

    Raises:
        AnswerError: no caption has an entity.
    """
    said = [_plain(found) for found in recognizer(answer.prediction for answer in answers)]
    wanted = [_plain(found) for found in recognizer(one_target(answer) for answer in answers)]
    shares = [len(true & found) / len(true) for true, found in zip(wanted, said, strict=True) if true]
    if not shares:
        raise AnswerError("no caption has a named entity", where=answers[0].place)
    values = {
        "recall": mean(shares),
        "mean_entities": mean(len(found) for found in said),
        "mean_target_entities": mean(len(true) for true in wanted),
    }
    notes = [f"entities by {name}"]
    if len(shares) < len(answers):
        notes.append(f"{len(answers) - len(shares):,} captions have no entity and are left out of the recall")
    part = Part("all", len(answers), values)
    return Score("wit", "entity recall", values["recall"], len(shares), (part,), 100.0, notes=tuple(notes))


def _plain(entities: Iterable[str]) -> set[str]:
    return {" ".join(entity.casefold().split()) for entity in entities if entity.strip()}


def spacy_recognizer(model: str) -> tuple[Recognizer, str]:
    """spaCy's pipeline of that name, and its name with versions.

    Raises:
        VflanError: spaCy or the pipeline is not installed.
    """
    try:
        spacy = importlib.import_module("spacy")
    except ModuleNotFoundError as error:
        raise VflanError("spaCy is not installed", hint=install_command("evaluate")) from error
    try:
        pipeline = spacy.load(model)
    except OSError as error:
        raise VflanError(
            f"spaCy has no pipeline {model!r}",
            hint=f"python -m spacy download {model}, or --spacy-model NAME",
        ) from error

    def entities(texts: Iterable[str]) -> Iterable[Sequence[str]]:
        return [[entity.text for entity in document.ents] for document in pipeline.pipe(texts)]

    meta = pipeline.meta
    return entities, f"spaCy {spacy.__version__}, {meta['lang']}_{meta['name']} {meta['version']}"


def load(request: Request) -> list[Answer]:
    """answers.jsonl with `target` the caption.

    Raises:
        AnswerError: an answer without one caption.
    """
    request.refuse_truth()
    answers = answers_jsonl(request.path, "wit")
    require_unique(answers)
    for answer in answers:
        one_target(answer)
    return answers


def run(request: Request) -> Score:
    """Load and score with spaCy."""
    answers = load(request)
    recognizer, name = spacy_recognizer(request.spacy_model)
    return score(answers, recognizer, name)
