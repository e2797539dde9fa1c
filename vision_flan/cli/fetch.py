"""`vflan fetch`: get a dataset's raw files, or read how to get them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from vision_flan.cli.options import SIZE, json_option, raw_option
from vision_flan.cli.output import echo, print_error, print_json, reporter
from vision_flan.errors import ExitCode, VflanError
from vision_flan.report import counted, human_bytes

if TYPE_CHECKING:
    from vision_flan.raw.fetch import Step
    from vision_flan.raw.link_check import LinkAnswer
    from vision_flan.raw.roots import RawRoots
    from vision_flan.raw.terms import Terms
    from vision_flan.raw.web import Manners
    from vision_flan.spec.catalog import Catalog
    from vision_flan.spec.model import DatasetSpec


@click.command(
    epilog="""\b
Examples:
  vflan fetch textocr --raw ~/raw --dry-run
  vflan fetch ocr_textocr --raw ~/raw
  vflan fetch textocr --raw ~/raw --file TextOCR_0.1_train.json --yes
  vflan fetch textocr --check-links
  vflan fetch textocr mscoco --raw ~/raw
  vflan fetch --suite vision_flan --raw ~/raw --max-size 50GB"""
)
@click.argument("datasets", nargs=-1, metavar="[DATASET|TASK]...")
@click.option("--suite", help="The datasets of a suite.")
@raw_option
@click.option("--file", "names", multiple=True, metavar="NAME", help="Only this file; * matches.")
@click.option(
    "--max-size",
    type=SIZE,
    metavar="SIZE",
    help="Most bytes of this run: datasets that fit together, the smallest first. As 50GB, 800MB.",
)
@click.option(
    "--allow-private-hosts",
    is_flag=True,
    envvar="VFLAN_ALLOW_PRIVATE_HOSTS",
    help="Also ask hosts of this machine and its network, which a spec's URLs may not name.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 32),
    default=4,
    show_default=True,
    help="Files of several datasets at a time.",
)
@click.option("--yes", is_flag=True, help="Do not ask before a download.")
@click.option("--dry-run", is_flag=True, help="Print what would happen; download nothing.")
@click.option(
    "--check-links",
    "links_only",
    is_flag=True,
    help="Print what each URL answers, of the dataset or of all datasets; download nothing.",
)
@json_option
def fetch(
    datasets: tuple[str, ...],
    suite: str | None,
    raw: RawRoots,
    names: tuple[str, ...],
    max_size: int | None,
    allow_private_hosts: bool,
    jobs: int,
    yes: bool,
    dry_run: bool,
    links_only: bool,
    as_json: bool,
) -> None:
    """Download the raw files of datasets.

    Downloads the files that a link gives, and lists those to get by hand. An existing file is never
    overwritten. After an interruption the same command resumes where it stopped. Of several datasets,
    existing files are compared by size only, and datasets that images are borrowed from are fetched too.
    """
    from vision_flan.raw.terms import Terms
    from vision_flan.spec.catalog import Catalog
    from vision_flan.spec.names import find_dataset

    catalog = Catalog.default()
    slugs = [find_dataset(catalog, name) for name in datasets]
    if suite is not None:
        slugs += [catalog.task(task).dataset for task in catalog.suite(suite)]
    slugs = list(dict.fromkeys(slugs))
    terms = Terms.of(private_hosts=allow_private_hosts)
    if links_only:
        asked = [catalog.dataset(slug) for slug in slugs or catalog.dataset_files]
        _check_links(asked, terms.manners, as_json=as_json)
        return
    if not slugs:
        raise click.UsageError("give a dataset, a task of it, or --suite; `vflan list` shows them")
    if len(slugs) == 1 and suite is None and max_size is None:
        _fetch_one(catalog.dataset(slugs[0]), raw, names, terms, yes=yes, dry_run=dry_run, as_json=as_json)
        return
    if names:
        raise click.UsageError("--file is for one dataset")
    _fetch_many(slugs, raw, catalog, max_size, terms, jobs, yes=yes, dry_run=dry_run, as_json=as_json)


def _fetch_one(
    spec: DatasetSpec, raw: RawRoots, names: tuple[str, ...], terms: Terms,
    *, yes: bool, dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    from vision_flan.raw.fetch import Action, check_space, plan

    steps = plan(spec, raw, names)
    if not as_json:
        _print_plan(spec, steps, raw)
    coming = [step for step in steps if step.action is Action.DOWNLOAD]
    check_space(coming)
    errors: dict[str, VflanError] = {}
    if coming and not dry_run:
        if not yes and not _confirmed(coming):
            raise SystemExit(ExitCode.MISSING_RAW)
        errors = _download(coming, terms, quiet=as_json)
    if as_json:
        print_json(_document(spec, steps, raw, errors, dry_run))
    _exit({step.action for step in steps}, errors, dry_run)


def _fetch_many(
    slugs: list[str], raw: RawRoots, catalog: Catalog, max_size: int | None, terms: Terms, jobs: int,
    *, yes: bool, dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    from vision_flan.cli.fetch_many import fetch_datasets
    from vision_flan.raw.downloads import plan_datasets

    plans = plan_datasets(slugs, raw, catalog)
    fetched = fetch_datasets(
        plans, most=max_size, terms=terms, jobs=jobs, yes=yes, dry_run=dry_run, quiet=as_json
    )
    if as_json:
        left_out = {one.dataset.dataset for one in fetched.left_out}
        documents = []
        for one in plans:
            errors = {
                s.file.path: fetched.errors[str(s.path)] for s in one.steps if str(s.path) in fetched.errors
            }
            nothing = dry_run or one.dataset.dataset in left_out
            document = _document(one.dataset, one.steps, raw, errors, nothing)
            documents.append({**document, "left_out": one.dataset.dataset in left_out})
        print_json({"datasets": documents})
    code = fetched.exit_code(dry_run=dry_run)
    if code:
        raise SystemExit(code)


def _exit(actions: set[str], errors: Mapping[str, VflanError], dry_run: bool) -> None:
    if errors:
        raise SystemExit(max(error.exit_code for error in errors.values()))
    if "different" in actions:
        raise SystemExit(ExitCode.BAD_RAW)
    if "by_hand" in actions and not dry_run:
        raise SystemExit(ExitCode.MISSING_RAW)


def _check_links(datasets: Iterable[DatasetSpec], manners: Manners, *, as_json: bool) -> None:
    from vision_flan.raw.link_check import check_links

    answers = []
    for answer in check_links(datasets, manners):
        answers.append(answer)
        if not as_json:
            _print_answer(answer)
    bad = sum(bool(answer.problem) for answer in answers)
    if as_json:
        print_json({"links": [asdict(answer) for answer in answers]})
    else:
        echo(f"{counted(len(answers), 'link')}, {bad} with a problem")
    if bad:
        raise SystemExit(ExitCode.MISSING_RAW)


def _print_answer(answer: LinkAnswer) -> None:
    length = "length unknown" if answer.length is None else f"{answer.length:,} bytes"
    said = f"{answer.status}, {answer.content_type or 'no type'}, {length} ({answer.method})"
    echo(f"{answer.dataset}/{answer.path}: {said if answer.status else 'no answer'}")
    echo(f"  {answer.url}")
    if answer.problem:
        echo(f"  problem: {answer.problem}")


def _confirmed(steps: Sequence[Step]) -> bool:
    from vision_flan.raw.fetch import amount

    try:
        return click.confirm(f"Download {amount(steps)}?", err=True)
    except click.Abort as error:
        raise click.UsageError("no terminal to confirm on; pass --yes, or --dry-run") from error


def _download(steps: Sequence[Step], terms: Terms, *, quiet: bool) -> dict[str, VflanError]:
    """Download everything possible; one failure does not stop the rest."""
    from vision_flan.raw.fetch import download

    errors: dict[str, VflanError] = {}
    for step in steps:
        try:
            with reporter(quiet=quiet) as report:
                download(step, report, terms)
        except VflanError as error:
            errors[step.file.path] = error
            print_error(error)
        else:
            checked = "checksum right" if step.file.md5 or step.file.sha256 else "no checksum is known"
            if not quiet:
                echo(f"{step.path}: {human_bytes(step.path.stat().st_size)}, {checked}")
    return errors


def _print_plan(dataset: DatasetSpec, steps: Sequence[Step], raw: RawRoots) -> None:
    from vision_flan.raw.fetch import Action, amount
    from vision_flan.raw.roots import fetch_command

    groups = {action: [step for step in steps if step.action is action] for action in Action}
    echo(f"{dataset.title}, {dataset.homepage}")
    echo(f"  license: {dataset.license.name}; into {raw.home(dataset.dataset)}")
    if dataset.withdrawn:
        echo(f"  {dataset.withdrawn.said}; `vflan licenses {dataset.dataset}` says where that was read")
    _print_group("present", groups[Action.PRESENT] + groups[Action.UNPACKED])
    _print_group("present, but not upstream's file", groups[Action.DIFFERENT])
    if groups[Action.DIFFERENT]:
        echo("  left as it is; remove it to fetch upstream's")
    _print_group("downloads", groups[Action.DOWNLOAD])
    if groups[Action.DOWNLOAD]:
        echo(f"  still to come: {amount(groups[Action.DOWNLOAD])}")
    by_hand = groups[Action.BY_HAND]
    if by_hand:
        echo(f"by hand: {' '.join(dataset.how_to_get.split()) or 'see ' + dataset.homepage}")
        _print_files(by_hand)
    for other in dataset.borrows:
        echo(f"images come from {other} too: {fetch_command(other, raw.home(other))}")


def _print_group(title: str, steps: Sequence[Step]) -> None:
    if steps:
        echo(f"{title}:")
        _print_files(steps)


def _print_files(steps: Sequence[Step]) -> None:
    from vision_flan.raw.fetch import Action

    for step in steps:
        size = human_bytes(step.file.bytes) if step.file.bytes is not None else "size unknown"
        reason = " ".join(step.reason.split())
        echo(f"  {step.file.path}  {size}" + (f" ({reason})" if reason else ""))
        if step.action in (Action.BY_HAND, Action.DOWNLOAD) and step.file.url:
            echo(f"    from {step.file.url}")


def _document(
    dataset: DatasetSpec,
    steps: Sequence[Step],
    raw: RawRoots,
    errors: Mapping[str, VflanError],
    dry_run: bool,
) -> dict[str, object]:
    from vision_flan.raw.fetch import Action, total_bytes

    def state(step: Step) -> str:
        if step.action is not Action.DOWNLOAD or dry_run:
            return step.action
        return "failed" if step.file.path in errors else "downloaded"

    return {
        "dataset": dataset.dataset,
        "folder": str(raw.home(dataset.dataset)),
        "license": dataset.license.name,
        "access": dataset.access,
        "withdrawn": dataset.withdrawn.said if dataset.withdrawn else "",
        "how_to_get": " ".join(dataset.how_to_get.split()),
        "borrows": list(dataset.borrows),
        "download_bytes": total_bytes(steps),
        "files": [
            {
                "path": step.file.path,
                "state": state(step),
                "reason": str(errors.get(step.file.path, " ".join(step.reason.split()))),
                "url": step.file.url,
                "bytes": step.file.bytes,
                "md5": step.file.md5,
                "sha256": step.file.sha256,
            }
            for step in steps
        ],
    }
