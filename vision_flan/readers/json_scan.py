"""Reads JSON as a stream: values are decoded one at a time from a window over the text.

`json.JSONDecoder.raw_decode` does the work in C. Where it fails because the window ends too early, the window
grows; a value that is skipped is traversed instead, so that skipping a gigabyte needs no memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from vision_flan.errors import BadRawError, Location
from vision_flan.readers.json_bulk import BulkDecoder, Entries
from vision_flan.readers.text_stream import TextStream, newlines

_SPACES = re.compile(r"[ \t\n\r\ufeff]*")
#: An error this close to the window's end may be caused by it: `-Infinity` and `\\uD83D` are the longest.
_NEAR = 16

#: Characters that are decoded only to be stepped over; a value that is longer is traversed.
_SHORT = 2**16
#: Parts of a number after its first digits, and the words that Python's parser accepts.
_PART_OF_NUMBER = re.compile(r"\.|[eE][-+]?")
_WORDS = ("true", "false", "null", "NaN", "-Infinity", "Infinity")
CUT_OFF = "the file is cut off: "


def is_cut_off(rest: str, problem: str) -> bool:
    """Whether JSON text ends before its document does.

    Args:
        rest: the text from the place of the problem to its end.
        problem: what the parser says.
    """
    rest = rest.strip(" \t\n\r")
    if problem.startswith("Unterminated"):
        return True
    if problem.startswith("Invalid \\uXXXX"):
        return len(rest) < len("\\u0000") and '"' not in rest
    is_word = any(word.startswith(rest) and word != rest for word in _WORDS)
    return is_word or _PART_OF_NUMBER.fullmatch(rest) is not None


class JsonScanner:
    """A position in a JSON text. Values are those of `json.loads`; NaN and Infinity, which are not
    JSON, are None.

    Raises:
        BadRawError: not JSON, or cut off; names line and byte.
    """

    def __init__(self, stream: TextStream) -> None:
        self._stream = stream
        self._decode = json.JSONDecoder(parse_constant=lambda _: None).raw_decode
        self._text = ""
        self._at = 0
        self._ended = False
        self._lines = 0
        self._dropped = 0

    def peek(self) -> str:
        """The next character that is not a space, "" at the end."""
        while True:
            found = _SPACES.match(self._text, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def take(self, wanted: str) -> None:
        """Step over one character of punctuation."""
        if self.peek() != wanted:
            self.fail(self._at, f"{wanted!r} expected")
        self._at += 1

    def value(self) -> Any:
        """Decode the value here, whatever its size."""
        while True:
            found, value = self._try_value()
            if found:
                return value
            self._more(grow=True)

    def skip(self) -> None:
        """Step over the value here, in bounded memory."""
        if self.peek() not in ("{", "["):
            self.value()
            return
        while len(self._text) - self._at < _SHORT and self._more():
            pass
        if self._is_short() and self._try_value()[0]:
            return
        is_object = self.peek() == "{"
        for entries in self._in_bulk(None):
            if entries is None:
                if is_object:
                    self._key()
                self.skip()

    def _is_short(self) -> bool:
        """Whether the value here ends within a short text, or something is wrong with it there."""
        piece = self._text[self._at : self._at + _SHORT]
        if len(piece) < _SHORT:
            return True  # it is all there is
        try:
            self._decode(piece)
        except json.JSONDecodeError as error:
            return not (error.msg.startswith("Unterminated") or error.pos >= _SHORT - _NEAR)
        except (RecursionError, ValueError):
            pass
        return True

    def members(self) -> Iterator[str]:
        """Keys of the object here; after each, the caller must read or skip its value."""
        for _ in self._places("{"):
            yield self._key()

    def items(self) -> Iterator[int]:
        """Positions in the list here; after each, the caller must read or skip its value."""
        for position, _ in enumerate(self._places("[")):
            yield position

    def entries(self, kind: object) -> Iterator[Entries]:
        """The entries of the list or object here: many at a time where msgspec decodes them to `kind`, else
        one at a time and as they are."""
        is_object = self.peek() == "{"
        for entries in self._in_bulk(kind):
            if entries is not None:
                yield entries
                continue
            before = self.offset()
            keys = [self._key()] if is_object else None
            value = self.value()
            yield Entries(keys, [value], self.offset() - before, is_typed=False)

    def _in_bulk(self, kind: object) -> Iterator[Entries | None]:
        """Entries of the list or object here; after None, the caller must read or skip the next one."""
        opening = self.peek()
        bulk = BulkDecoder(is_object=opening == "{", kind=kind)
        end = None
        for _ in self._places(opening):
            if end is not None and self.peek() and end > self._dropped:
                bulk.learn(self._text, end - self._dropped, self._at)
            decoded = bulk.decode(self._text, self._at, self._dropped)
            if decoded is None:
                yield None
                end = self.offset()
            else:
                entries, self._at = decoded
                yield entries
                end = None

    def _places(self, opening: str) -> Iterator[None]:
        """The place of each entry of the list or object here, which the caller must step over."""
        closing = {"{": "}", "[": "]"}[opening]
        self.take(opening)
        if self.peek() == closing:
            self._at += 1
            return
        while True:
            yield
            if self._ends(closing):
                return

    def _key(self) -> str:
        if self.peek() != '"':
            self.fail(self._at, "a key in double quotes expected")
        key = str(self.value())
        self.take(":")
        return key

    def offset(self) -> int:
        """Characters stepped over since the start."""
        return self._dropped + self._at

    def _ends(self, closing: str) -> bool:
        """After a value: step over the comma or the closing bracket."""
        mark = self.peek()
        if mark not in (",", closing) or not mark:
            self.fail(self._at, f"',' or {closing!r} expected")
        self._at += 1
        return mark == closing

    def _try_value(self) -> tuple[bool, Any]:
        """Decode the value here; (False, None) if the window may end too early."""
        if not self.peek():
            self.fail(self._at, "a value expected")
        try:
            value, end = self._decode(self._text, self._at)
        except json.JSONDecodeError as error:
            cut = error.msg.startswith("Unterminated") or error.pos >= len(self._text) - _NEAR
            if cut and not self._ended:
                return False, None
            self.fail(error.pos, error.msg)
        except RecursionError:
            self.fail(self._at, "values are nested too deep")
        except ValueError as error:  # an integer of thousands of digits
            self.fail(self._at, str(error))
        if end > len(self._text) - len("1.e-") and not self._ended:
            return False, None  # a number may go on
        self._at = end
        return True, value

    def _more(self, *, grow: bool = False) -> bool:
        """Drop the text before the position and read more; `grow` doubles the rest of the window."""
        wanted = len(self._text) - self._at if grow else 1
        self._lines += newlines(self._text, self._at)
        self._dropped += self._at
        pieces = [self._text[self._at :]]
        self._at = 0
        while wanted > 0 and not self._ended:
            piece = self._stream.read()
            self._ended = not piece
            pieces.append(piece)
            wanted -= len(piece)
        self._text = "".join(pieces)
        return not self._ended

    def fail(self, at: int, what: str) -> NoReturn:
        """Raise for a problem at an offset of the window."""
        rest = self._text[at:]
        encoding = "utf-8" if self._stream.encoding == "utf-8-sig" else self._stream.encoding
        byte = self._stream.bytes_read - len(rest.encode(encoding, "surrogatepass"))
        line = self._lines + newlines(self._text, at) + 1
        cut = self._ended and is_cut_off(rest, what)
        raise BadRawError(
            f"not valid JSON at byte {byte}: {CUT_OFF if cut else ''}{what}",
            where=Location(self._stream.path, line),
            hint="fetch the file again" if cut else "fix the file, or declare another reader",
        )
