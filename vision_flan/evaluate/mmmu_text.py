"""How MMMU's official tool reads an answer (`eval_utils.py` of MMMU-Benchmark/MMMU)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

Value = str | float

_GROUPED = re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b")
#: As the official tool's `-?\d+(?:\.\d+)?[eE][+-]?\d+`, but never from the middle of a run of digits, which
#: finds nothing that its start does not: an answer of 20,000 digits took 40 seconds.
_SCIENTIFIC = re.compile(r"(?:-|(?<!\d))\d++(?:\.\d++)?[eE][+-]?\d+")
_PLAIN = re.compile(r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])")
#: A sentence ends at a line break, or at a period and white space before a capital. The text is in lower case
#: by then, so that only line breaks split.
_SENTENCES = re.compile(r"\.\s(?=[A-Z])|\n")
_INDICATORS = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
_TRIVIAL = {":", ",", ".", "!", "?", ";", "'"}


def parse_choice(response: str, options: Mapping[str, str]) -> str | None:
    """The letter an answer names, None if it names none.

    Punctuation at the ends is removed, one kind after the other. Then the first of these that finds anything
    decides: "(A)"; "A" between spaces; in more than five words, an option's text in any case. Of several, the
    one whose last mention is last.
    """
    text = response
    for mark in ",.!?;:'":
        text = text.strip(mark)
    text = f" {text} "
    lower = text.lower()
    places: list[Callable[[str], int]] = [
        lambda letter: text.rfind(f"({letter})"),
        lambda letter: text.rfind(f" {letter} "),
    ]
    if len(text.split()) > 5:
        places.append(lambda letter: lower.rfind(options[letter].lower()))
    for place in places:
        named = [letter for letter in options if place(letter) >= 0]
        if named:
            return max(named, key=place)
    return None


def _as_number(text: str) -> float | None:
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None


def normalized(text: str) -> list[Value]:
    """A number rounded to two decimals, else the text in lower case.

    A single character is given a space before and after, so that it is not found inside words.
    """
    text = text.strip()
    number = _as_number(text)
    if number is not None:
        return [round(number, 2)]
    text = text.lower()
    return [f" {text}", f"{text} "] if len(text) == 1 else [text]


def numbers_in(text: str) -> list[str]:
    """The numbers of a text: with thousands commas, in scientific notation, plain."""
    return [found for pattern in (_GROUPED, _SCIENTIFIC, _PLAIN) for found in pattern.findall(text)]


def _key_phrases(response: str) -> list[str]:
    """Of every sentence the shortest text behind an indicator; the whole response if there is none."""
    response = response.strip().strip(".").lower()
    sentences = _SENTENCES.split(response)
    phrases = []
    for number, sentence in enumerate(sentences, start=1):
        indicators = (*_INDICATORS, "=") if number == len(sentences) else _INDICATORS
        shortest = ""
        for tail in (sentence.split(word)[-1].strip() for word in indicators if word in sentence):
            if not shortest or len(tail) < len(shortest):
                shortest = tail
        if shortest and shortest not in _TRIVIAL:
            phrases.append(shortest)
    return phrases or [response]


def open_candidates(response: str) -> list[Value]:
    """Every text and number that an open answer may mean."""
    phrases = _key_phrases(response)
    texts = phrases + [number for phrase in phrases for number in numbers_in(phrase)]
    return [value for text in texts for value in normalized(text)]


def is_open_right(candidates: Sequence[Value], truths: Sequence[str]) -> bool:
    """Whether a candidate number equals a true number, or a candidate text contains a true text."""
    wanted = [value for truth in truths for value in normalized(truth)]
    return any(
        any(isinstance(value, str) and value in candidate for value in wanted)
        if isinstance(candidate, str)
        else candidate in wanted
        for candidate in candidates
    )
