"""Text filters of templates: articles, sentences, lists in words."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable
from datetime import date, time, timedelta
from decimal import Decimal
from types import NoneType
from typing import Any
from uuid import UUID

from jinja2 import Undefined

#: Maximum length of a filter's result.
MAX_TEXT_CHARS = 200_000

_QUOTED_APART = re.compile(r'" ([^"]*) "')
_SPACE_AFTER = re.compile(r"([(\[]) ")
_SPACE_BEFORE = re.compile(r" ([.,;:!?%)\]]|(?:['’](?:s|re|ll|ve|m|d)|n['’]t)\b)")
_GLUED = re.compile(r"([a-z0-9)][.!?])([A-Z])")

_VOWEL_SOUND = re.compile(r"[aeiou]|hour|honest|honou?r|heir|herb|hors d", re.IGNORECASE)
_CONSONANT_SOUND = re.compile(
    r"uni(?:[^nmdr]|d(?!ent)|$)|us[aeu]|eu|ewe|one\b|once\b|ouija|uk[ru]|uga|ur[aiou]|ut(?:il|e|o|a)|ubi|u\b",
    re.IGNORECASE,
)
_LETTERS_ONLY = re.compile(r"([A-Z]+)(?![a-z])(?:s\b)?")
_SPOKEN_AS_LETTERS = frozenset(
    ("FBI", "IBM", "LED", "MRI", "NYC", "RAF", "SUV", "UFO", "USA", "USB", "EU", "UAE")
)
_NUMBER = re.compile(r"\d[\d,]*")
_TRAILING = " ,;:–—-"


#: Types of field values with a text form; `Undefined` raises a more specific error.
_TEXTUAL = (str, int, float, Decimal, date, time, timedelta, UUID, NoneType, Undefined)


def no_text(value: Any) -> bool:
    """Whether a value has no text form: for a list, a struct or a generator, `str` gives Python code."""
    return not isinstance(value, _TEXTUAL)


def as_text(value: Any) -> str:
    """A value as text.

    Raises:
        TypeError: it is a list, a struct or a generator.
    """
    if no_text(value):
        raise TypeError(f"a {type(value).__name__} is not text; use `join`, or one of its items")
    return str(value)


def is_clean(*texts: str) -> bool:
    """Whether texts can be stored: they have no NUL and no lone surrogate."""
    for text in texts:
        if "\0" in text:
            return False
        if text.isascii():  # known of a text without looking at it
            continue
        try:
            text.encode()
        except UnicodeEncodeError:
            return False
    return True


def article(noun: str) -> str:
    """The noun with "a" or "an", by sound: a unicycle, an hour, an iron, an LED, an 8."""
    word = as_text(noun).strip()
    if not word:
        return ""
    spoken = word.lstrip('"“‘([')
    return f"{'an' if _takes_an(spoken) else 'a'} {word}"


def _takes_an(word: str) -> bool:
    number = _NUMBER.match(word)
    if number:
        digits = number.group().replace(",", "")
        named = len(digits) % 3 == 2 or (len(digits) == 4 and "," not in number.group())  # eighteen fifty
        return digits[0] == "8" or (named and digits[:2] in ("11", "18"))
    capitals = _LETTERS_ONLY.match(word)
    if capitals:
        letters = capitals.group(1)
        if len(letters) <= 2 or letters in _SPOKEN_AS_LETTERS or not set(letters) & set("AEIOUY"):
            return letters[0] in "AEFHILMNORSX"
    return bool(_VOWEL_SOUND.match(word)) and not _CONSONANT_SOUND.match(word)


def squeeze(text: str) -> str:
    """Text with each run of white space as one space, and none at the ends."""
    return " ".join(str(text).split())


def question_mark(text: str) -> str:
    """Text with exactly one question mark in place of its final punctuation; empty text stays empty."""
    asked = squeeze(text).rstrip("?.! ")
    return asked and f"{asked}?"


def sentence(text: str) -> str:
    """Text with a capital first letter and a period, unless it ends in other punctuation."""
    text = squeeze(text).rstrip(_TRAILING)
    body = text.rstrip(".!?…")
    if body != text:
        mark, body = text[len(body) :], body.rstrip(_TRAILING)
        return body and body[0].upper() + body[1:] + mark
    if not text:
        return text
    text = text[0].upper() + text[1:]
    inner = text.rstrip("\"”’')]")
    if not inner or inner[-1] in ".!?…":
        return text
    quoted = text[-1] == "”" or (text[-1] == '"' and text.count('"') % 2 == 0)
    if quoted and inner == text[:-1]:  # American English puts the period inside quotation marks
        return inner.rstrip(_TRAILING) + "." + text[-1]
    return text + "."


def unescape(text: str) -> str:
    """Text with HTML character references decoded: `&amp;` as `&`, `&#233;` as `é`."""
    return html.unescape(str(text))


def detokenize(text: str) -> str:
    """Text with the spaces of a tokenizer removed: `the dog 's bed ( new ) .` as `the dog's bed (new).`"""
    text = _QUOTED_APART.sub(r'"\1"', squeeze(text))
    return _SPACE_BEFORE.sub(r"\1", _SPACE_AFTER.sub(r"\1", text))


def unglue(text: str) -> str:
    """Text with missing spaces between sentences restored: `A cat.It sits.` as `A cat. It sits.`"""
    return _GLUED.sub(r"\1 \2", str(text))


def capital(text: str) -> str:
    """Text with a capital first letter; the rest is unchanged."""
    return text[:1].upper() + text[1:]


def spaced(text: str) -> str:
    """Text with underscores replaced by spaces."""
    return squeeze(str(text).replace("_", " "))


def pad(value: Any, width: int) -> str:
    """A number with leading zeros, up to a width of 40; empty text stays empty."""
    digits = str(value)
    return digits and digits.zfill(min(int(width), 40))


def join(items: Iterable[Any], separator: str = "") -> str:
    """The texts of a list joined by a separator, without nulls."""
    parts = [as_text(item) for item in items if item is not None]
    if sum(map(len, parts)) + len(parts) * len(separator) > MAX_TEXT_CHARS:
        raise ValueError(f"a text of more than {MAX_TEXT_CHARS:,} characters")
    return separator.join(parts)


def enumerate_and(items: Iterable[Any], last: str = "and") -> str:
    """A list in words: `a`, `a and b`, `a, b and c`; without nulls."""
    words = [as_text(item) for item in items if item is not None]
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def position(items: Iterable[Any], item: Any) -> int:
    """Index of an item in a list, starting at 0."""
    return list(items).index(item)


def letter(index: int) -> str:
    """A for 0, B for 1 ... Z for 25."""
    if not 0 <= index < 26:
        raise ValueError(f"there is no letter for option {index + 1}")
    return chr(ord("A") + index)


#: Filters of templates, by name; docs/spec.md lists them.
FILTERS: dict[str, Callable[..., Any]] = {
    "article": article,
    "squeeze": squeeze,
    "question_mark": question_mark,
    "sentence": sentence,
    "capital": capital,
    "spaced": spaced,
    "unescape": unescape,
    "detokenize": detokenize,
    "unglue": unglue,
    "pad": pad,
    "join": join,
    "enumerate_and": enumerate_and,
    "position": position,
    "letter": letter,
}

#: Filters that take text, ours and Jinja's. They treat null as empty; Jinja would write "None".
TEXT_FILTERS = (
    "article", "squeeze", "question_mark", "sentence", "capital", "spaced", "unescape", "detokenize",
    "unglue", "pad", "lower", "replace", "string", "title", "trim", "truncate", "upper",
)  # fmt: skip
