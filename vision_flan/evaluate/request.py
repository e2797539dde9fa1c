"""What a scorer is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vision_flan.errors import Location, VflanError
from vision_flan.evaluate.judge import Judge
from vision_flan.report import Reporter, Silent


@dataclass(frozen=True)
class Request:
    """Which answers to score, and with what.

    Attributes:
        path: the answers: our answers.jsonl or the benchmark's own result file or folder.
        truth: the benchmark's questions and truths, where the answers do not hold them.
        partial: score the questions that are there; else an incomplete file is an error.
        judge: decides where the benchmark's protocol needs a language model.
        runs: how often a judge grades an answer (MM-Vet).
        spacy_model: the entity recognizer (WIT).
        reporter: shows progress of the judge.
    """

    path: Path
    truth: Path | None = None
    partial: bool = False
    judge: Judge | None = None
    runs: int = 5
    spacy_model: str = "en_core_web_sm"
    reporter: Reporter = Silent()  # noqa: RUF009 - it has no state

    @property
    def where(self) -> Location:
        """The answers, for errors about the whole of them."""
        return Location(self.path)

    def refuse_truth(self) -> None:
        """For formats that hold their own truths.

        Raises:
            VflanError: a truth was given, which would not be looked at.
        """
        if self.truth is not None:
            raise VflanError("these answers hold their truths", where=self.where, hint="leave --truth out")

    def required_truth(self, what: str) -> Path:
        """The truth, which this format cannot do without.

        Raises:
            VflanError: none was given.
        """
        if self.truth is None:
            raise VflanError(
                f"these answers do not hold {what}", where=self.where, hint=f"pass --truth with {what}"
            )
        return self.truth

    def required_judge(self, why: str) -> Judge:
        """The judge, without whom there is no score.

        Raises:
            VflanError: none was given.
        """
        if self.judge is None:
            raise VflanError(
                f"a judge is needed: {why}",
                hint="pass --judge URL --judge-model NAME (docs/evaluate.md, Judges)",
            )
        return self.judge
