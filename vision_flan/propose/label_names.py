"""Names of labels that are numbers or ids, from a file beside the data: `classes.txt`, `data.yaml`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path

from vision_flan.errors import VflanError
from vision_flan.propose.json_files import encoding_of
from vision_flan.propose.look import Looked
from vision_flan.propose.source import Source
from vision_flan.propose.survey import Survey, suffix
from vision_flan.propose.table import Table
from vision_flan.review.task_rules import looks_raw
from vision_flan.spec.text import parse_yaml

#: Bytes of a document, and rows of a table, up to which names are looked for in it.
_MOST_BYTES, _MOST_ROWS = 1 << 20, 200_000
_DOCUMENTS = (".json", ".yaml", ".yml")
#: Keys of documents that list names, as in YOLO's data.yaml.
_NAME_KEYS = ("names", "classes", "labels", "categories", "label_names", "class_names")

#: Value of a label -> its name, and the file that says so.
_Named = tuple[Mapping[str, str], str]


def with_names(source: Source, looked: Looked) -> Source:
    """The source with names of its labels, where these are numbers or ids and a file has their names."""
    values = [str(value) for value in source.values]
    wanting = [value for value in values if value.lstrip("-").isdecimal() or looks_raw(value)]
    if not source.label or source.names or not values or len(wanting) < len(values):
        return source
    found = (*_in_tables(values, source, looked), *_in_documents(values, looked.survey))
    for names, file in sorted(found, key=lambda one: len(one[0])):  # the list that fits best
        if set(values) <= names.keys() and len({names[value] for value in values}) == len(values):
            return replace(source, names={value: names[value] for value in values}, named_by=file)
    return source


# --- tables


def _in_tables(values: Sequence[str], source: Source, looked: Looked) -> Iterator[_Named]:
    for table in looked.tables:
        if (
            table in source.used
            or table.reader == "files"
            or len(table.paths) > 1
            or table.count > _MOST_ROWS
        ):
            continue
        columns = [name for name, column in table.plain() if column.kind in ("VARCHAR", "BIGINT")]
        texts = [
            name for name in columns if table.columns[name].kind == "VARCHAR" and _are_names(table, name)
        ]
        if not texts:
            continue
        rows = _rows(table, looked)
        for text in texts:
            for key in columns:
                if key != text:
                    yield _by_key(rows, key, text), table.paths[0]
            is_list = len(columns) == 1 or text == "_value" or text.endswith("names")
            if is_list:
                from_1 = table.reader == "matlab" and "0" not in values
                yield _by_place(values, [str(row[text]) for row in rows], from_1=from_1), table.paths[0]


def _are_names(table: Table, name: str) -> bool:
    """Whether a column holds words rather than numbers and paths of images."""
    shown = [str(row.get(name) or "") for row in table.rows]
    return any(text and not text.lstrip("-").isdecimal() for text in shown) and not any(
        "/" in text for text in shown[:5]
    )


def _by_key(rows: Sequence[Mapping[str, object]], key: str, text: str) -> Mapping[str, str]:
    """Names by a column; those of a value with several names are left out."""
    names: dict[str, str] = {}
    several = set()
    for row in rows:
        if row[text] and names.setdefault(str(row[key]), str(row[text])) != str(row[text]):
            several.add(str(row[key]))
    return {value: name for value, name in names.items() if value not in several}


def _rows(table: Table, looked: Looked) -> list[dict[str, object]]:
    batches = table.reader_of().batches(looked.survey.raw)
    return list(islice((row for batch in batches for row in batch.to_pylist()), _MOST_ROWS))


def _by_place(values: Sequence[str], names: Sequence[str], *, from_1: bool = False) -> Mapping[str, str]:
    """Names by their place in a list: the first is of 0, or of 1 where the labels count from 1."""
    if not all(value.isdecimal() for value in values):
        return {}
    numbers = [int(value) for value in values]
    first = 1 if from_1 or (min(numbers) >= 1 and max(numbers) == len(names)) else 0
    return (
        {str(at): name for at, name in enumerate(names, first)} if max(numbers) < len(names) + first else {}
    )


# --- documents


def _in_documents(values: Sequence[str], survey: Survey) -> Iterator[_Named]:
    for path in survey.others:
        if suffix(path) in _DOCUMENTS and survey.raw.stat(path).bytes <= _MOST_BYTES:
            for names in _of_document(values, _document(survey, path)):
                yield names, path


def _document(survey: Survey, path: str) -> object:
    python = {"utf-8": "utf-8-sig", "latin-1": "iso8859-1"}.get(encoding_of(survey, path), "utf-8-sig")
    with suppress(VflanError, ValueError, RecursionError):
        text = survey.raw.read_bytes(path).decode(python)
        return json.loads(text) if suffix(path) == ".json" else parse_yaml(text, Path(path)).data
    return None


def _of_document(values: Sequence[str], document: object) -> Iterator[Mapping[str, str]]:
    if isinstance(document, list):
        if all(isinstance(item, str) for item in document):
            yield _by_place(values, document)
        return
    if not isinstance(document, dict):
        return
    plain = {str(key): item for key, item in document.items() if isinstance(item, str)}
    yield plain
    yield {str(item): str(key) for key, item in document.items() if isinstance(item, str | int)}
    yield {str(key): str(item[-1]) for key, item in document.items() if isinstance(item, list) and item}
    for key in _NAME_KEYS:
        yield from _of_document(values, document.get(key))
