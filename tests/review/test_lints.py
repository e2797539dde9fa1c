"""Lints over rendered instances, each with what it must find and what it must let pass."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.pets import TASK, pets_catalog
from vision_flan.errors import Location, SpecError
from vision_flan.instances.maker import Text
from vision_flan.miniatures import registry
from vision_flan.report import Silent
from vision_flan.review.bound import BoundTask, bind_task
from vision_flan.review.lints import (
    constant_target,
    letters,
    promise,
    raw_targets,
    renders,
    target_case,
    target_in_prompt,
    untidy_text,
)  # fmt: skip
from vision_flan.review.rendered import RenderedTask, render_miniatures
from vision_flan.review.validate import validate
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.findings import Finding

Lint = Callable[[BoundTask, RenderedTask], Iterator[Finding]]


@pytest.fixture
def bound(tmp_path: Path) -> BoundTask:
    catalog = pets_catalog(tmp_path)
    return bind_task(catalog.task(TASK), catalog)


def made(
    targets: Sequence[str],
    instruction: str = "What is it?",
    inputs: Sequence[str] = (),
    options: Sequence[str] = (),
) -> RenderedTask:
    """Instances with these targets; inputs are used in turn."""
    texts = []
    for i, target in enumerate(targets):
        shown = inputs[i % len(inputs)] if inputs else ""
        prompt = "\n".join(part for part in (instruction, shown) if part)
        texts.append(Text(instruction, shown, list(options), target, prompt))
    return RenderedTask(TASK, texts)


def with_form(bound: BoundTask, form: str, **changes: Any) -> BoundTask:
    return replace(bound, task=replace(bound.task, form=form, options=None, **changes))


def messages(lint: Lint, bound: BoundTask, rendered: RenderedTask) -> list[str]:
    found = list(lint(bound, rendered))
    assert {f.rule for f in found} <= {lint.__name__}
    return [f.message for f in found]


@pytest.mark.parametrize(
    ("form", "instruction", "targets"),
    [
        ("free_text", "Choose one of the options.", ["cat", "dog"]),
        ("free_text", "Answer yes or no.", ["cat", "dog"]),
        ("free_text", "Separate the words with semicolons.", ["cat", "dog"]),
        ("free_text", "Answer with one word.", ["a cat", "two dogs"]),
        ("free_text", "Answer in one sentence.", ["cat", "dog"]),
        ("yes_no", "Is it a cat?", ["yes", "no"]),
        ("yes_no", "Is it a cat? Answer yes or no.", ["yes", "perhaps"]),
        ("number", "How many cats are there?", ["3", "a few"]),
        ("number", "What do you see?", ["3", "4"]),
        ("label", "Name it.", ["a very long answer that goes on and on for ever"]),
        ("sentence", "Describe it.", ["cat", "dog"]),
        ("list", "Name all pets.", ["cat; dog", "cat; parrot"]),
    ],
)
def test_a_form_that_is_not_kept_is_found(
    bound: BoundTask, form: str, instruction: str, targets: list[str]
) -> None:
    assert len(messages(promise, with_form(bound, form), made(targets, instruction))) == 1


@pytest.mark.parametrize(
    ("form", "instruction", "targets"),
    [
        ("label", "Which of the numbered options fits? Answer as in: Option 3.", ["Option 1", "Option 2"]),
        ("free_text", "Answer yes or no where that is asked, else in one or two words.", ["yes", "red"]),
        ("list", "Separate the words with semicolons.", ["cat; dog", "cat"]),
        ("free_text", "Answer with one word or a short phrase.", ["a cat", "two dogs"]),
        ("sentence", "Describe it in one sentence.", ["A cat sleeps on a mat.", "Two dogs run."]),
        ("yes_no", "Is it a cat? Answer yes or no.", ["yes", "no"]),
        ("number", "How many cats are there?", ["3", "two", "none"]),
    ],
)
def test_a_form_that_is_kept_passes(
    bound: BoundTask, form: str, instruction: str, targets: list[str]
) -> None:
    assert messages(promise, with_form(bound, form), made(targets, instruction)) == []


def test_options_that_the_instruction_does_not_speak_of_are_found(bound: BoundTask) -> None:
    shown = made(["(A) cat"], "What is it?", options=["cat", "dog"])
    assert messages(promise, bound, shown) == [
        "options are shown, and the instruction does not say to choose"
    ]


def test_options_that_upstream_writes_into_the_question_are_options(bound: BoundTask) -> None:
    shown = made(["A", "B"], "Choose one of the options.", ["Which pet?\n(A) cat\n(B) dog"])
    assert messages(promise, with_form(bound, "free_text"), shown) == []


def test_a_nearly_constant_target_is_found(bound: BoundTask) -> None:
    assert messages(constant_target, bound, made(["cat"] * 29 + ["dog"])) == ["29 of 30 targets are 'cat'"]
    assert messages(constant_target, bound, made(["cat"] * 20 + ["dog"] * 10)) == []
    assert messages(constant_target, bound, made(["cat"])) == []


def test_a_letter_does_not_hide_a_constant_target(bound: BoundTask) -> None:
    targets = [f"({'AB'[i % 2]}) cat" for i in range(10)]
    assert messages(constant_target, bound, made(targets, options=["cat", "dog"]))


def test_a_target_in_its_own_prompt_is_found(bound: BoundTask) -> None:
    names = [f"name{i}" for i in range(12)]
    given = made(names, inputs=[f"The file is called {name}" for name in names])
    assert "12 of 12 prompts contain their own target" in messages(target_in_prompt, bound, given)[0]


def test_an_instruction_that_lists_all_answers_gives_none_away(bound: BoundTask) -> None:
    fair = made(["cat", "dog", "parrot"] * 4, "Is it a cat, a dog or a parrot?")
    assert messages(target_in_prompt, bound, fair) == []


def test_letters_that_lean_to_one_side_are_found(bound: BoundTask) -> None:
    uneven = RenderedTask(TASK, letters={3: Counter(A=200, B=20, C=20)})
    even = RenderedTask(TASK, letters={3: Counter(A=90, B=70, C=80), 2: Counter(A=3)})
    assert messages(letters, bound, uneven) == ["of 240 right letters among 3 options: A: 200, B: 20, C: 20"]
    assert messages(letters, bound, even) == []


def test_letters_of_options_in_a_given_order_follow_the_data(bound: BoundTask) -> None:
    given = replace(bound, task=replace(bound.task, options={"labels": "kinds", "order": "given"}))
    assert messages(letters, given, RenderedTask(TASK, letters={2: Counter(A=240)})) == []


def test_targets_that_look_like_ids_are_found_unless_a_table_names_them(bound: BoundTask) -> None:
    found = messages(
        raw_targets, bound, made(["(A) art_painting", "(B) cat"], options=["art_painting", "cat"])
    )
    assert found == ["'art_painting' is shown to a model, and has underscores (and 0 more)"]
    assert messages(raw_targets, with_form(bound, "free_text"), made(["snake_case"])) == []


@pytest.mark.parametrize(
    ("form", "targets"),
    [
        ("label", ["Bench", "tie"]),
        ("label", ["Swiss Army Knife", "tie"]),  # the phrase is a name, the noun is not
        ("label", ["great Dane Kennel", "tie"]),
        ("yes_no", ["Yes", "No"]),
        ("free_text", ["Yes", "a Cat"]),  # an open answer may have capitals, a yes may not
    ],
)
def test_a_capital_that_is_no_proper_names_is_found(bound: BoundTask, form: str, targets: list[str]) -> None:
    assert len(messages(target_case, with_form(bound, form), made(targets))) == 1


@pytest.mark.parametrize(
    ("form", "targets"),
    [
        ("label", ["bench", "TV", "T-shirt", "CD/DVD case", "iPod", "AK-47", "JPEG compression"]),
        ("label", ["Eiffel Tower", "Swiss Army knife", "old English sheepdog", "Great Dane"]),
        ("options", ["A man rides a horse.", "Is it Tuesday?"]),
        ("yes_no", ["yes", "no"]),
        ("free_text", ["Black", "Yes, it is."]),
    ],
)
def test_proper_names_abbreviations_and_sentences_have_capitals(
    bound: BoundTask, form: str, targets: list[str]
) -> None:
    assert messages(target_case, with_form(bound, form), made(targets)) == []


def test_a_label_table_is_checked_beyond_what_the_miniature_shows(bound: BoundTask) -> None:
    task = replace(bound.task, form="options", options={"labels": "kinds"})
    labeled = replace(bound, task=task, labels={"kinds": {"1": "cat", "2": "Parrot"}})
    (found,) = messages(target_case, labeled, made(["cat"]))
    assert found == "'Parrot' is shown to a model with a capital (and 0 more)"


def test_benchmarks_keep_their_own_capitals(bound: BoundTask) -> None:
    assert (
        messages(target_case, with_form(bound, "yes_no", suites=("evaluation",)), made(["Yes", "No"])) == []
    )


@pytest.mark.parametrize(
    "instruction",
    ["Name it , please.", "Name it..", "Name it!?", "Name  it.", "Name {{ it }}.", "Name None."],
)
def test_untidy_instructions_are_found(bound: BoundTask, instruction: str) -> None:
    assert len(messages(untidy_text, bound, made(["cat", "dog"], instruction))) == 1


@pytest.mark.parametrize(
    "instruction",
    ["Name it ... or not.", "Number them 1., 2. and 3.", "Is it 'None of these'?", "A: yes; B: no"],
)
def test_tidy_instructions_pass(bound: BoundTask, instruction: str) -> None:
    assert messages(untidy_text, bound, made(["cat", "dog"], instruction)) == []


def test_a_miniature_that_yields_nothing_is_an_error(bound: BoundTask) -> None:
    (found,) = renders(bound, RenderedTask(TASK, dropped={"unknown_label": 30}))
    assert (found.severity, found.message) == (
        "error",
        "the miniature yields no instance (unknown_label: 30)",
    )
    (found,) = renders(bound, RenderedTask(TASK, error=SpecError("no such table")))
    assert found.message == "no such table"


def test_instances_are_rendered_from_the_miniature() -> None:
    (found,) = render_miniatures(Catalog.default(), ["ocr_textocr"], Silent())
    assert found.error is None
    assert len(found.texts) > 10
    assert found.letters == {}


def test_letters_of_a_real_task_are_even() -> None:
    catalog = Catalog.default()
    checked = validate(catalog, ["ocr_textocr"], rendered=True)
    assert [found for found in checked.findings if found.rule == "letters"] == []
    lettered = next(
        task for task, path in catalog.task_files.items() if "\noptions:" in path.read_text("utf-8")
    )
    found = [
        f
        for made in render_miniatures(catalog, [lettered], Silent())
        for f in letters(bind_task(catalog.task(lettered), catalog), made)
    ]
    assert found == []


def test_what_a_miniature_cannot_render_is_a_finding_and_no_crash(tmp_path: Path) -> None:
    folder = tmp_path / "task_specs" / "textocr"
    source = Catalog.default()
    folder.mkdir(parents=True)
    for path in (source.specs / "textocr").iterdir():
        text = path.read_text("utf-8").replace("columns: {image_id: VARCHAR", "columns: {image_id: BIGINT")
        (folder / path.name).write_text(text, "utf-8")
    instruction = source.instruction_file("ocr_textocr").read_text("utf-8")
    catalog = Catalog(tmp_path / "task_specs", tmp_path / "instructions")
    catalog.instructions.mkdir()
    catalog.instruction_file("ocr_textocr").write_text(instruction, "utf-8")
    (made_of_it,) = render_miniatures(catalog, ["ocr_textocr"], Silent())
    assert made_of_it.error is not None


def test_datasets_are_rendered_side_by_side_and_errors_come_back_whole() -> None:
    catalog = Catalog.default()
    known = set(registry.available())
    by_dataset = {path.parent.name: task for task, path in catalog.task_files.items()}
    chosen = ["ocr_textocr", by_dataset["cinic_10"]]
    assert {"textocr", "cinic_10"} <= known
    found = {made.task: made for made in render_miniatures(catalog, chosen, Silent())}
    assert set(found) == set(chosen)
    assert all(made.error is None and made.texts for made in found.values())
    error = SpecError("no such table", where=Location("a.yaml", 3), hint="fix it")
    back = pickle.loads(pickle.dumps(RenderedTask(TASK, error=error))).error
    assert (back.what, back.where, back.hint) == (error.what, error.where, error.hint)
