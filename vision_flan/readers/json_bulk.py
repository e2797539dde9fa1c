"""Decodes many entries of a JSON list or object at once, with msgspec.

A window over the document ends anywhere. The text between two entries, seen once, is looked for from the
window's end: what lies before it is decoded as a list or object of its own. If the guess was wrong, or the
text holds anything that msgspec does not take as Python's parser does (NaN, half of a surrogate pair, numbers
of thousands of digits) or that is not of the expected type, that is an error, and these entries are decoded
one by one. So a guess can cost time, but never change a value.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import GenericAlias
from typing import NamedTuple

import msgspec

#: Failures in a row after which a document is decoded one by one.
_GIVE_UP = 4
_CLOSERS = re.compile(r"[}\]][}\]\s]*\Z")
_TAIL = 64
#: How an entry begins: an object with its first key.
_OPENING = re.compile(r'\{\s*"[^"\\]{0,64}"')
#: Python refuses numbers of more than 4,300 digits, msgspec steps over them where they are not declared. Of
#: that many digits, `_DIGITS` begin at a multiple of `_STRIDE`.
_STRIDE, _DIGITS = 4096, 64


class Entries(NamedTuple):
    """Consecutive entries of a list or object.

    Attributes:
        keys: their keys; None in a list.
        values: what they decode to.
        size: characters of each, on average.
        is_typed: whether the values have the type asked for, or are those of `json.loads`.
    """

    keys: Sequence[str] | None
    values: Sequence[object]
    size: int
    is_typed: bool


class _Key(str):
    """A key of an object, so that msgspec shows each one: a dict keeps the last of two that are the same."""


class BulkDecoder:
    """Decodes entries of one list or object.

    Args:
        is_object: whether the entries have keys.
        kind: the type of each value, as msgspec takes it; None to step over them.
    """

    def __init__(self, *, is_object: bool, kind: object) -> None:
        self._is_object = is_object
        self._kind = kind
        self._mark = ""
        self._failures = 0
        self._not_before = 0
        self._keys = 0
        self._decoder: msgspec.json.Decoder[object] | None = None

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

    def decode(self, text: str, at: int, dropped: int) -> tuple[Entries, int] | None:
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

    def _entries(self, text: str) -> Entries | None:
        if _has_long_number(text):
            return None
        if self._decoder is None:
            self._decoder = self._new_decoder()
        self._keys = 0
        try:
            decoded = self._decoder.decode(f"{{{text}}}" if self._is_object else f"[{text}]")
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        if isinstance(decoded, list):
            return Entries(None, decoded, len(text) // len(decoded), is_typed=True)
        if not isinstance(decoded, dict):
            return Entries(None, (), 0, is_typed=True)
        if self._keys != len(decoded):
            return None  # a key occurs twice: both records count
        keys, values = list(map(str, decoded)), list(decoded.values())
        return Entries(keys, values, len(text) // len(values), is_typed=True)

    def _new_decoder(self) -> msgspec.json.Decoder[object]:
        if self._kind is None:
            return msgspec.json.Decoder(msgspec.Raw)
        if self._is_object:
            return msgspec.json.Decoder(GenericAlias(dict, (_Key, self._kind)), dec_hook=self._key)
        return msgspec.json.Decoder(GenericAlias(list, (self._kind,)))

    def _key(self, kind: type, value: object) -> object:
        self._keys += 1
        return kind(value)


def _has_long_number(text: str) -> bool:
    return any(text[at : at + _DIGITS].isdigit() for at in range(0, len(text) - _DIGITS + 1, _STRIDE))
