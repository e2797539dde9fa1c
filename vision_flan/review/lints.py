"""Lints: what only shows when instances are rendered from miniatures.

A function is a rule, its docstring the rule's manual. All are warnings except `renders`; `allow:` of a task
names the rules it breaks on purpose.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from vision_flan.errors import Location
from vision_flan.instances.options import LETTERS
from vision_flan.review.bound import BoundTask, find_word
from vision_flan.review.instruction_rules import UPSTREAM_TEXT
from vision_flan.review.rendered import RenderedTask
from vision_flan.review.task_rules import looks_raw
from vision_flan.spec.findings import Finding, at, from_error

#: Share of one answer above which targets count as constant.
CONSTANT = 0.95
#: How much more often a prompt may contain its own target than another instance's.
GIVEN_AWAY = 0.3
#: With fewer instances there is no verdict.
ENOUGH = 8

_OPTIONS = re.compile(r"\b(?:options?|choices|alternatives)\b", re.IGNORECASE)
_LETTERED = re.compile(r"^\(?[A-H][.):]\s", re.MULTILINE)
_CHOOSE = re.compile(
    r"\b(?:options?|choices?|alternatives?|choose|pick|select|letter|listed|list|one of)\b", re.IGNORECASE
)
_YES_NO = re.compile(r"\byes\b.{0,40}\bno\b|\bno\b.{0,20}\byes\b", re.IGNORECASE | re.DOTALL)
_ONE_WORD = re.compile(r"\b(?:one|single) word\b(?!\s*(?:or|to|,))", re.IGNORECASE)
_SENTENCE = re.compile(r"\b(?:one|a|single|full|complete|short) sentence\b", re.IGNORECASE)
_NUMBER = re.compile(r"\b(?:number|digit|count|how many|year|percent|age|value)", re.IGNORECASE)
_NUMERAL = re.compile(
    r"\d|\b(?:no|none|zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\b", re.IGNORECASE
)
_UNTIDY = re.compile(
    r"\s[,;:!?](?:\s|$)|[,;:!?][,;:!?]|(?<!\.)\.\.(?!\.)|(?<!\d)\.[,;:!?]|[^\S\n]{2,}|\n{3,}"
)
_CAPITALIZED = re.compile(r"(?<![\w.'’-])[A-ZÀ-Þ][a-zà-ÿ]+(?![\w])")
_NOT_TEXT = re.compile(r"\{\{|\}\}|\{%|(?<![\w-])(?:None|nan|NULL)(?![\w-])(?!\s+of\b)")


def renders(bound: BoundTask, made: RenderedTask) -> Iterator[Finding]:
    """The task yields instances from its dataset's miniature."""
    if made.error is not None:
        yield from_error(made.error, "renders", bound.task.document.path)
    elif not made.texts:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in made.dropped.items()) or "no records"
        yield at(bound.task.place(), "renders", f"the miniature yields no instance ({reasons})")


def promise(bound: BoundTask, made: RenderedTask) -> Iterator[Finding]:
    """A warning: the form of the targets (options, yes or no, one word, a sentence, a number, semicolons) is
    not the one that the instruction and `form` promise. A task with `instruction: null` promises
    nothing."""
    if not made.texts or not bound.task.own_instruction:
        return
    instruction = made.texts[0].instruction
    for message, word in (*_promised(instruction, made), *_kept(bound, instruction, made)):
        place = find_word(Location(bound.instruction_file, 1), word) if word else bound.task.place("form")
        hint = f"a target is: {made.texts[0].target[:80]!r}"
        yield at(place, "promise", message, hint, "warning")


def _promised(instruction: str, made: RenderedTask) -> Iterator[tuple[str, str]]:
    """Forms that the instruction mentions and no target has: message and the word that mentions them."""
    answers = made.answers
    spoken = _OPTIONS.search(instruction)
    shown = any(text.options or _LETTERED.search(text.input) for text in made.texts)
    if spoken and not shown and not any(_OPTIONS.search(answer) for answer in answers):
        yield "the instruction mentions options, and none are shown", spoken.group()
    if _YES_NO.search(instruction) and not any(_is_yes_no(answer) for answer in answers):
        yield "the instruction asks for yes or no, and no target is either", "yes"
    if "semicolon" in instruction and not any(";" in answer for answer in answers):
        yield "the instruction mentions semicolons, and no target has one", ""
    spoken = _ONE_WORD.search(instruction)
    if spoken and _most(len(answer.split()) > 1 for answer in answers):
        yield "the instruction asks for one word, and most targets have more", "word"
    spoken = _SENTENCE.search(instruction)
    if spoken and _most(len(answer.split()) < 3 for answer in answers):
        yield "the instruction asks for a sentence, and most targets have fewer than three words", "sentence"


def _kept(bound: BoundTask, instruction: str, made: RenderedTask) -> Iterator[tuple[str, str]]:
    """Forms that targets have and the instruction, or `form`, does not promise."""
    form, answers = bound.task.form, made.answers
    if any(text.options for text in made.texts) and not _CHOOSE.search(instruction):
        yield "options are shown, and the instruction does not say to choose", ""
    if form == "yes_no" and not _YES_NO.search(instruction):
        yield "form is yes_no, and the instruction does not say so", ""
    if form == "yes_no" and not all(_is_yes_no(answer) for answer in answers):
        yield "form is yes_no, and not all targets are yes or no", ""
    if form == "number" and not all(_NUMERAL.search(answer) for answer in answers):
        yield "form is number, and not all targets are", ""
    if form == "number" and not _NUMBER.search(instruction):
        yield "form is number, and the instruction asks for none", ""
    if form in ("label", "phrase") and _most(len(answer.split()) > 8 for answer in answers):
        yield f"form is {form}, and most targets have more than eight words", ""
    if form == "sentence" and _most(len(answer.split()) < 3 for answer in answers):
        yield "form is sentence, and most targets have fewer than three words", ""
    if form == "list" and _most(";" in answer for answer in answers) and "semicolon" not in instruction:
        yield "targets are separated by semicolons, and the instruction does not say so", ""


def _is_yes_no(answer: str) -> bool:
    return re.match(r"(?:yes|no)\b", answer, re.IGNORECASE) is not None


def _most(flags: Iterator[bool]) -> bool:
    found = list(flags)
    return sum(found) * 2 > len(found)


def constant_target(bound: BoundTask, made: RenderedTask) -> Iterator[Finding]:
    """A warning: all, or nearly all, targets are the same."""
    if len(made.texts) < ENOUGH:
        return
    answer, count = Counter(made.answers).most_common(1)[0]
    if count / len(made.texts) >= CONSTANT:
        message = f"{count} of {len(made.texts)} targets are {answer[:60]!r}"
        yield at(
            bound.task.place("target"), "constant_target", message, "a constant teaches nothing", "warning"
        )


def target_in_prompt(bound: BoundTask, made: RenderedTask) -> Iterator[Finding]:
    """A warning: prompts, without their options, contain their own target much more often than another's."""
    shown = [f"{text.instruction}\n{text.input}".casefold() for text in made.texts]
    answers = [answer.casefold() for answer in made.answers]
    if len(set(answers)) < 2 or len(answers) < ENOUGH:
        return
    own = [_holds(text, answer) for text, answer in zip(shown, answers, strict=True)]
    foreign = [
        _holds(text, other)
        for i, text in enumerate(shown)
        for other in (answers[(i + step) % len(answers)] for step in (1, 2, 3))
        if other != answers[i]
    ]
    if foreign and sum(own) / len(own) - sum(foreign) / len(foreign) > GIVEN_AWAY:
        example = made.texts[own.index(True)]
        message = (
            f"{sum(own)} of {len(own)} prompts contain their own target, such as {example.target[:60]!r}"
        )
        yield at(
            bound.task.place("target"),
            "target_in_prompt",
            message,
            "a model does not need the image",
            "warning",
        )


def _holds(text: str, answer: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", text) is not None


def letters(bound: BoundTask, made: RenderedTask) -> Iterator[Finding]:
    """A warning: the right letters are not evenly distributed over shuffled options (chi-square)."""
    spec = bound.task.options or {}
    if spec.get("order") == "given" or spec.get("style", LETTERS) != LETTERS:
        return
    for size, counts in made.letters.items():
        total = sum(counts.values())
        expected, free = total / size, size - 1
        if expected < 5 or free < 1:
            continue
        chi_square = (sum(n * n for n in counts.values()) / expected) - total
        if (
            chi_square > free + 8 * (2 * free) ** 0.5
        ):  # mean and deviation of chi-square; chance: below 0.0005
            shown = ", ".join(f"{letter}: {count}" for letter, count in sorted(counts.items()))
            message = f"of {total} right letters among {size} options: {shown}"
            yield at(bound.task.place("options"), "letters", message, "shuffle the options", "warning")


def raw_targets(bound: BoundTask, made: RenderedTask) -> Iterator[Finding]:
    """A warning: targets or options of instances look like raw ids, as in `raw_labels`."""
    if bound.task.form not in ("label", "options", "yes_no"):
        return
    declared = {shown for table in bound.labels.values() for shown in table.values()}
    declared |= set((bound.task.options or {}).get("values", ()))  # `raw_labels` covers these
    found = {*made.answers, *(option for text in made.texts for option in text.options)} - declared
    raw = sorted(shown for shown in found if looks_raw(shown))
    if raw:
        message = f"{raw[0]!r} is shown to a model, and {looks_raw(raw[0])} (and {len(raw) - 1} more)"
        yield at(bound.task.place("target"), "raw_targets", message, "give it a name in labels", "warning")


def target_case(bound: BoundTask, made: RenderedTask) -> Iterator[Finding]:
    """A warning: a label or an option has a capital that is no proper name's (`review/proper_names.txt` lists
    the words, sentences and the suites evaluation and stages are free), or a yes or no has one. A task whose
    names are all proper names says `allow: [target_case]`."""
    task = bound.task
    if UPSTREAM_TEXT.intersection(task.suites):
        return
    wrong = {answer for answer in made.answers if answer.casefold() in ("yes", "no") and not answer.islower()}
    if task.form in ("label", "options", "yes_no"):
        shown = {*made.answers, *(option for text in made.texts for option in text.options)}
        shown |= {
            name for table in bound.label_tables_used() for name in bound.labels.get(table, {}).values()
        }
        wrong |= {name for name in shown if not name.endswith((".", "!", "?")) and odd_capitals(name)}
    if wrong:
        message = f"{min(wrong)!r} is shown to a model with a capital (and {len(wrong) - 1} more)"
        hint = "write it in lower case, or add the word to review/proper_names.txt if it is a proper name"
        yield at(task.place("target"), "target_case", message, hint, "warning")


def odd_capitals(name: str) -> list[str]:
    """Words of a name with a capital that are no proper names. Words of more capitals (TV, CD/DVD)
    are abbreviations."""
    return _CAPITALIZED.findall(_proper_names().sub("", name))


@lru_cache(maxsize=1)
def _proper_names() -> re.Pattern[str]:
    lines = (Path(__file__).parent / "proper_names.txt").read_text("utf-8").splitlines()
    names = sorted((line for line in lines if line and not line.startswith("#")), key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, names))})(?!\w)")


def untidy_text(bound: BoundTask, made: RenderedTask) -> Iterator[Finding]:
    """A warning: doubled punctuation or spaces in the instruction; `None`, `nan` or leftover Jinja in it or
    in a target."""
    for text in made.texts:
        wrong = _UNTIDY.search(text.instruction)
        if wrong:
            near = text.instruction[max(0, wrong.start() - 25) : wrong.end() + 15]
            place = Location(bound.instruction_file, 1)
            yield at(place, "untidy_text", f"untidy: {near!r}", "fix the punctuation or spacing", "warning")
            return
        wrong = _NOT_TEXT.search(f"{text.instruction}\n{text.target}")
        if wrong:
            message = f"{wrong.group()!r} in {text.target[:60]!r}"
            yield at(
                bound.task.place("target"),
                "untidy_text",
                message,
                "drop instances with missing values",
                "warning",
            )
            return


LINTS = (
    renders, promise, constant_target, target_in_prompt, letters, raw_targets, target_case,
    untidy_text,
)  # fmt: skip
