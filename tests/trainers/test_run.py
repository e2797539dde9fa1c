"""The comparison behind `make test-trainers` finds what a trainer gets wrong; no trainer is needed here."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.trainers.run import HERE, MARKS, TRAINERS, Example, expected, faults, reason
from vision_flan.exports.write import FORMATS


def perfect(form: str) -> list[Example]:
    """What a trainer without fault makes of an export, with a template of its own around it."""
    return [
        Example(
            text=f"<s> USER: {'<image>' * MARKS * one.images}\n\n" + " ASSISTANT:\n".join(one.said) + "</s>",
            learned="</s> ".join(one.learned) + "</s>",
            marks=MARKS * one.images,
            images=one.images,
        )
        for one in expected(form)
    ]


@pytest.mark.parametrize("form", ["trl", "messages", "axolotl"])
def test_a_trainer_that_reads_all_has_no_fault_in_any_order(form: str) -> None:
    assert list(faults(expected(form), perfect(form))) == []
    assert list(faults(expected(form), perfect(form)[::-1])) == []


WRONG: dict[str, dict[str, object]] = {
    "an image less": {"images": 0},
    "a mark more": {"marks": MARKS + 1},
    "a question that is lost": {"text": "0"},
    "a question that is learned, too": {"learned": "What? 0</s>"},
    "an answer that is not learned": {"learned": ""},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_each_fault_is_found(wrong: str) -> None:
    examples = perfect("messages")
    at = next(n for n, example in enumerate(examples) if example["learned"] == "0</s>")
    examples[at] = Example(**{**examples[at], **WRONG[wrong]})  # type: ignore[typeddict-item]
    assert list(faults(expected("messages"), examples))


def test_a_record_that_is_lost_or_doubled_is_found() -> None:
    examples = perfect("messages")
    assert list(faults(expected("messages"), examples[1:]))
    assert list(faults(expected("messages"), [*examples, examples[0]]))


def test_every_format_but_those_without_a_package_has_a_trainer_that_reads_it() -> None:
    assert {trainer.form for trainer in TRAINERS.values()} == set(FORMATS) - {"llava", "nanovlm"}
    assert all((HERE / trainer.script).is_file() for trainer in TRAINERS.values())


def test_why_a_command_failed_is_its_last_line(tmp_path: Path) -> None:
    failed = subprocess.CalledProcessError(1, ["uv"], stderr="resolving\n  no such package \n")
    assert reason(failed) == "no such package"
    assert reason(subprocess.TimeoutExpired(["uv"], 600)) == "not done after 600 seconds"
