"""Makes docs. `python -m tests.docs.generate [api] [cli] [examples] [licenses] [spec] [tasks]`.
`python -m tests.docs.generate TASK...`, or `make docs TASKS=...`, writes the lines of these tasks in tasks.md
and leaves the others as they are.

docs/api.md is made of docstrings, docs/cli.md of the help of every command; docs/examples.md and blocks of
docs/spec.md have shipped specs, docs/licenses.md every verdict; docs/tasks.md has an instance of every task,
from its miniature. Tests compare them with what the code does now.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import click

from tests.docs.api_document import api_document
from tests.docs.spec_examples import examples_document, with_shipped_specs
from vision_flan.cli.main import COMMANDS, vflan
from vision_flan.review.licenses import licenses_table
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.model import CATEGORIES, TaskSpec
from vision_flan.spec.names import find_dataset

DOCS = Path(__file__).parent.parent.parent / "docs"
HELP_WIDTH = 100

_CLI_HEAD = """\
# Commands

Made by `make docs` from the commands themselves.
"""
_TASKS_HEAD = """\
# Tasks

Made by `make docs`: an instance of every task as its miniature renders it, with the image left out. A line
break in a prompt shows as a break here.
"""


def cli_document() -> str:
    """The help of the group and of every command."""
    parts = [_CLI_HEAD, _help(vflan, "vflan")]
    context = click.Context(vflan, info_name="vflan")
    for name in COMMANDS:
        command = vflan.get_command(context, name)
        assert command is not None
        parts.append(_help(command, f"vflan {name}"))
        if isinstance(command, click.Group):
            parts += [_help(sub, f"vflan {name} {key}") for key, sub in sorted(command.commands.items())]
    return "\n".join(parts)


def _help(command: click.Command, name: str) -> str:
    group = click.Context(vflan, info_name="vflan", help_option_names=["-h", "--help"])
    width = {"max_content_width": HELP_WIDTH, "terminal_width": HELP_WIDTH}
    context = click.Context(command, info_name=name.removeprefix("vflan "), parent=group, **width)
    if command is vflan:
        context = click.Context(vflan, info_name=name, help_option_names=["-h", "--help"], **width)
    lines = (line.rstrip() for line in command.get_help(context).splitlines())
    return f"## {name}\n\n```text\n" + "\n".join(lines) + "\n```\n"


def example_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The instance that stands for a task: the first by id, so that a new record changes little."""
    return min(rows, key=lambda row: str(row["id"]))


def task_line(spec: TaskSpec, row: Mapping[str, Any]) -> str:
    """A task's line in docs/tasks.md."""
    return f"| `{spec.id}` | {spec.form} | {_cell(row['prompt'])} | {_cell(row['target'])} |"


def _cell(text: str) -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
    return escaped.replace("\n", "<br>")


def tasks_document(lines: Mapping[str, str], catalog: Catalog) -> str:
    """All lines by category."""
    parts = [_TASKS_HEAD]
    others = sorted({catalog.task(task).category for task in catalog.task_files} - set(CATEGORIES))
    for category in (*CATEGORIES, *others):
        tasks = [task for task in catalog.task_files if catalog.task(task).category == category]
        if tasks:
            parts.append(f"## {category}\n\n| task | form | prompt | target |\n|---|---|---|---|")
            parts[-1] += "".join(f"\n{lines[task]}" for task in tasks) + "\n"
    return "\n".join(parts)


def lines_of(dataset: str) -> dict[str, str]:
    """Compile a dataset's miniature and render a line a task."""
    from tests.tasks.test_every_task import RECORDS, read_rows, tasks_of
    from vision_flan.build.compile import Options, compile_task
    from vision_flan.miniatures import registry
    from vision_flan.report import Silent

    catalog = Catalog.default()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        raw, out = Path(folder) / "raw", Path(folder) / "vision-flan"
        registry.make(dataset, raw, RECORDS, seed=1)
        for task in tasks_of(dataset):
            compile_task(task, raw, out, catalog, Options(limit=None), Silent())
            found[task] = task_line(catalog.task(task), example_of(read_rows(out, task)))
    return found


def with_licenses_table(text: str, catalog: Catalog) -> str:
    """docs/licenses.md with the table of all datasets as their specs are now."""
    head, begin, rest = text.partition("<!-- begin table: `make docs` writes it -->\n")
    _, end, tail = rest.partition("<!-- end table -->\n")
    assert begin and end, "docs/licenses.md has lost the comments around its table"
    return f"{head}{begin}{licenses_table(catalog)}{end}{tail}"


def _all_lines(catalog: Catalog) -> Iterator[dict[str, str]]:
    with ProcessPoolExecutor(2) as pool:
        yield from pool.map(lines_of, sorted(catalog.dataset_files))


def _tasks_of_all(catalog: Catalog) -> str:
    lines = {task: line for part in _all_lines(catalog) for task, line in part.items()}
    return tasks_document(lines, catalog)


def _tasks_of_some(catalog: Catalog, names: list[str]) -> str:
    """All lines, those of the tasks of some datasets made again; the others are those that are there."""
    shown = (DOCS / "tasks.md").read_text("utf-8").splitlines()
    lines = {found[1]: line for line in shown if (found := re.match(r"\| `(\w+)` \| ", line))}
    for dataset in sorted({find_dataset(catalog, name) for name in names}):
        lines |= lines_of(dataset)
    return tasks_document(lines, catalog)


def main(what: list[str]) -> None:
    """Write the documents named, or all."""
    catalog = Catalog.default()
    documents: dict[str, Callable[[], str]] = {
        "api": api_document,
        "cli": cli_document,
        "licenses": lambda: with_licenses_table((DOCS / "licenses.md").read_text("utf-8"), catalog),
        "examples": lambda: examples_document(catalog),
        "spec": lambda: with_shipped_specs((DOCS / "spec.md").read_text("utf-8"), catalog),
        "tasks": lambda: _tasks_of_all(catalog),
    }
    tasks = [name for name in what if name not in documents]
    if tasks:
        documents["tasks"] = lambda: _tasks_of_some(catalog, tasks)
        what = ["tasks", *(name for name in what if name not in ("tasks", *tasks))]
    for name in what or documents:
        (DOCS / f"{name}.md").write_text(documents[name](), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
