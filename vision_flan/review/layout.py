"""The one layout that specs are written in, kept by `vflan validate --fix`.

Keys stand in the order of the schema. A table, view or mapping stands on one line where it fits, a clause of
SQL that spans lines begins a line, and no line is longer than 110 columns. A pass rewrites text and is taken
only if the document still holds the same data (SQL: the same parse tree), so a fix never changes a task.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from vision_flan.dataset.manifest import write_atomically
from vision_flan.errors import Location, SpecError
from vision_flan.records.parse import parse
from vision_flan.spec.files import read_bytes
from vision_flan.spec.findings import Finding, at
from vision_flan.spec.schema import schema
from vision_flan.spec.text import Document, parse_yaml

WIDTH = 110

_KEY = re.compile(r"([a-z_]+):")
_ENTRY = re.compile(r"  (\w+):")
_LONG_TEXT = re.compile(r"(?P<indent> *)(?P<dash>- )?(?P<key>[a-z_]+): (?P<text>[^\s\"'{\[|>#&*!%@`].*)")
_FLOW = re.compile(r"(?P<head> *(?:- )?(?:[\w]+: )?)(?P<flow>[{\[].*[}\]])(?P<comment> +#.*)?")
#: Clauses that begin a line in a SELECT that spans several, and those that do so where the line is too long.
_FIRST, _CLAUSES = frozenset({"FROM", "UNION"}), frozenset({"WHERE", "GROUP", "QUALIFY", "ORDER"})
_OPENING, _CLOSING = "([{", ")]}"
_SQL_TOKEN = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|--[^\n]*|\w+|\s+|.", re.DOTALL)
_COMMENT = re.compile(r"( *(?:#|--) )(?!yaml-language-server)(.*)")


def layout(document: Document, kind: str) -> Iterator[Finding]:
    """A warning: a spec has the one layout: keys in the order of the schema, a table on one line
    where it fits in 110 columns, FROM at the start of a line in SQL that spans lines. `vflan validate --fix`
    rewrites it so."""
    text = read_bytes(document.path).decode("utf-8")
    wanted = fixed(text, kind, document.path).splitlines()
    for number, line in enumerate(text.splitlines(), 1):
        if number > len(wanted) or wanted[number - 1] != line:
            place = Location(document.path, number)
            yield at(place, "layout", "is not written in the one layout", "vflan validate --fix", "warning")
            return


def rewrite(files: Iterable[tuple[Path, str]]) -> list[Path]:
    """Write specs in the one layout.

    Args:
        files: each with its kind, "task" or "dataset".

    Returns:
        Those that changed. A file that is not YAML is left alone; `vflan validate` says why.
    """
    changed = []
    for path, kind in files:
        try:
            text = read_bytes(path).decode("utf-8")
            wanted = fixed(text, kind, path)
        except (SpecError, UnicodeDecodeError):
            continue
        if wanted != text:
            write_atomically(path, wanted)
            changed.append(path)
    return changed


def fixed(text: str, kind: str, path: Path) -> str:
    """The text of a spec in the one layout; the same data.

    Args:
        kind: "task" or "dataset", whose schema has the order of keys.
        path: for errors only.

    Raises:
        SpecError: the text is not YAML as specs have it.
    """
    data = _comparable(parse_yaml(text, path).data)
    for rewrite in (_ends_of_lines, lambda t: _key_order(t, kind), _tables, _clauses, _wrapped):
        tried = rewrite(text)
        try:
            same = _comparable(parse_yaml(tried, path).data) == data
        except SpecError:
            same = False
        if same:
            text = tried
    return text


def _comparable(data: Any) -> Any:
    """The data of a spec with SQL as its parse tree, so that its layout does not count."""
    if not isinstance(data, dict):
        return data
    views = data.get("views")
    compared = dict(data)
    if isinstance(data.get("citation"), str):
        compared["citation"] = data["citation"].split()  # BibTeX takes any space for one
    if isinstance(data.get("sql"), str):
        compared["sql"] = _sql_tree(data["sql"])
    if isinstance(views, dict):
        compared["views"] = {name: _sql_tree(str(sql)) for name, sql in views.items()}
    return compared


def _sql_tree(sql: str) -> str:
    try:
        return re.sub(r'"query_location": ?\d+', "", json.dumps(parse(sql, Location("sql"))))
    except SpecError:
        return sql


def _ends_of_lines(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.rstrip().splitlines()) + "\n"


# --- order of keys


def _key_order(text: str, kind: str) -> str:
    head, blocks = _blocks(text.splitlines(keepends=True), _KEY)
    order = {key: i for i, key in enumerate(schema(kind)["properties"])}
    blocks.sort(key=lambda block: order.get(block[0], len(order)))
    return "".join([*head, *(line for _, lines in blocks for line in lines)])


def _blocks(lines: list[str], opening: re.Pattern[str]) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Lines before the first key, and for each key its lines; comments belong to the key below them."""
    head: list[str] = []
    blocks: list[tuple[str, list[str]]] = []
    for line in lines:
        found = opening.match(line)
        if not found:
            (blocks[-1][1] if blocks else head).append(line)
            continue
        above = blocks[-1][1] if blocks else head
        first = len(above)
        while first and above[first - 1].lstrip().startswith("#") and _belongs_below(above, first, line):
            first -= 1
        comments = above[first:]
        del above[first:]
        blocks.append((found[1], [*comments, line]))
    return head, blocks


def _belongs_below(above: list[str], first: int, line: str) -> bool:
    """A comment with the indent of the key below it; the file's first line stays where it is."""
    indent = len(line) - len(line.lstrip())
    comment = above[first - 1]
    return len(comment) - len(comment.lstrip()) == indent and "yaml-language-server" not in comment


# --- tables and mappings


def _tables(text: str) -> str:
    """Each table on one line where it fits, else one line an option."""
    head, blocks = _blocks(text.splitlines(keepends=True), _KEY)
    for key, lines in blocks:
        if key != "tables":
            continue
        opening = next(i for i, line in enumerate(lines) if line.startswith("tables:"))
        before, entries = _blocks(lines[opening + 1 :], _ENTRY)
        made = [line for _, entry in entries for line in _table(entry)]
        lines[opening + 1 :] = [*before, *made]
    return "".join([*head, *(line for _, lines in blocks for line in lines)])


def _table(lines: list[str]) -> list[str]:
    opening = next(i for i, line in enumerate(lines) if not line.lstrip().startswith("#"))
    comments, entry = lines[:opening], lines[opening:]
    if any("#" in line for line in entry):
        return lines  # a comment inside says something of one option
    ((name, options),) = parse_yaml(textwrap.dedent("".join(entry)), Path("table")).data.items()
    if not isinstance(options, dict):
        return lines
    line = f"  {name}: {flow(options)}"
    if len(line) <= WIDTH:
        return [*comments, line + "\n"]
    return [*comments, f"  {name}:\n", *(f"    {key}: {flow(value)}\n" for key, value in options.items())]


def flow(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    return _scalar(value)


@lru_cache(maxsize=10_000)
def _scalar(value: Any) -> str:
    """A scalar in a flow mapping: plain where that is read back as the same, else in double quotes."""
    if value is None or isinstance(value, bool | int | float):
        return json.dumps(value)
    try:
        plain = parse_yaml(f"[{value}, {{{value}: {value}}}]", Path("scalar")).data
    except SpecError:
        plain = None
    shows = isinstance(value, str) and value.isprintable()
    same = shows and plain == [value, {value: value}]
    return value if same else json.dumps(value, ensure_ascii=not shows)


# --- SQL


def _clauses(text: str) -> str:
    """In SQL that spans lines, each clause begins one."""
    lines = text.splitlines(keepends=True)
    made: list[str] = []
    indent = ""
    inside = False
    block: list[str] = []
    for line in [*lines, "end:\n"]:
        deep = len(line) - len(line.lstrip()) > len(indent) or not line.strip()
        if inside and deep:
            block.append(line)
            continue
        made += _broken(block)
        block = []
        opened = re.match(r"( *)(\w+): \|-?\n", line)
        inside = bool(opened) and (opened[2] == "sql" or opened[1] == "  ") if opened else False
        indent = opened[1] if opened else ""
        made.append(line)
    return "".join(made[:-1])


def _broken(block: list[str]) -> list[str]:
    """Lines of SQL with line breaks before clauses outside of parentheses."""
    if len(block) < 2 or not re.match(r"\s*(--|SELECT|WITH|FROM)", block[0]):
        return block
    indent = " " * (len(block[0]) - len(block[0].lstrip()))
    made: list[str] = []
    depth = line = 0
    for token in _SQL_TOKEN.finditer("".join(block)):
        word = token[0]
        depth += (word in _OPENING) - (word in _CLOSING) if len(word) == 1 else 0
        breaks = word in _FIRST or (word in _CLAUSES and len(block[line].rstrip()) > WIDTH)
        if breaks and depth == 0 and made and made[-1].isspace() and "\n" not in made[-1]:
            made[-1] = "\n" + indent
        made.append(word)
        line += word.count("\n")
    return "".join(made).splitlines(keepends=True)


# --- long lines


def _wrapped(text: str) -> str:
    lines = text.splitlines()
    made: list[str] = []
    while lines:
        line = lines.pop(0)
        if len(line) <= WIDTH:
            made.append(line)
        elif comment := _COMMENT.fullmatch(line):
            made += _filled_comment(comment, lines)
        else:
            rewritten = (rewrite(line) for rewrite in (_long_text, _long_flow, _long_field, _long_items))
            made += next(filter(None, rewritten), [line])
    return "\n".join(made) + "\n"


def _filled_comment(first: re.Match[str], rest: list[str]) -> list[str]:
    """A comment that is too long, filled again with the lines that go on with it, which leave `rest`."""
    words = first[2]
    while rest and (more := _COMMENT.fullmatch(rest[0])) and more[1] == first[1]:
        if more[2].startswith("quirk:"):
            break
        words += " " + more[2]
        rest.pop(0)
    return _fill(words, first[1], first[1])


def _long_text(line: str) -> list[str] | None:
    """A plain text of several words goes on below its key, deeper by two spaces."""
    found = _LONG_TEXT.fullmatch(line)
    if not found or found["text"].startswith("SELECT ") or " #" in found["text"] or ": " in found["text"]:
        return None
    head = found["indent"] + (found["dash"] or "")
    deeper = " " * (len(head) + 2)
    lines = _fill(found["text"], f"{head}{found['key']}: ", deeper)
    return None if any(part.lstrip().startswith(("#", "- ")) for part in lines[1:]) else lines


def _long_flow(line: str) -> list[str] | None:
    """A mapping or list goes on behind a comma, below its first item."""
    found = _FLOW.fullmatch(line)
    if not found or found["comment"]:
        return None
    head, flow = found["head"], found["flow"]
    return _fill(flow, head, " " * (len(head) + 1), split=", ")


def _long_field(line: str) -> list[str] | None:
    """A field of BibTeX goes on below its value."""
    found = re.match(r"( +\w+ *= [{\"])(.*)", line)
    return _fill(found[2], found[1], " " * len(found[1])) if found else None


def _long_items(line: str) -> list[str] | None:
    """Items of a mapping or list whose brackets stand on other lines."""
    found = re.fullmatch(r"( +)(\S.*, .*[,}\]])", line)
    return _fill(found[2], found[1], found[1], split=", ") if found else None


def _fill(text: str, first: str, rest: str, split: str = " ") -> list[str]:
    lines, parts = [], text.split(split)
    line = first + parts[0]
    for i, part in enumerate(parts[1:], 1):
        longest = len(line) + len(split) + len(part) + (len(split.rstrip()) if i < len(parts) - 1 else 0)
        if longest > WIDTH:
            lines.append(line + split.rstrip())
            line = rest + part
        else:
            line += split + part
    return [*lines, line]
