"""Rules for the wording of instructions, each with what it must find and what it must let pass."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest

from tests.pets import TASK, pets_catalog
from vision_flan.review.bound import BoundTask, bind_task
from vision_flan.review.instruction_rules import (
    CLOSINGS,
    closing,
    instruction_words,
    median_words,
    similar_instructions,
)
from vision_flan.spec.catalog import Catalog


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return pets_catalog(tmp_path)


@pytest.fixture
def bound(catalog: Catalog) -> BoundTask:
    return bind_task(catalog.task(TASK), catalog)


def saying(bound: BoundTask, instruction: str, form: str = "free_text", suite: str = "small") -> BoundTask:
    bound.instruction_file.write_text(instruction, "utf-8")
    return replace(bound, task=replace(bound.task, form=form, suites=(suite,)))


@pytest.mark.parametrize(("form", "sentence"), CLOSINGS.items())
@pytest.mark.parametrize("before", ["Name it. ", "{{ question }}\n", "Is it so?\n\n", "", "Given: "])
def test_an_instruction_that_ends_with_the_closing_of_its_form_passes(
    bound: BoundTask, form: str, sentence: str, before: str
) -> None:
    assert list(closing(saying(bound, f"{before}{sentence}\n", form))) == []


@pytest.mark.parametrize("form", CLOSINGS)
@pytest.mark.parametrize(
    "end", ["Answer briefly.", "Please: yes or no", "Answer yes or no. Thanks.", "Do not answer yes or no."]
)
def test_any_other_end_is_found_at_its_line_with_the_sentence_to_write(
    bound: BoundTask, form: str, end: str
) -> None:
    (found,) = closing(saying(bound, f"Name it.\n{end}\n", form))
    assert (found.line, found.severity, found.hint) == (2, "warning", f"end it with: {CLOSINGS[form]}")


def test_every_form_has_a_closing_but_free_text_and_several_answers() -> None:
    schema = json.loads(resources.files("vision_flan.spec").joinpath("task.schema.json").read_text("utf-8"))
    assert set(schema["properties"]["form"]["enum"]) - CLOSINGS.keys() == {"free_text", "multi_answer"}


def test_a_number_may_be_asked_for_as_a_word(bound: BoundTask) -> None:
    text = "How many are there? Answer with a number as a word.\n"
    assert list(closing(saying(bound, text, "number"))) == []
    assert len(list(closing(saying(bound, text, "phrase")))) == 1


@pytest.mark.parametrize("suite", ["evaluation", "stages"])
def test_text_of_upstream_is_left_alone(bound: BoundTask, suite: str) -> None:
    given = saying(bound, "Look at the picture. Answer as you like.", suite=suite)
    assert [*closing(given), *instruction_words(given)] == []
    assert median_words([given]) is None


def test_a_form_without_closing_ends_as_it_needs_to(bound: BoundTask) -> None:
    assert list(closing(saying(bound, "Write one `name: value` per line.", "multi_answer"))) == []


@pytest.mark.parametrize(
    ("text", "word", "instead"),
    [
        ("Look at the Pictures.", "Pictures", "image"),
        ("Fill in the blank.", "blank", "space"),
        ("End with a full stop.", "full stop", "period"),
        ("Give it in brackets.", "brackets", "parentheses"),
        ("A pupil asks.", "pupil", "student"),
        ("A program drew this chart.", "A program drew", "nothing: say what is shown"),
        ("Which colours?", "colours", "colors"),
        ("Is it multicoloured?", "multicoloured", "multicolored"),
        ("Is it grey?", "grey", "gray"),
        ("the centre", "centre", "center"),
        ("in kilometres", "kilometres", "kilometers"),
        ("the labelled part", "labelled", "labeled"),
        ("Organise them.", "Organise", "Organize"),
        ("an analysed text", "analysed", "analyzed"),
        ("two aeroplanes", "aeroplanes", "airplanes"),
        ("a step towards it", "towards", "toward"),
        ("hair and make-up", "make-up", "makeup"),
    ],
)
def test_words_that_instructions_avoid_are_found_in_their_place(
    bound: BoundTask, text: str, word: str, instead: str
) -> None:
    (found,) = instruction_words(saying(bound, f"{{{{ id }}}}\n {text}\n"))
    assert (found.line, found.column) == (2, 2 + text.index(word))
    assert (found.message, found.hint) == (f"the instruction says {word!r}", f"write {instead}")


@pytest.mark.parametrize(
    "text",
    [
        "Give four numbers in square brackets.",
        "Do this exercise with a promise, in the course of the analyses.",
        "the blanket of people pictured, a pupillary reflex, {{ picture }} {# a picture #}",
        "color, gray, center, license, labeled, organize, airplane, parametric, our four flours",
    ],
)
def test_words_that_only_look_like_them_pass(bound: BoundTask, text: str) -> None:
    assert list(instruction_words(saying(bound, text))) == []


def test_nearly_the_same_instruction_in_two_datasets_is_found_once(
    bound: BoundTask, catalog: Catalog
) -> None:
    first, second = bound.instruction_file, catalog.instruction_file("animal_zoo")
    cats = replace(bound.dataset, dataset="cats")
    other = replace(bound, task=replace(bound.task, id="animal_zoo"), dataset=cats)
    text = (
        "This photo was taken in a home and shows one of the animals that live there. Name its kind in full."
    )
    first.write_text(f"{text}\n", "utf-8")
    second.write_text(text.replace("photo", "image") + "\n", "utf-8")
    (found,) = similar_instructions({TASK: bound, "animal_zoo": other})
    assert found.file == str(second)
    assert found.message.startswith("nearly the same instruction as animal_pets: ")
    sibling = replace(other, dataset=bound.dataset)
    assert list(similar_instructions({TASK: bound, "animal_zoo": sibling})) == []
    second.write_text("Say which animal lives in this household. Give its kind.\n", "utf-8")
    assert list(similar_instructions({TASK: bound, "animal_zoo": other})) == []


def test_the_closing_that_two_tasks_share_does_not_make_them_alike(
    bound: BoundTask, catalog: Catalog
) -> None:
    bound.instruction_file.write_text(f"Which pet is it? {CLOSINGS['label']}\n", "utf-8")
    catalog.instruction_file("animal_zoo").write_text(f"What is its color? {CLOSINGS['label']}\n", "utf-8")
    zoo = replace(bound.dataset, dataset="zoo")
    other = replace(bound, task=replace(bound.task, id="animal_zoo"), dataset=zoo)
    assert list(similar_instructions({TASK: bound, "animal_zoo": other})) == []
