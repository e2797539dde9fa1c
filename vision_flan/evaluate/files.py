"""Reading answer files: JSON lines and JSON documents, every fault with its file and line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision_flan.errors import Location, to_type
from vision_flan.evaluate.values import Answer, AnswerError


@dataclass(frozen=True)
class Record:
    """One JSON object or table row, and where it stands."""

    data: Mapping[str, Any]
    place: Location

    def text(self, *names: str) -> str:
        """The first of these fields that is there, as text; numbers are accepted for ids.

        Raises:
            AnswerError: none of them is there, or it is not text.
        """
        value = self.optional(*names)
        if value is None:
            raise AnswerError(
                f"no field {' or '.join(repr(name) for name in names)}",
                where=self.place,
                hint="docs/evaluate.md shows the fields of each format",
            )
        return value

    def optional(self, *names: str) -> str | None:
        """As `text`, None if none of the fields is there."""
        for name in names:
            value = self.data.get(name)
            if isinstance(value, (bool, list, dict, float)):
                raise AnswerError(f"{name} is {value!r:.80}, not text", where=self.place)
            if value is not None:
                return str(value)
        return None

    def texts(self, name: str) -> tuple[str, ...]:
        """A text or a list of texts; empty if the field is not there.

        Raises:
            AnswerError: it is anything else.
        """
        value = self.data.get(name)
        if value is None:
            return ()
        found = value if isinstance(value, list) else [value]
        for item in found:
            if not isinstance(item, (str, int)) or isinstance(item, bool):
                raise AnswerError(f"{name} has {item!r:.80}, not text", where=self.place)
        return tuple(str(item) for item in found)

    def options(self, name: str) -> dict[str, str]:
        """A mapping letter -> text, or a list of texts for A, B, C, ...

        Raises:
            AnswerError: it is anything else.
        """
        value = self.data.get(name)
        if value is None:
            return {}
        if isinstance(value, list):
            value = {chr(ord("A") + number): text for number, text in enumerate(value)}
        if not isinstance(value, dict) or not all(
            isinstance(text, (str, int, float)) for text in value.values()
        ):
            raise AnswerError(f"{name} is {value!r:.80}, not a mapping of letters to texts", where=self.place)
        return {str(letter): str(text) for letter, text in value.items()}


def read_text(path: Path) -> str:
    """A UTF-8 file, line ends as they are.

    Raises:
        AnswerError: it is not there, or not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise AnswerError("no such file", where=Location(path)) from None
    except IsADirectoryError:
        raise AnswerError("is a folder, not a file", where=Location(path)) from None
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise AnswerError(
            "not UTF-8 text", where=Location(path, line), hint="convert the file to UTF-8"
        ) from error


def json_document(path: Path) -> Any:
    """A file that is one JSON document.

    Raises:
        AnswerError: it is not.
    """
    try:
        return _whole(json.loads(read_text(path)), Location(path))
    except json.JSONDecodeError as error:
        raise AnswerError(
            f"not JSON: {error.msg}", where=Location(path, error.lineno, error.colno)
        ) from error
    except ValueError as error:  # a number with more digits than Python reads
        raise AnswerError(f"not JSON: {error}", where=Location(path)) from error
    except RecursionError:
        raise AnswerError("JSON nested too deep", where=Location(path)) from None


def _whole(data: Any, place: Location) -> Any:
    """JSON that can be written again.

    Raises:
        AnswerError: it names half a character.
    """
    try:
        json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise AnswerError(f"half a character: {error.object[error.start]!r}", where=place) from error
    return data


def json_lines(path: Path) -> list[Record]:
    """The objects of a JSON-lines file; empty lines are skipped.

    Raises:
        AnswerError: a line is not an object.
    """
    found = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        place = Location(path, number)
        try:
            data = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise AnswerError(
                f"not a JSON object: {line[:60]!r}", where=place, hint="one JSON object a line"
            ) from error
        data = _whole(data, place)
        if not isinstance(data, dict):
            raise AnswerError(f"{line[:60]!r} is not an object", where=place, hint="one JSON object a line")
        found.append(Record(data, place))
    if not found:
        raise AnswerError("the file has no records", where=Location(path))
    return found


def json_objects(path: Path) -> list[Record]:
    """A JSON array of objects; the line of each is the line it starts on.

    Raises:
        AnswerError: it is not one.
    """
    data = json_document(path)
    if not isinstance(data, list):
        raise AnswerError("not a JSON array of objects", where=Location(path))
    text = read_text(path)
    decoder, at, found = json.JSONDecoder(), text.index("[") + 1, []
    line, seen = 1, 0
    for number, item in enumerate(data, start=1):
        while text[at] in " \t\r\n,":
            at += 1
        line, seen = line + text.count("\n", seen, at), at
        place = Location(path, line)
        if not isinstance(item, dict):
            raise AnswerError(f"item {number} is not an object", where=place)
        found.append(Record(item, place))
        at = decoder.raw_decode(text, at)[1]
    return found


def read_bytes(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        AnswerError: it is not there.
    """
    if not path.is_file():
        raise AnswerError("no such file", where=Location(path))
    return path.read_bytes()


def answers_jsonl(path: Path, benchmark: str) -> list[Answer]:
    """Our own format: one object a line, `id` and `prediction` and what the benchmark needs.

    Raises:
        AnswerError: a field is missing, or the line is of another benchmark.
    """
    found = []
    for record in json_lines(path):
        named = record.optional("benchmark")
        if named not in (None, benchmark):
            raise AnswerError(
                f"an answer to {named!r:.80}, not {benchmark!r}",
                where=record.place,
                hint=to_type("vflan", "score", named, path),
            )
        tokens = record.data.get("tokens")
        if tokens is not None and (not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 0):
            raise AnswerError(f"tokens is {tokens!r:.80}, not a count", where=record.place)
        found.append(
            Answer(
                id=record.text("id"),
                prediction=record.text("prediction"),
                target=record.texts("target"),
                question=record.optional("question") or "",
                part=record.optional("part") or "",
                image=record.optional("image") or "",
                options=record.options("options"),
                kind=record.optional("kind") or "",
                labels=record.texts("labels"),
                caption=record.optional("caption") or "",
                tokens=tokens,
                place=record.place,
            )
        )
    return found


def is_answers_jsonl(path: Path) -> bool:
    """Whether the file's first object has the two fields of our own format."""
    if path.suffix != ".jsonl" or not path.is_file():
        return False
    first = next((line for line in read_text(path).split("\n") if line.strip()), "")
    try:
        data = json.loads(first)
    except (ValueError, RecursionError):
        return True  # `answers_jsonl` says what is wrong with it
    return isinstance(data, dict) and {"id", "prediction"} <= data.keys()


def one_target(answer: Answer, allowed: tuple[str, ...] = ()) -> str:
    """The only target of an answer.

    Raises:
        AnswerError: it has none, several, or one that is not allowed.
    """
    if len(answer.target) != 1:
        raise AnswerError(f"{len(answer.target)} targets, one is needed", where=answer.place)
    if allowed and answer.target[0] not in allowed:
        raise AnswerError(
            f"target {answer.target[0]!r} is not one of {', '.join(allowed)}", where=answer.place
        )
    return answer.target[0]


def sealed(data: Mapping[str, object]) -> dict[str, object]:
    """The data with a digest of it, by which `is_sealed` tells whether it was changed."""
    return {**data, "sha256": _digest(data)}


def is_sealed(data: Mapping[str, object]) -> bool:
    """Whether the data is as it was sealed."""
    return data.get("sha256") == _digest(data)


def _digest(data: Mapping[str, object]) -> str:
    plain = {name: value for name, value in data.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
