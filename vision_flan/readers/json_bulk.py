"""Decodes many entries of a JSON list or object at once, with msgspec.

A window over the document ends anywhere. The text between two entries, seen once, is looked for from the
window's end: what lies before it is decoded as a list or object of its own. If the guess was wrong, or the
text holds anything that msgspec does not take as Python's parser does (NaN, half of a surrogate pair, numbers
of thousands of digits), that is an error, and these entries are decoded one by one. So a guess can cost time,
but never change a value.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

#: Key (None in a list) and value of an entry.
Entry = tuple[str | None, object]

#: Failures in a row after which a document is decoded one by one.
_GIVE_UP = 4
_CLOSERS = re.compile(r"[}\]][}\]\s]*\Z")
_TAIL = 64
#: How an entry begins: an object with its first key.
_OPENING = re.compile(r'\{\s*"[^"\\]{0,64}"')


class _Key(str):
    """A key of an object, so that msgspec shows each one: a dict keeps the last of two that are the same."""


class BulkDecoder:
    """Decodes entries of one list or object.

    Args:
        is_object: whether the entries have keys.
    """

    def __init__(self, *, is_object: bool) -> None:
        self._is_object = is_object
        self._mark = ""
        self._failures = 0
        self._not_before = 0
        self._keys = 0
        self._lists = msgspec.json.Decoder(list[Any])
        self._objects = msgspec.json.Decoder(dict[_Key, Any], dec_hook=self._key)

    def learn(self, text: str, end: int, start: int) -> None:
        """See the text between two entries.

        Args:
            end: where the first one ends.
            start: where the next one starts.
        """
        closers = _CLOSERS.search(text, max(0, end - _TAIL), end)
        if closers is None:
            self._mark = ""  # plain values: they are short, and a number has no end of its own
            return
        opening = None if self._is_object else _OPENING.match(text, start)
        self._mark = text[closers.start() : opening.end() if opening else start + 1]
        self._closed = end - closers.start()

    def decode(self, text: str, at: int, dropped: int) -> tuple[Sequence[Entry], int] | None:
        """The entries from a position on, and where the last of them ends; None to decode the next one alone.

        Args:
            dropped: characters of the document before this window.
        """
        if not self._mark or self._failures >= _GIVE_UP or dropped + at < self._not_before:
            return None
        found = text.rfind(self._mark, at)
        if found <= at:
            return None
        end = found + self._closed
        entries = self._entries(text[at:end])
        if entries is None:
            self._failures += 1
            self._not_before = dropped + end
            return None
        self._failures = 0
        return entries, end

    def _entries(self, text: str) -> Sequence[Entry] | None:
        try:
            if not self._is_object:
                return [(None, value) for value in self._lists.decode(f"[{text}]")]
            self._keys = 0
            decoded = self._objects.decode(f"{{{text}}}")
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        if self._keys != len(decoded):
            return None  # a key occurs twice: both records count
        return [(str(key), value) for key, value in decoded.items()]

    def _key(self, kind: type, value: object) -> object:
        self._keys += 1
        return kind(value)
