"""`vflan new`, `list`, `show`, `validate`, `preview`: what works on specs, or on a few records."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vision_flan.cli.output import print_json, print_table, reporter
from vision_flan.errors import ExitCode, VflanError

if TYPE_CHECKING:
    from vision_flan.spec.catalog import Catalog

#: Records of the miniature from which `show` takes its example.
_EXAMPLE_RECORDS = 12


@click.command(
    "list",
    epilog="""\b
Examples:
  vflan list --suite vision_flan --category OCR
  vflan list --present ~/raw
  vflan list --license CC-BY-4.0 --json""",
)
@click.option("--category", help="One of the 25 categories.")
@click.option("--dataset", help="Slug of a dataset.")
@click.option("--suite", help="Tasks of a suite.")
@click.option("--license", "license", help="SPDX id, or a piece of the license's name.")
@click.option(
    "--present",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="RAW",
    help="Tasks whose annotation files are in this raw folder.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def list_tasks(
    category: str | None,
    dataset: str | None,
    suite: str | None,
    license: str | None,
    present: Path | None,
    as_json: bool,
) -> None:
    """List tasks and what is known of them.

    Category, dataset, license, instances it can make of upstream's files, suites.
    """
    from vision_flan.build.open_task import raw_files_present
    from vision_flan.spec.catalog import Catalog

    catalog = Catalog.default()
    rows = [_facts(task, catalog) for task in catalog.task_files]
    chosen = [
        row
        for row in rows
        if (category is None or row["category"].casefold() == category.casefold())
        and (dataset is None or row["dataset"] == dataset)
        and (suite is None or suite in row["suites"])
        and (license is None or license.casefold() in f"{row['license']} {row['spdx']}".casefold())
        and (present is None or raw_files_present(row["task"], present, catalog))
    ]
    if as_json:
        print_json(chosen)
        return
    columns = ("task", "category", "dataset", "license", "available", "suites")
    print_table(f"{len(chosen)} tasks", columns, [[_cell(row[name]) for name in columns] for row in chosen])
    if not chosen and rows:
        click.echo(f"no task of {len(rows)} is like that; `vflan list` shows all", err=True)


def _facts(name: str, catalog: Any) -> dict[str, Any]:
    task = catalog.task(name)
    dataset = catalog.dataset_of(task)
    return {
        "task": task.id,
        "title": task.title,
        "category": task.category,
        "dataset": task.dataset,
        "suites": list(task.suites),
        "alias": task.alias,
        "form": task.form,
        "license": dataset.license.name,
        "spdx": dataset.license.spdx,
        "redistribute_images": dataset.license.redistribute_images,
        "access": dataset.access,
        "available": task.available,
        "confidence": task.confidence,
        "limit": task.limit,
    }


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


@click.command(
    epilog="""\b
Examples:
  vflan show ocr_textocr
  vflan show "AID+aerial_scene_classification" --raw ~/raw --json"""
)
@click.argument("task")
@click.option(
    "--raw",
    type=click.Path(path_type=Path, file_okay=False),
    help="Take the example from raw files, and count. Default: from a miniature.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of selection, options and negatives.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def show(task: str, raw: Path | None, seed: int, as_json: bool) -> None:
    """Show one task in full, with an example.

    Source, license, instruction, availability, and an instance rendered now.
    """
    from vision_flan.instances.rendering import read_template
    from vision_flan.spec.catalog import Catalog

    catalog = Catalog.default()
    name = catalog.resolve(task)
    spec = catalog.task(name)
    dataset = catalog.dataset_of(spec)
    facts = _facts(name, catalog) | {
        "spec": str(spec.document.path),
        "source": {
            "title": dataset.title,
            "homepage": dataset.homepage,
            "citation": dataset.citation.strip(),
        },
        "license_note": " ".join(dataset.license.note.split()),
        "how_to_get": " ".join(dataset.how_to_get.split()),
        "instruction": read_template(catalog.instruction_file(name)).strip(),
    }
    facts |= _example(name, raw, seed, catalog)
    if as_json:
        print_json(facts)
    else:
        _print_task(facts)


def _example(name: str, raw: Path | None, seed: int, catalog: Any) -> dict[str, Any]:
    """One rendered instance; from a miniature, its absence is said and no error."""
    from vision_flan.build.open_task import open_task
    from vision_flan.instances.maker import Text
    from vision_flan.miniatures import registry

    def first(root: Path) -> dict[str, Any]:
        with open_task(name, root, catalog, seed) as opened:
            texts = opened.texts(200, seed)
            made = next(((row["_key"], text) for row, text in texts if isinstance(text, Text)), None)
            example = (
                {"source_id": made[0], "prompt": made[1].prompt, "target": made[1].target} if made else None
            )
            return {"example": example, "records": opened.candidates.count if raw else None}

    if raw is not None:
        return first(raw) | {"example_from": str(raw)}
    try:
        with registry.temporary(catalog.task(name).dataset, _EXAMPLE_RECORDS, seed) as folder:
            return first(folder) | {"example_from": "miniature"}
    except VflanError as error:
        return {"example": None, "records": None, "example_from": f"none: {error.what}"}


def _print_task(facts: dict[str, Any]) -> None:
    source = facts["source"]
    lines = [
        f"{facts['task']}: {facts['title']}",
        f"  category     {facts['category']}",
        f"  suites       {_cell(facts['suites']) or 'none'}",
        f"  alias        {facts['alias'] or 'none'}",
        f"  source       {source['title']} ({facts['dataset']}), {source['homepage']}",
        f"  license      {facts['license']}; images may be passed on: {facts['redistribute_images']}",
        f"               {facts['license_note']}",
        f"  access       {facts['access']} {facts['how_to_get']}",
        f"  available    {_cell(facts['available']) or 'unknown'} (confidence: {facts['confidence']}), "
        f"quota {_cell(facts['limit']) or 'all'}",
        f"  records      {_cell(facts['records'])} counted" if facts["records"] is not None else "",
        f"  form         {facts['form']}",
        f"  spec         {facts['spec']}",
        "",
        "Instruction",
        _indented(facts["instruction"]),
        "",
        f"Example ({facts['example_from']})",
    ]
    example = facts["example"]
    if example:
        lines += [_indented(example["prompt"]), "", f"  -> {example['target']}"]
    click.echo("\n".join(line.rstrip() for i, line in enumerate(lines) if line.strip() or i > 11))


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


@click.command(
    epilog="""\b
Examples:
  vflan validate ocr_textocr
  vflan validate --all
  vflan validate --changed main --format github"""
)
@click.argument("tasks", nargs=-1, metavar="[TASK]...")
@click.option("--all", "everything", is_flag=True, help="Every spec, and how they go together.")
@click.option("--changed", metavar="REF", help="Tasks whose files differ from a git revision.")
@click.option(
    "--rendered/--not-rendered",
    default=None,
    help="Also render instances from miniatures and look at them. Default: with --all.",
)
@click.option(
    "--format",
    "shape",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    show_default=True,
    help="github: annotations that a pull request shows beside the line.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def validate(
    tasks: tuple[str, ...],
    everything: bool,
    changed: str | None,
    rendered: bool | None,
    shape: str,
    as_json: bool,
) -> None:
    """Check specs and show all findings at once.

    Schema, SQL, templates, labels, licenses, and how specs go together; `docs/spec.md` explains each rule.
    Exit code 1 means errors; warnings alone leave 0.
    """
    from vision_flan.review.changed import changed_tasks, relative_to
    from vision_flan.review.validate import validate as check
    from vision_flan.spec.catalog import Catalog
    from vision_flan.spec.findings import as_annotations, as_text

    if sum((bool(tasks), everything, changed is not None)) != 1:
        raise click.UsageError("give tasks, or --all, or --changed REF")
    shape = "json" if as_json else shape
    catalog = Catalog.default()
    chosen = changed_tasks(catalog, changed) if changed is not None else list(tasks)
    with reporter(quiet=shape == "json") as report:
        checked = check(
            catalog,
            None if everything else chosen,
            rendered=everything if rendered is None else rendered,
            report=report,
        )
    findings = relative_to(checked.findings, Path.cwd())
    counts = {
        "tasks": len(checked.tasks),
        "datasets": len(checked.datasets),
        "errors": checked.errors,
        "warnings": checked.warnings,
    }
    median = checked.median_words if everything else None
    if shape == "json":
        about = {"median_instruction_words": median} if everything else {}
        print_json({**counts, **about, "findings": [asdict(found) for found in findings]})
    elif shape == "github":
        click.echo(as_annotations(findings))
    else:
        lines = [as_text(findings), ", ".join(f"{name}: {count}" for name, count in counts.items())]
        if median is not None:
            lines.append(f"median instruction: {median:g} words")
        click.echo("\n".join(line for line in lines if line))
    if checked.errors:
        raise SystemExit(ExitCode.FAILED)


@click.command(
    epilog="""\b
Examples:
  vflan preview ocr_textocr
  vflan preview ocr_textocr --raw ~/raw --n 30 --out textocr.html"""
)
@click.argument("task")
@click.option(
    "--raw",
    type=click.Path(path_type=Path, file_okay=False),
    help="Take the records from raw files. Default: from a miniature made now.",
)
@click.option("--n", type=click.IntRange(1, 200), default=12, show_default=True, help="Instances shown.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default="preview.html",
    show_default=True,
    help="The page; one file, opens without a network.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of selection, options and negatives.")
def preview(task: str, raw: Path | None, n: int, out: Path, seed: int) -> None:
    """Write a page that shows a task's instances.

    Images, prompts, targets, and what is dropped: one HTML file, made to be read by a reviewer.
    """
    from vision_flan.build.open_task import open_task
    from vision_flan.dataset.manifest import write_atomically
    from vision_flan.errors import Location, MachineError
    from vision_flan.review.preview import collect, render
    from vision_flan.spec.catalog import Catalog

    catalog = Catalog.default()
    name = catalog.resolve(task)
    with (
        _raw_folder(raw, catalog.task(name).dataset, n, seed) as folder,
        open_task(name, folder, catalog, seed) as opened,
    ):
        found = collect(opened, n, seed)
        page = render(opened, found, str(raw) if raw else "a miniature", seed)
    try:
        write_atomically(out, page)
    except OSError as error:
        raise MachineError(
            f"cannot write: {error.strerror}", where=Location(out), hint="choose another --out"
        ) from error
    dropped = sum(len(keys) for keys in found.dropped.values())
    click.echo(f"{out}: {len(found.instances)} instances, {dropped} of {found.looked_at} records dropped")


@contextmanager
def _raw_folder(raw: Path | None, dataset: str, n: int, seed: int) -> Iterator[Path]:
    from vision_flan.miniatures import registry

    if raw is not None:
        yield raw
        return
    with registry.temporary(dataset, 2 * n, seed) as folder:
        yield folder


@click.command(
    epilog="""\b
Example:
  vflan new pets animal_pets && vflan validate animal_pets"""
)
@click.argument("dataset")
@click.argument("task")
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder with task_specs/ and instructions/. Default: this checkout.",
)
def new(dataset: str, task: str, root: Path | None) -> None:
    """Begin a task: its spec and instruction.

    DATASET gets a dataset.yaml where it has none. What it writes passes `vflan validate`; comments
    say what to fill in. Nothing is overwritten.
    """
    from vision_flan.review.scaffold import begin

    catalog = _catalog(root)
    for path in begin(catalog, dataset, task):
        click.echo(f"wrote {path}")
    click.echo(f"next: fill in what the comments ask for; then vflan validate {task}")
    click.echo(f"      vflan preview {task} --raw DIR shows what it makes of the data")


def _catalog(root: Path | None) -> Catalog:
    from vision_flan.errors import SpecError
    from vision_flan.spec.catalog import Catalog

    if root is not None:
        return Catalog(root / "task_specs", root / "instructions")
    catalog = Catalog.default()
    if "site-packages" in catalog.specs.parts:
        raise SpecError(
            "the specs of an installed package are not for editing",
            hint="git clone the repository and pip install -e . in it, or give --root DIR",
        )
    return catalog
