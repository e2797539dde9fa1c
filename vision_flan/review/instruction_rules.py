"""Rules for the wording of instructions. A function is a rule, its docstring the rule's manual.

They read the template as it is written, without rendering it. Benchmarks and the data of the other training
stages pass upstream's own text on, so `closing` and `instruction_words` leave them alone.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from vision_flan.errors import Location, SpecError
from vision_flan.instances.rendering import instruction_of, read_template
from vision_flan.review.bound import BoundTask
from vision_flan.spec.findings import Finding, at

#: Words below which an instruction is too short to be a copy.
SHORT = 18
#: Jaccard index of the word triples of two instructions above which they count as copies.
SIMILAR = 0.5

#: Suites whose tasks pass upstream's text on unchanged.
UPSTREAM_TEXT = frozenset({"evaluation", "stages"})

_SHORT = "Answer with a single word or short phrase."
#: Form -> the sentence that ends an instruction, the same in every task; other forms end as they need to.
CLOSINGS = {
    "options": "Answer with the option's letter and text.",
    "yes_no": "Answer yes or no.",
    "number": "Answer with a number in digits.",
    "label": _SHORT,
    "phrase": _SHORT,
    "sentence": "Answer in one sentence.",
    "list": "Separate the items with semicolons.",
}
#: The closing of `form: number` where upstream writes its numbers as words.
NUMBER_AS_WORD = "Answer with a number as a word."

_TAGS = re.compile(r"\{[{%#].*?[}%#]\}", re.DOTALL)
_END_OF_SENTENCE = re.compile(r"(?<=[.?!:])\s+")

#: Pattern of a word that instructions avoid -> what to write instead.
_AVOIDED = {
    r"pictures?": "image",
    r"blanks?": "space",
    r"full\sstops?": "period",
    r"(?<!square )(?<!curly )(?<!angle )brackets?": "parentheses",
    r"pupils?": "student",
    r"a (?:computer )?program (?:drew|draws|made|makes|painted)": "nothing: say what is shown",
}
_BRITISH = {
    r"(\w*col)our(\w*)": r"\1or\2",
    r"(favo|flavo|behavio|neighbo|humo|hono|labo)ur(\w*)": r"\1r\2",
    r"gr(?:e)y(\w*)": r"gray\1",
    r"licence(\w*)": r"license\1",
    r"(cent|(?:centi|kilo|milli)?met|theat)re(s?)": r"\1er\2",
    r"(label|travel|model|cancel|signal)l(ed|ing|er|ers)": r"\1\2",
    r"(recogn|organ|categor|summar|emphas|character|real|special|util|minim|maxim|visual|memor|normal|capital"
    r"|general)is(e|es|ed|ing|ation)": r"\1iz\2",
    r"analys(e|ed|ing)": r"analyz\1",
    r"aeroplane(s?)": r"airplane\1",
    r"jewellery": "jewelry",
    r"tyre(s?)": r"tire\1",
    r"kerb(s?)": r"curb\1",
    r"plough(\w*)": r"plow\1",
    r"pyjamas": "pajamas",
    r"mould(\w*)": r"mold\1",
    r"programme(s?)": r"program\1",
    r"storeys?": "story",
    r"moustache(s?)": r"mustache\1",
    r"whilst": "while",
    r"maths": "math",
    r"(to|for|back|up|down|after)wards": r"\1ward",
    r"make-up": "makeup",
}
_WORDS = [
    (re.compile(rf"\b{pattern}\b", re.IGNORECASE), instead)
    for pattern, instead in (*_AVOIDED.items(), *_BRITISH.items())
]


def similar_instructions(tasks: Mapping[str, BoundTask]) -> Iterator[Finding]:
    """A warning: the instruction is nearly the same as one of another dataset: half of their word triples are
    shared, the closing aside. Tasks of one dataset may have instructions that are alike, and so may those of
    fewer than 18 words: there are few ways to ask a plain question."""
    texts = {
        name: Wording(bound.dataset.dataset, bound.instruction_file, written(bound))
        for name, bound in tasks.items()
    }
    yield from similar_texts(texts, texts)


class Wording(NamedTuple):
    """An instruction as written, and the dataset of its task."""

    dataset: str
    file: Path
    text: str


def similar_texts(texts: Mapping[str, Wording], asked: Container[str]) -> Iterator[Finding]:
    """`similar_instructions` of some tasks, each compared with all others."""
    shingles = {name: _shingles(known.text) for name, known in sorted(texts.items())}
    for (one, left), (other, right) in combinations(shingles.items(), 2):
        if one not in asked and other not in asked:
            continue
        if texts[one].dataset == texts[other].dataset:
            continue
        shared = len(left & right)
        if shared and shared / len(left | right) >= SIMILAR:
            share = shared / len(left | right)
            near, found = (one, other) if other in asked else (other, one)
            message = f"nearly the same instruction as {near}: {share:.0%} of the word triples are shared"
            hint = "say what sets the two tasks apart"
            yield at(Location(texts[found].file, 1), "similar_instructions", message, hint, "warning")


def _shingles(text: str) -> set[tuple[str, ...]]:
    """Word triples of an instruction; the closing that all tasks of a form share does not count."""
    text = " ".join(text.split())
    for sentence in CLOSINGS.values():
        text = text.removesuffix(sentence)
    words = re.findall(r"[^\W_]+", text.lower())
    if len(words) < SHORT:
        return set()
    return set(zip(words, words[1:], words[2:], strict=False))


def closing(bound: BoundTask) -> Iterator[Finding]:
    """A warning: the last sentence of the instruction is not the closing of the task's `form`: for options
    "Answer with the option's letter and text.", yes_no "Answer yes or no.", number "Answer with a number in
    digits." or, where targets are words, "Answer with a number as a word.", label and phrase "Answer with a
    single word or short phrase.", sentence "Answer in one sentence.", list "Separate the items with
    semicolons." Other forms, and the suites evaluation and stages, are free."""
    wanted, text = CLOSINGS.get(bound.task.form), written(bound)
    if wanted is None or not text.strip() or _is_upstream_text(bound):
        return
    last = _END_OF_SENTENCE.split(text.strip())[-1]
    last = " ".join(last.split())
    if last != wanted and not (bound.task.form == "number" and last == NUMBER_AS_WORD):
        message = f"the instruction ends with {last[-60:]!r}, and form is {bound.task.form}"
        place = Location(bound.instruction_file, text.rstrip().count("\n") + 1)
        yield at(place, "closing", message, f"end it with: {wanted}", "warning")


def instruction_words(bound: BoundTask) -> Iterator[Finding]:
    """A warning: a word that instructions avoid, where the field says image, space, period, parentheses or
    student; "a program drew"; and British spellings. The suites evaluation and stages are free."""
    if _is_upstream_text(bound):
        return
    text = written(bound)
    for pattern, instead in _WORDS:
        found = pattern.search(text)
        if found:
            line = text.count("\n", 0, found.start()) + 1
            column = found.start() - text.rfind("\n", 0, found.start())
            message = f"the instruction says {found.group()!r}"
            place = Location(bound.instruction_file, line, column)
            yield at(place, "instruction_words", message, f"write {found.expand(instead)}", "warning")


def median_words(tasks: Iterable[BoundTask]) -> float | None:
    """The median length of instructions in words, fields aside; None where there is none.

    Tasks that pass upstream's text on are left out.
    """
    lengths = [len(written(bound).split()) for bound in tasks if not _is_upstream_text(bound)]
    lengths = [length for length in lengths if length]
    return statistics.median(lengths) if lengths else None


def written(bound: BoundTask) -> str:
    """The instruction as written, its Jinja replaced by as many spaces; empty where it cannot be read."""
    try:
        return _without_tags(instruction_of(bound.task, bound.instruction_file))
    except SpecError:
        return ""  # `template` reports it


def written_in(file: Path) -> str:
    """`written` of the instruction in a file, whatever its task says; empty where there is none."""
    try:
        return _without_tags(read_template(file))
    except SpecError:
        return ""


def _without_tags(template: str) -> str:
    return _TAGS.sub(lambda tag: re.sub(r"[^\n]", " ", tag.group()), template)


def _is_upstream_text(bound: BoundTask) -> bool:
    return not UPSTREAM_TEXT.isdisjoint(bound.task.suites)


INSTRUCTION_RULES = (closing, instruction_words)
