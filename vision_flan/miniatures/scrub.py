"""Replaces the words of free text by invented ones of the same shape; a word always by the same one."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

_WORD = re.compile(r"<[^<>]{1,40}>|[^\W\d_]{3,}")
_SYLLABLES = ("ba", "de", "fi", "go", "lu", "ma", "ne", "pi", "ro", "su", "ta", "ve", "wo", "xi", "yo", "za")
#: Names of columns and keys that hold people's names, whose words are replaced even if they stand alone.
_PEOPLE = re.compile(
    r"(?:^|_)(?:author|artist|photographer|user|owner|person|people|email|mail|speaker_name)s?(?:$|_)", re.I
)


@dataclass(frozen=True)
class Scrubber:
    """Decides which texts are free text, and replaces their words.

    Attributes:
        kept: texts that stay: labels and paths of images.
    """

    kept: frozenset[str]

    def text(self, text: str, name: str = "") -> str:
        """A text with its words replaced, if it is free text: several words, or that of a column of people.

        Args:
            name: of the column or key.
        """
        if text in self.kept or "/" in text or _words(text) < (1 if _PEOPLE.search(name) else 2):
            return text
        return _WORD.sub(lambda word: word[0] if word[0].startswith("<") else _invented(word[0]), text)

    def value(self, value: object, name: str = "") -> object:
        """The same for every text inside of a value as JSON has it; keys stay."""
        if isinstance(value, str):
            return self.text(value, name)
        if isinstance(value, list):
            return [self.value(item, name) for item in value]
        if isinstance(value, dict):
            return {key: self.value(item, str(key)) for key, item in value.items()}
        return value


def _words(text: str) -> int:
    """How many words a text has, marks such as `<image>` aside."""
    return sum(not word.startswith("<") for word in _WORD.findall(text))


def _invented(word: str) -> str:
    """A word of the same length and capitals; a letter with an accent keeps one."""
    digest = hashlib.md5(word.lower().encode(), usedforsecurity=False).digest()
    letters = "".join(_SYLLABLES[byte % 16] for byte in digest * (len(word) // 32 + 1))[: len(word)]
    made = []
    for old, new in zip(word, letters, strict=True):
        new = old if not old.isascii() else new
        made.append(new.upper() if old.isupper() else new)
    return "".join(made)
