"""`vflan new`: a small spec that is valid at once, with comments on what to fill in."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from vision_flan.errors import Location, MachineError, SpecError
from vision_flan.readers.registry import make_reader
from vision_flan.records.tables import table_spec
from vision_flan.review.validate import SCHEMA_COMMENT, SCHEMA_COMMENT_ELSEWHERE
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.model import DatasetSpec, TaskSpec

_SLUG = re.compile(r"[a-z0-9][a-z0-9_]{0,63}")

#: What the files that `vflan new` writes say until a person replaces it; `vflan check` finds what is left.
TASK_TITLE = "What the image shows"
LICENSE_NOTE = "Say what the license says of the images, and where."
HOW_TO_GET = "Say what a person does to get the files."

_DATASET = """\
# docs/spec.md explains every key; your editor completes them.
dataset: {dataset}
title: {dataset}  # as its authors write it
homepage: https://example.org/{dataset}
license:
  images:
    name: None stated  # as upstream names it
    spdx: null  # from https://spdx.org/licenses/, null where there is none
    verdict: unclear  # "yes", per_image, unclear or "no": decides what `vflan publish` sends
    # "yes" wants evidence: [{{url: where you read it, quote: a sentence of it, seen: YYYY-MM-DD}}]
  annotations:
    name: None stated
    spdx: null
    verdict: unclear
  note: Say what the license says of the images, and where.
citation: |
  @misc{{{dataset},
    title = {{{dataset}}},
    author = {{The authors}},
    year = {{2024}},
  }}
access: direct  # direct, manual, registration, gated or offline; all but direct want `how_to_get`
files:  # as upstream ships them; archives are read in place
  - path: {dataset}.zip
    url: https://example.org/{dataset}.zip
    # bytes and md5 let `vflan fetch` check the file
    provides: [images/]
labels:
  classes: {{cat: cat, dog: dog}}  # raw value: name that a model is shown
tables:
  # every part in braces is a column; readers of other formats are listed in docs/spec.md
  images: {{reader: files, file: "images/{{class}}/{{name}}.jpg"}}
"""

_TASK_OF_NEW_DATASET = """\
id: {task}
title: What the image shows  # a few words for people
category: General Object  # one of the paper's 25
alias: null  # its name in the published release, if it has one
dataset: {dataset}
table: images  # or `sql:`, one SELECT over the tables
key: path  # unique for each record; a SQL expression
image: path
options: {{labels: classes}}
target: "{{{{ class | label('classes') }}}}"
form: options  # what the instruction promises
available: null  # how many instances it can make of upstream's files
confidence: low
"""

_INSTRUCTION_OF_NEW_DATASET = """\
Which option names what this image shows? Answer with the option's letter and text.
"""

_TASK_OF_KNOWN_DATASET = """\
id: {task}
title: What the image shows  # a few words for people
category: General Object  # one of the paper's 25
alias: null  # its name in the published release, if it has one
dataset: {dataset}
# tables of {dataset}:
{tables}
{note}table: {table}  # or `sql:`, one SELECT over the tables
key: {key}  # unique for each record; a SQL expression
image: {image}  # a field or a Jinja text that names the image in upstream's layout
target: {target}  # a field or a Jinja text
form: label  # what the instruction promises
available: null  # how many instances it can make of upstream's files
confidence: low
"""

_INSTRUCTION_OF_KNOWN_DATASET = """\
Name what this image shows. Answer with a single word or short phrase.
"""


def begin(catalog: Catalog, dataset: str, task: str) -> list[Path]:
    """Write a task's spec and instruction, and its dataset.yaml where there is none. Returns the files.

    Raises:
        SpecError: a name that is not a slug, or a task that exists already.
        MachineError: a file cannot be written.
    """
    check_names(catalog, dataset, task)
    folder = catalog.home.specs / dataset
    files = {}
    if dataset in catalog.dataset_files:
        text, instruction = _for_known(catalog, catalog.dataset(dataset), task), _INSTRUCTION_OF_KNOWN_DATASET
    else:
        head = schema_comment_for(catalog, "dataset")
        files[folder / "dataset.yaml"] = f"{head}\n{_DATASET.format(dataset=dataset)}"
        text = _TASK_OF_NEW_DATASET.format(dataset=dataset, task=task)
        instruction = _INSTRUCTION_OF_NEW_DATASET
    text = f"{schema_comment_for(catalog, 'task')}\n{text}"
    files |= {folder / f"{task}.yaml": text, catalog.instruction_file(task): instruction}
    write_new(files)
    return list(files)


def check_names(catalog: Catalog, dataset: str, task: str) -> None:
    """Whether a dataset and a task may be called so.

    Raises:
        SpecError: a name that is not a slug, or a task that exists already.
    """
    for name in (dataset, task):
        if not _SLUG.fullmatch(name) or len(name) < 3:
            hint = "lower-case letters, digits and underscores, at least three characters"
            raise SpecError(f"{name!r} cannot be the name of a dataset or a task", hint=hint)
    taken = catalog.task_files.get(task) or catalog.instruction_file(task)
    if taken.exists():
        raise SpecError(f"the task {task!r} exists already", where=Location(taken), hint="choose another id")


def schema_comment_for(catalog: Catalog, kind: str) -> str:
    """The first line of a spec, which names its schema: in the checkout, or on the web."""
    beside = catalog.home.specs.parent / "vision_flan" / "spec" / f"{kind}.schema.json"
    return (SCHEMA_COMMENT if beside.is_file() else SCHEMA_COMMENT_ELSEWHERE).format(kind=kind)


def write_new(files: Mapping[Path, str]) -> None:
    """Write files that do not exist yet.

    Raises:
        MachineError: one exists, or cannot be written.
    """
    try:
        for path, content in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(content)
    except OSError as error:
        raise MachineError(f"cannot write: {error.strerror}", where=Location(path)) from error


def _for_known(catalog: Catalog, dataset: DatasetSpec, task: str) -> str:
    """A task with the images of one that there is, else over the first table; a comment has all columns."""
    columns = {name: make_reader(table_spec(dataset, name)).schema().names for name in dataset.tables}
    like = _sibling(catalog, dataset)
    if like is not None and like.table is not None:
        table, key, image = like.table, like.key, like.image[0]
        note = f"# key and image are those of {like.id}\n"
    else:
        table, key, note = next(iter(columns)), "_file || '#' || _index", ""
        image = next((name for name in ("image", "path", "file_name") if name in columns[table]), "_file")
    new = [name for name in columns[table] if not name.startswith("_") and name not in (key, image)]
    return _TASK_OF_KNOWN_DATASET.format(
        task=task,
        dataset=dataset.dataset,
        tables="\n".join(f"#   {name}: {', '.join(fields)}" for name, fields in columns.items()),
        note=note,
        table=table,
        key=_scalar(key),
        image=_scalar(image),
        target=(new or ["_file"])[0],
    )


def _sibling(catalog: Catalog, dataset: DatasetSpec) -> TaskSpec | None:
    """A task of the dataset whose records are the rows of a table, with one image each; of no view."""
    for name, path in sorted(catalog.task_files.items()):
        if path.parent.name == dataset.dataset:
            try:
                task = catalog.task(name)
            except SpecError:
                continue
            if task.table in dataset.tables and len(task.image) == 1:
                return task
    return None


def _scalar(text: str) -> str:
    """A text as YAML on one line."""
    return text if text.isidentifier() else json.dumps(text, ensure_ascii=False)
