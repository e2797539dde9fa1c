"""The files of a proposed task as text: dataset.yaml, the task, the instruction."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from vision_flan.errors import SpecError
from vision_flan.propose.draft import Draft
from vision_flan.propose.look import Looked
from vision_flan.propose.source import Source
from vision_flan.propose.table import Table
from vision_flan.review.layout import WIDTH, fixed, flow
from vision_flan.review.scaffold import HOW_TO_GET, LICENSE_NOTE, TASK_TITLE
from vision_flan.spec.text import parse_yaml

#: Keys whose values a person has to find out, and what to write.
_COMMENTS = {
    "title: ": "as its authors write it",
    "homepage: ": "where the authors publish it",
    "    name: None stated": "as upstream names it",
    "    spdx: ": "from https://spdx.org/licenses/, null where there is none",
    "    verdict: ": '"yes", with `evidence`; per_image, unclear or "no": what `vflan publish` sends',
    "access: ": "direct, manual, registration, gated or offline",
}
#: Keys whose values stand on lines of their own, whatever their length.
_BLOCKS = frozenset(("license", "images", "files", "labels", "derive", "views"))
#: Readers that need a declared column.
_NEED_COLUMNS = frozenset(("delimited",))
_TASK_COMMENTS = {
    "title: ": "a few words for people",
    "category: ": "one of the paper's 25, or another outside the suite vision_flan",
    "available: ": "instances that the files make",
}


def dataset_text(dataset: str, looked: Looked, source: Source, made: Draft, head: str) -> str:
    """The text of dataset.yaml: what can be known from the files, and placeholders for the rest.

    Args:
        head: the first line, which names the schema.
    """
    data: dict[str, object] = {
        "dataset": dataset,
        "title": dataset,
        "homepage": f"https://example.org/{dataset}",
        "license": {
            "images": {"name": "None stated", "spdx": None, "verdict": "unclear"},
            "annotations": {"name": "None stated", "spdx": None, "verdict": "unclear"},
            "note": LICENSE_NOTE,
        },
        "citation": f"@misc{{{dataset},\n  title = {{{dataset}}},\n  author = {{The authors}},\n"
        "  year = {2024},\n}\n",
        "access": "manual",
        "how_to_get": HOW_TO_GET,
        "files": _files(looked),
    }
    lines = [head, *(line for key, value in data.items() for line in _entry(key, value))]
    if made.labels:
        lines += _entry("labels", made.labels)
    text = " ".join([*map(str, _leaves(made.task)), *made.views.values(), made.instruction])
    used = source.used or (source.table,)
    lines += ["tables:", *(line for table in used for line in _table_lines(table, text))]
    if made.views:
        lines += _entry("views", made.views)
    return _yaml(lines, "dataset", _COMMENTS)


def task_text(task: str, dataset: str, category: str, made: Draft, available: int | None, head: str) -> str:
    """The text of the task's YAML."""
    data: dict[str, object] = {
        "id": task,
        "title": TASK_TITLE,
        "category": category,
        "alias": None,
        "dataset": dataset,
        **made.task,
        "form": made.form,
        "available": available,
        "confidence": "high" if available else "low",
    }
    lines = [head, *(line for key, value in data.items() for line in _entry(key, value))]
    return _yaml(lines, "task", _TASK_COMMENTS)


def _files(looked: Looked) -> list[dict[str, object]]:
    """Archives with the folders of their members; files and folders on disk."""
    survey = looked.survey
    paths = (*survey.images, *survey.others)
    stats = {path: survey.raw.stat(path) for path in paths}
    listed: list[dict[str, object]] = []
    for archive in survey.archives:
        inside = [path for path, found in stats.items() if found.archive == archive]
        size = (survey.raw.root / archive).stat().st_size
        listed.append({"path": archive, "bytes": size, "provides": _tops(inside)})
    loose = [path for path, found in stats.items() if found.archive is None]
    for top in _tops(loose):
        if top.endswith("/"):
            listed.append({"path": f"{_seen(top)}*", "provides": [top]})
        else:
            listed.append({"path": _seen(top), "bytes": stats[top].bytes})
    return listed


def _seen(name: str) -> str:
    """A name of a file or folder with a star for each character that nobody sees, which specs refuse."""
    return "".join(char if char.isprintable() else "*" for char in name)


def _tops(paths: Sequence[str]) -> list[str]:
    """The folders and files at the top of paths; folders end in a slash."""
    return sorted({path.partition("/")[0] + ("/" if "/" in path else "") for path in paths})


def _table_lines(table: Table, text: str) -> list[str]:
    """A table with the columns that the task's text names; a comment says what else the files have."""
    read = {name: kind for name, kind in table.declared.items() if _is_named(name, text)}
    others = [f"{name} {kind}" for name, kind in table.declared.items() if name not in read]
    if not read and table.reader in _NEED_COLUMNS:
        read = dict(list(table.declared.items())[:1])
    entry = {key: value for key, value in table.as_yaml().items() if key != "columns"}
    if read:
        entry["columns"] = read
    said = "".join(char if char.isprintable() else " " for char in f"not read: {', '.join(others)}")
    notes = textwrap.wrap(said, WIDTH - 4) if others else []
    return [*(f"  # {note}" for note in notes), *_entry(table.name, entry, 2)]


def _is_named(name: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None


def _entry(key: str, value: object, indent: int = 0) -> list[str]:
    """A key with its value as lines of YAML: on one line where that fits and reads well."""
    space = " " * indent
    is_block = isinstance(value, str) and "\n" in value and value.replace("\n", "").isprintable()
    if is_block and isinstance(value, str):
        return [f"{space}{key}: |", *(f"{space}  {line}" for line in value.rstrip("\n").split("\n"))]
    line = f"{space}{flow(key)}: {_plain(value)}"
    if not isinstance(value, dict | list) or not value:
        return [line]
    spans_lines = any(isinstance(item, str) and "\n" in item for item in _leaves(value))
    if len(line) <= WIDTH and key not in _BLOCKS and not spans_lines:
        return [line]
    if isinstance(value, dict):
        return [
            f"{space}{flow(key)}:",
            *(one for k, v in value.items() for one in _entry(str(k), v, indent + 2)),
        ]
    return [f"{space}{key}:", *(f"{space}  - {flow(item)}" for item in value)]


def _plain(value: object) -> str:
    """A value behind its key: without quotes where YAML reads the same."""
    if isinstance(value, str) and value.isprintable():
        with suppress(SpecError):
            if parse_yaml(f"key: {value}", Path("value")).data == {"key": value}:
                return value
    return flow(value)


def _leaves(value: object) -> Iterator[object]:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in items:
        if isinstance(item, dict | list):
            yield from _leaves(item)
        else:
            yield item


def _yaml(lines: Sequence[str], kind: str, comments: Mapping[str, str]) -> str:
    """Lines with comments for a person, in the one layout of specs."""
    said = list(lines)
    for at, line in enumerate(said):
        for start, comment in comments.items():
            if line.startswith(start):
                said[at] = f"{line}  # {comment}"
    return fixed("\n".join(said) + "\n", kind, Path(f"{kind}.yaml"))
