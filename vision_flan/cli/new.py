"""`vflan new`: start a task, from raw files or from nothing."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vision_flan.cli.options import json_option, raw_options
from vision_flan.cli.output import echo, is_terminal, one_line, print_json, reporter
from vision_flan.errors import to_type
from vision_flan.report import counted

if TYPE_CHECKING:
    from vision_flan.miniatures.cut import CutResult
    from vision_flan.propose.begin import Begun, Proposal
    from vision_flan.raw.roots import RawRoots
    from vision_flan.spec.catalog import Catalog

_FORMS = ("options", "label", "yes_no", "number", "list", "sentence", "phrase", "free_text")


@dataclass(frozen=True)
class _Wishes:
    """What the command line says about a task of raw files."""

    form: str
    category: str
    chosen: Mapping[str, str]
    miniature: int
    scrub: bool
    ask: bool
    as_json: bool
    dry_run: bool


def _role(name: str, what: str) -> click.Option:
    return click.Option([f"--{name}"], metavar=name.upper(), help=f"With --raw: {what} Default: looked for.")


@click.command(
    short_help="Start a task, from raw files or from nothing.",
    epilog="""\b
Examples:
  vflan new pets animal_pets && vflan validate animal_pets
  vflan new snails animal_snails --raw ~/raw --yes
  vflan new harbor count_harbor --raw ~/raw --form number --category "General Object"
  vflan new harbor count_harbor --raw ~/raw --dry-run --json""",
)
@click.argument("dataset")
@click.argument("task")
@raw_options(
    help="Folder that holds DATASET/ as upstream ships it, or a folder of that name: look at its files, and "
    "propose the task.",
    for_new=True,
)
@click.option("--form", type=click.Choice(_FORMS), help="With --raw: what the answer is. Default: what fits.")
@click.option("--category", default="General Object", show_default=True, help="With --raw: the category.")
@click.option("--n", type=click.IntRange(0, 100), default=8, show_default=True,
              help="With --raw: records of the miniature at least; 0 for no miniature.")  # fmt: skip
@click.option("--scrub", is_flag=True, help="With --raw: replace free text and names in the miniature.")
@click.option("--yes", is_flag=True, help="With --raw: take what is proposed, without questions.")
@click.option("--dry-run", is_flag=True, help="With --raw: show what is proposed; write nothing.")
@json_option
def new(
    dataset: str, task: str, raw: RawRoots | None, form: str | None, category: str, n: int, scrub: bool, yes:
    bool, dry_run: bool, as_json: bool, **roles: str | None,
) -> None:  # fmt: skip
    """Start a task: its spec and instruction, and with --raw a miniature.

    With --raw, the files of DATASET are looked at: class folders, CSV,
    text lists, JSON, XML, MATLAB, Parquet, pickle, npz, LMDB, idx, also in archives. What is written passes
    `vflan validate` as it stands; comments say what to fill in. Without, a spec of class folders is written,
    or a task of the tables that DATASET has. Nothing is overwritten.
    """
    from vision_flan.review.scaffold import begin

    catalog = _writable()
    if raw is None:
        if dry_run:
            raise click.UsageError("--dry-run needs --raw: without it nothing is looked at")
        files = begin(catalog, dataset, task)
        if as_json:
            print_json({"dataset": dataset, "task": task, "files": list(map(str, files))})
            return
        for path in files:
            echo(f"wrote {path}")
        echo(f"next: fill in what the comments ask for; then vflan validate {task}")
        echo(f"      vflan preview {task} --raw DIR shows instances made from the data")
        return
    ask = not (yes or as_json or dry_run)
    if ask and not is_terminal(sys.stdin):
        raise click.UsageError("no terminal to ask on; pass --yes to take what is proposed")
    chosen = {role: value for role, value in roles.items() if value}
    wishes = _Wishes(form or "", category, chosen, n, scrub, ask, as_json, dry_run)
    if dry_run:
        _show_only(catalog, dataset, task, raw, wishes)
    else:
        _new_from_raw(catalog, dataset, task, raw, wishes)


new.params += [
    _role("table", "the table whose rows become records."),
    _role("image", "the image: a column, or a Jinja text such as 'photos/{{ id }}.jpg'."),
    _role("label", "the column of the answer, if it is one of few values."),
    _role("question", "the column of the question."),
    _role("answer", "the column of the answer to it."),
    _role("caption", "the column of a sentence about the image."),
    _role("key", "upstream's key of a record, a SQL expression."),
]


def _writable() -> Catalog:
    from vision_flan.errors import SpecError
    from vision_flan.spec.catalog import Catalog

    catalog = Catalog.default()
    if "site-packages" in catalog.home.specs.parts:
        raise SpecError(
            "the specs of an installed package cannot be edited",
            hint="give --root DIR for tasks of your own, or pip install -e . in a clone of the repository",
        )
    return catalog


def _show_only(catalog: Catalog, dataset: str, task: str, raw: RawRoots, wishes: _Wishes) -> None:
    """Make everything in a folder that is removed, and show it."""
    from vision_flan.propose.begin import proposed, write
    from vision_flan.propose.facts import facts_of
    from vision_flan.spec.catalog import Catalog
    from vision_flan.spec.roots import Root

    with (
        tempfile.TemporaryDirectory(prefix="vflan-") as work,
        proposed(catalog, dataset, raw, wishes.form, wishes.chosen) as proposal,
    ):
        aside = Catalog.of([*catalog.roots, Root.of(Path(work))])
        begun = write(aside, task, wishes.category, proposal)
        if wishes.as_json:
            print_json({"dataset": dataset, "task": task, **facts_of(proposal, begun), "files": []})
            return
        _show(proposal, begun)
        for path in begun.files:
            echo(f"\nwould write {path.relative_to(work)}:\n\n{path.read_text('utf-8')}")


def _new_from_raw(catalog: Catalog, dataset: str, task: str, raw: RawRoots, wishes: _Wishes) -> None:
    from vision_flan.propose.begin import places_of, proposed, write
    from vision_flan.propose.facts import facts_of

    with proposed(catalog, dataset, raw, wishes.form, wishes.chosen) as proposal:
        category = wishes.category
        if not wishes.as_json:
            _show_proposal(proposal)
        if wishes.ask:
            proposal, category = _asked(proposal, wishes)
        begun = write(catalog, task, category, proposal)
        facts = facts_of(proposal, begun)
        if not wishes.as_json:
            _show_records(begun)
            _show_unmatched(proposal)
        places = places_of(dataset, proposal.folder)
    made = _miniature(catalog, dataset, places, raw, wishes) if wishes.miniature else None
    if wishes.as_json:
        files = {"files": list(map(str, begun.files)), "miniature": str(made.folder) if made else None}
        print_json({"dataset": dataset, "task": task, **facts, **files})
        return
    for path in begun.files:
        echo(f"wrote {path}")
    if made:
        what = f"{counted(len(made.expected), 'record')}, {made.bytes:,} bytes"
        echo(f"wrote {made.folder}: {what}; read its expected.jsonl once")
    echo(f"next: fill in what the comments ask for; then vflan validate --rendered {task}")
    echo(f"      {to_type('vflan', 'preview', task, '--raw', raw)}")


def _miniature(catalog: Catalog, dataset: str, places: RawRoots, raw: RawRoots, wishes: _Wishes) -> CutResult:
    """Cut the miniature; what is written so far stays where that fails."""
    from vision_flan.errors import VflanError
    from vision_flan.miniatures.cut import cut
    from vision_flan.spec.catalog import Catalog

    try:
        with reporter(quiet=True) as report:
            known = Catalog.of(catalog.roots)
            return cut(known, dataset, places, wishes.miniature, scrub=wishes.scrub, report=report)
    except VflanError as error:
        cutting = to_type("vflan", "miniature", "cut", dataset, "--raw", raw)
        after = f"the spec is written: fix it there, then {cutting}"
        error.hint = f"{error.hint}; {after}" if error.hint else after
        raise


def _asked(proposal: Proposal, wishes: _Wishes) -> tuple[Proposal, str]:
    """The proposal and the category as a person on a terminal wants them."""
    from vision_flan.propose.draft import draft, forms_of
    from vision_flan.spec.model import CATEGORIES
    from vision_flan.spec.nearest import did_you_mean

    form = click.prompt("form", type=click.Choice(forms_of(proposal.source)), default=proposal.draft.form)
    if form != proposal.draft.form:
        proposal = replace(proposal, draft=draft(proposal.source, form))
    category = click.prompt("category", default=wishes.category)
    near = did_you_mean(category, CATEGORIES, "")
    if category not in CATEGORIES and near:
        echo(f"{category!r} is not one of the paper's 25: {near}")
        category = click.prompt("category", default=category)
    click.confirm("write these files", default=True, abort=True)
    return proposal, category


def _show(proposal: Proposal, begun: Begun) -> None:
    _show_proposal(proposal)
    _show_records(begun)
    _show_unmatched(proposal)


def _show_proposal(proposal: Proposal) -> None:
    from vision_flan.propose.draft import forms_of
    from vision_flan.propose.facts import roles_of_source

    source = proposal.source
    for table in source.used or (source.table,):
        echo(
            f"table {table.name}: {len(table.paths):,} file(s) {table.file}, reader {table.reader}, "
            f"{table.count:,} rows"
        )
        for name, kind in table.declared.items():
            echo(f"    {one_line(name)}: {kind}")
    for name, value in roles_of_source(source).items():
        if value and name != "split":
            echo(f"{name}: {value}")
    if source.split:
        echo(f"split: {source.split} = {source.split_value}")
    others = [form for form in forms_of(source) if form != proposal.draft.form]
    echo(f"form: {proposal.draft.form}" + (f" (--form: {', '.join(others)})" if others else ""))
    for note in proposal.draft.notes:
        echo(f"note: {note}")


def _show_records(begun: Begun) -> None:
    from vision_flan.instances.maker import Dropped

    echo(f"{begun.available:,} records; the first {len(begun.shown)}:")
    for key, text in begun.shown:
        if isinstance(text, Dropped):
            echo(f"  {one_line(key)}: dropped, {text.reason}")
            continue
        said = " ".join(text.input.split()) or " / ".join(text.options) or " ".join(text.instruction.split())
        echo(f"  {one_line(key)}: {one_line(said[:120])} -> {one_line(text.target[:80])}")


def _show_unmatched(proposal: Proposal) -> None:
    """The files that match no table, by reason."""
    by_reason: dict[str, list[str]] = {}
    for path, why in proposal.unmatched.items():
        by_reason.setdefault(why, []).append(path)
    for why, paths in by_reason.items():
        shown = ", ".join(paths[:3]) + (", ..." if len(paths) > 3 else "")
        echo(f"{len(paths):,} file(s) match no table: {one_line(shown)} ({one_line(why)})")
