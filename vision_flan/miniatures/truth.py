"""Compares a compiled config with the truth its miniature wrote: known to the generator, read by no reader.

A line of truth has `source_id` and what must become of that record: `target`, `prompt` (exactly), `turns`
(all [request, answer] of a conversation), `answer` (the text of the right option, whatever its
letter), `one_of`
(any of these targets), `words` (all of them in the target), `if_input` ([text, target if the input holds it,
target if not], for negatives), `pairs` (all [question, answer] of the image, to be matched in lines such as
Q1A3), `contains` (text that the prompt, between two line breaks, holds), `pixels` (size and digest of the
image's RGB values), or `dropped` (it must not be written).
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from vision_flan.miniatures import formats

_LETTERED = re.compile(r"\(([A-Z])\) ")
_NUMBERED = re.compile(r"([QA]\d+): (.*)")
_MATCHED = re.compile(r"(Q\d+)(A\d+)")


def read_truth(root: Path, task: str) -> dict[str, dict[str, Any]]:
    """Truth of a task by source_id."""
    lines = (root / ".truth" / f"{task}.jsonl").read_text("utf-8").splitlines()
    return {str(line["source_id"]): line for line in map(json.loads, lines)}


def disagreements(rows: list[Mapping[str, Any]], truth: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Differences from the truth; empty when there are none."""
    written = {row["source_id"] for row in rows}
    for source_id, expected in truth.items():
        if "dropped" in expected and source_id in written:
            yield f"{source_id}: written, but must drop out ({expected['dropped']})"
        if "dropped" not in expected and source_id not in written:
            yield f"{source_id}: not written, but {expected}"
    for row in rows:
        expected = truth.get(row["source_id"], {})
        if not expected:
            yield f"{row['source_id']}: written, but the miniature knows no such record"
        yield from _row(row, expected)


def _row(row: Mapping[str, Any], expected: Mapping[str, Any]) -> Iterator[str]:
    target, where = row["target"], row["source_id"]
    if "target" in expected and target != expected["target"]:
        yield f"{where}: target {target!r}, truth {expected['target']!r}"
    if "prompt" in expected and row["prompt"] != expected["prompt"]:
        yield f"{where}: prompt {row['prompt']!r}, truth {expected['prompt']!r}"
    turns = [[turn["user"], turn["assistant"]] for turn in row["turns"]]
    if turns[0] != [row["prompt"], target]:
        yield f"{where}: the first turn is {turns[0]!r}, not prompt and target"
    if turns != expected.get("turns", turns[:1]):
        yield f"{where}: turns {turns!r}, truth {expected.get('turns', turns[:1])!r}"
    if "answer" in expected and _LETTERED.sub("", target, count=1) != expected["answer"]:
        yield f"{where}: target {target!r}, the right option is {expected['answer']!r}"
    if "one_of" in expected and target not in expected["one_of"]:
        yield f"{where}: target {target!r}, truth is one of {expected['one_of']!r}"
    for word in expected.get("words", ()):
        if word not in target:
            yield f"{where}: target {target!r} lacks {word!r}"
    if "if_input" in expected:
        text, inside, outside = expected["if_input"]
        wanted = inside if text in row["input"] else outside
        if _LETTERED.sub("", target, count=1) != wanted:
            yield f"{where}: input {row['input']!r} wants {wanted!r}, target is {target!r}"
    if "pairs" in expected:
        yield from _mismatched(row, expected["pairs"])
    if "contains" in expected and expected["contains"] not in f"\n{row['prompt']}\n":
        yield f"{where}: the prompt lacks {expected['contains']!r}: {row['prompt']!r}"
    if "pixels" in expected and _pixels(row) != expected["pixels"]:
        yield f"{where}: another image, {_pixels(row)}, truth {expected['pixels']}"


def _pixels(row: Mapping[str, Any]) -> str:
    return formats.pixels(Image.open(io.BytesIO(row["image"]["bytes"])))


def _mismatched(row: Mapping[str, Any], pairs: list[list[str]]) -> Iterator[str]:
    """Each question of the input is matched once, with one of its answers."""
    numbered = map(_NUMBERED.fullmatch, row["input"].splitlines())
    shown = {match[1]: match[2] for match in numbered if match}
    questions = [number for number in shown if number.startswith("Q")]
    lines = map(_MATCHED.fullmatch, row["target"].splitlines())
    matched = [(match[1], match[2]) for match in lines if match]
    if not questions or [question for question, _ in matched] != questions:
        yield f"{row['source_id']}: target {row['target']!r} does not match {questions} one by one"
    known = {(" ".join(question.split()), answer) for question, answer in pairs}
    for question, answer in matched:
        if (shown.get(question, ""), shown.get(answer, "")) not in known:
            yield f"{row['source_id']}: {question}{answer} in {row['target']!r} is wrong"
