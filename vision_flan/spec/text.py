"""Safe YAML that keeps the location of each key.

A spec arrives by pull request, so only plain data is read: no tags, no anchors (an alias bomb is one line),
no duplicate keys. Scalars follow the YAML 1.2 core schema: `no`, `on` and `2012-01-01` stay text, which
label tables need.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from vision_flan.errors import Location, SpecError, VflanError
from vision_flan.limits import Step
from vision_flan.spec.files import read_bytes

MAX_DEPTH = 30
#: Keys, values and items of a file: ten times those of the classes of ImageNet-21k.
MAX_VALUES = 250_000

_INT = re.compile(r"[-+]?[0-9]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
#: Indents or list items in a line that may nest deeper than MAX_DEPTH.
_MAY_BE_DEEP = re.compile(rf"^(?:[-?:][ \t]+| ){{{MAX_DEPTH}}}", re.MULTILINE)
#: What SQL and Parquet hold as a whole number.
_LARGEST = 2**63 - 1
_LONGEST = 300
#: What begins an anchor, an alias or a tag.
_MARK = re.compile(r"[&*!]")
_TURN = re.compile("[\u202a-\u202e\u2066-\u2069]")
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}


@dataclass(frozen=True)
class Document:
    """Parsed YAML: plain data, and the location of every key and list item.

    Attributes:
        path: the file.
        data: dicts, lists, str, int, float, bool, None.
        places: location of each key path, such as ("tables", "imgs", "file").
    """

    path: Path
    data: Any = field(repr=False)
    places: Mapping[tuple[str | int, ...], Location] = field(repr=False)

    def place(self, *keys: str | int) -> Location:
        """Location of a key path, or of its nearest ancestor that is in the file."""
        for length in range(len(keys), -1, -1):
            found = self.places.get(keys[:length])
            if found is not None:
                return found
        return Location(self.path)


def load_yaml(path: Path) -> Document:
    """Read one YAML file.

    Raises:
        SpecError: missing, not a regular file, too large, not UTF-8, not YAML, or YAML that specs do not
            allow; with line and column.
    """
    Step("reading the YAML", Location(path)).begin()
    raw = read_bytes(path)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise SpecError(
            f"byte {error.start} is not UTF-8", where=Location(path, line), hint="save the file as UTF-8"
        ) from error
    return parse_yaml(text, path)


def own_yaml(path: Path, wrong: type[VflanError]) -> object:
    """The data of a YAML file that a user names, such as a recipe: what `load_yaml` reads, links followed.

    Args:
        wrong: the error to raise.

    Raises:
        VflanError: as `load_yaml`, of the class `wrong`.
    """
    try:
        text = read_bytes(path.resolve(strict=True)).decode("utf-8")
        return parse_yaml(text, path).data
    except SpecError as error:
        what = f"not YAML: {error.what.removeprefix('not YAML: ')}"
        raise wrong(what, where=error.where, hint=error.hint) from error
    except (OSError, RuntimeError, UnicodeDecodeError) as error:
        raise wrong(f"not YAML: {error}", where=Location(path)) from error


def parse_yaml(text: str, path: Path) -> Document:
    """Parse YAML text; `path` is used in errors only."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    if text.count("\n") + text.count(",") + text.count("- ") > MAX_VALUES:
        raise SpecError(f"more than {MAX_VALUES:,} lines and items", where=Location(path))
    refuse_turns(text, path)
    try:
        _refuse_more_than_data(text, path, loader)
        node = yaml.compose(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, path) from error
    except yaml.reader.ReaderError as error:
        # its position counts characters or bytes
        line = text.count("\n", 0, max(text.find(chr(error.character)), 0)) + 1
        what = f"the character U+{error.character:04X} is not allowed"
        raise SpecError(what, where=Location(path, line), hint="remove it") from error
    except yaml.YAMLError as error:
        raise SpecError(f"not YAML: {error}", where=Location(path)) from error
    places: dict[tuple[str | int, ...], Location] = {}
    data = None if node is None else _construct(node, (), path, places)
    return Document(path, data, places)


def refuse_turns(text: str, path: Path) -> None:
    """Refuse characters that turn the direction of what follows: a reviewer would see another text.

    Raises:
        SpecError: there is one; names its line.
    """
    found = None if text.isascii() else _TURN.search(text)
    if found:
        raise SpecError(
            f"the character U+{ord(found[0]):04X} turns the direction of the text, and hides what it says",
            where=Location(path, text.count("\n", 0, found.start()) + 1),
            hint=f'remove it; in a quoted value of YAML it may be written as "\\u{ord(found[0]):04X}"',
        )


def _refuse_more_than_data(text: str, path: Path, loader: Any) -> None:
    """Refuse anchors, aliases, tags, and deep nesting: composing recurses as deep as the text nests, which
    may overflow the C library's stack. Texts that cannot have any, which most are, cost a search."""
    is_deep = _MAY_BE_DEEP.search(text) or text.count("[") + text.count("{") > MAX_DEPTH
    if not is_deep and not _MARK.search(text):
        return
    depth = 0
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise SpecError(
                "anchors and aliases are not allowed in specs",
                where=_place(event.start_mark, path),
                hint="write the value out, or quote it if it is text that starts with & or *",
            )
        if tag := getattr(event, "tag", None):
            raise SpecError(
                f"the tag {str(tag)[:100]} is not allowed: specs are plain data",
                where=_place(event.start_mark, path),
                hint="drop it, or quote the value if it is text that starts with !",
            )
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH + 1:
            raise SpecError(f"nested more than {MAX_DEPTH} deep", where=_place(event.start_mark, path))


def _syntax_error(error: yaml.MarkedYAMLError, path: Path) -> SpecError:
    mark = error.problem_mark or error.context_mark
    what = error.problem or "not YAML"
    hint = "indent with spaces" if "\\t" in what or "tab" in what else ""
    return SpecError(what, where=_place(mark, path) if mark else Location(path), hint=hint)


def _place(mark: Any, path: Path) -> Location:
    return Location(path, mark.line + 1, mark.column + 1)


def _construct(
    node: yaml.Node, keys: tuple[str | int, ...], path: Path, places: dict[tuple[str | int, ...], Location]
) -> object:
    places.setdefault(keys, _place(node.start_mark, path))
    if len(keys) > MAX_DEPTH:
        raise SpecError(f"nested more than {MAX_DEPTH} deep", where=_place(node.start_mark, path))
    if isinstance(node, yaml.MappingNode):
        return _construct_mapping(node, keys, path, places)
    if isinstance(node, yaml.SequenceNode):
        return [_construct(item, (*keys, i), path, places) for i, item in enumerate(node.value)]
    assert isinstance(node, yaml.ScalarNode)
    return _scalar(node, path)


def _construct_mapping(
    node: yaml.MappingNode,
    keys: tuple[str | int, ...],
    path: Path,
    places: dict[tuple[str | int, ...], Location],
) -> dict[str, object]:
    data: dict[str, object] = {}
    for key_node, value_node in node.value:
        place = _place(key_node.start_mark, path)
        if not isinstance(key_node, yaml.ScalarNode):
            raise SpecError("a key must be text", where=place)
        key = str(key_node.value)
        if key in data:
            first = places[(*keys, key)]
            raise SpecError(f"the key {key!r} occurs twice, first on line {first.line}", where=place)
        places[(*keys, key)] = place
        data[key] = _construct(value_node, (*keys, key), path, places)
    return data


def _scalar(node: yaml.ScalarNode, path: Path) -> object:
    """YAML 1.2 core schema, but only plain (unquoted) scalars become anything other than text."""
    text = str(node.value)
    if node.style in ("'", '"', "|", ">"):
        return text
    lowered = text.lower()
    if lowered in _WORDS:
        return _WORDS[lowered]
    whole = _INT.match(text)
    if not whole and not _FLOAT.match(text):
        return text
    if len(text) > _LONGEST or not math.isfinite(float(text)) or (whole and abs(int(text)) > _LARGEST):
        raise SpecError(
            f"the number {text[:40]}{'...' if len(text) > 40 else ''} is too large",
            where=_place(node.start_mark, path),
            hint="quote it if it is text",
        )
    # "007" is an id, not seven, and "1.10" no 1.1: a label table must not lose its zeros
    number = int(text) if whole else float(text)
    return number if str(number) == text else text
