"""`vflan publish`, `vflan rehydrate`: a compiled folder to the Hub, and a recipe to a complete config."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vision_flan.cli.options import EXISTING_FOLDER, json_option, local_out_option, raw_option
from vision_flan.cli.output import echo, print_json, print_table, reporter

if TYPE_CHECKING:
    from vision_flan.hub.plan import Choices, PublishPlan
    from vision_flan.hub.publish import Outcome, Publisher
    from vision_flan.raw.roots import RawRoots


@click.command(
    short_help="Publish a compiled folder to a dataset repository.",
    epilog="""\b
Examples:
  vflan publish vision-flan ORG/vision-flan --dry-run
  vflan publish vision-flan ORG/vision-flan --include-unclear --tag v1.0.0
  vflan publish vision-flan ORG/vision-flan --allow-restricted scene_300w --reason "We hold the rights." """,
)
@click.argument("folder", type=EXISTING_FOLDER)
@click.argument("repo_id", metavar="OWNER/NAME")
@click.option("--dry-run", is_flag=True, help="Print the plan; send nothing.")
@click.option("--show-card", is_flag=True, help="With --dry-run: print the card that would be written.")
@click.option(
    "--task",
    "tasks",
    multiple=True,
    metavar="TASK",
    help="Publish only this task: an id or its name in the published release.",
)
@click.option("--include-unclear", is_flag=True, help="Also send images whose license is unclear.")
@click.option(
    "--allow-restricted",
    "allowed",
    multiple=True,
    metavar="TASK",
    help="Send the images of a restricted task whose rights you hold. Needs --reason.",
)
@click.option("--reason", default="", help="Why you may; it is written into the card.")
@click.option("--remove", multiple=True, metavar="TASK", help="Remove a task from the Hub.")
@click.option("--private", is_flag=True, help="Create the repository as private.")
@click.option("--gated", type=click.Choice(["auto", "manual"]), help="Readers must accept the terms first.")
@click.option("--tag", default="", help="Set a tag, with an entry in CHANGELOG.md.")
@click.option(
    "--contact", default="", metavar="TEXT", help="Whom to write to, for the card: an address or a page."
)
@click.option("--branch", default="main", show_default=True, help="Publish to a branch.")
@click.option("--pr", "pull_request", is_flag=True, help="Publish to a pull request on the Hub.")
@json_option
def publish(
    folder: Path,
    repo_id: str,
    dry_run: bool,
    show_card: bool,
    tasks: tuple[str, ...],
    include_unclear: bool,
    allowed: tuple[str, ...],
    reason: str,
    remove: tuple[str, ...],
    private: bool,
    gated: str | None,
    tag: str,
    contact: str,
    branch: str,
    pull_request: bool,
    as_json: bool,
) -> None:
    """Publish a compiled FOLDER to the dataset repository OWNER/NAME on the Hugging Face Hub.

    Only what the Hub lacks is sent. Licenses decide: images that must not be redistributed stay
    here, and their task is published as a recipe. After an interruption the same command resumes.
    """
    _check_usage(allowed, reason, pull_request, branch != "main" or bool(tag))
    from vision_flan.hub.plan import Choices
    from vision_flan.hub.warnings import warnings
    from vision_flan.spec.catalog import Catalog
    from vision_flan.spec.names import task_ids

    catalog = Catalog.default()
    reasons = dict.fromkeys(task_ids(catalog, allowed), reason.strip())
    chosen, removed = task_ids(catalog, tasks), task_ids(catalog, remove)
    choices = Choices(include_unclear, reasons, removed, chosen, private, gated or "", tag, contact.strip())
    publisher = _publisher(repo_id, folder, choices, branch, pull_request)
    plan = publisher.plan()
    warned = warnings(plan, choices, publisher.catalog)
    if not as_json:
        _print_plan(plan, choices, warned)
    result: dict[str, object] = _plan_facts(plan, warned)
    if dry_run and show_card:
        card = plan.documents["README.md"].decode()
        result["card"] = card
        if not as_json:
            echo(card)
    if not dry_run:
        outcome = publisher.run(plan)
        result |= {"commits": list(outcome.commits), "head": outcome.head}
        if not as_json:
            _print_outcome(outcome)
    if as_json:
        print_json(result)


def _check_usage(allowed: tuple[str, ...], reason: str, pull_request: bool, has_ref: bool) -> None:
    if allowed and not reason.strip():
        raise click.UsageError('--allow-restricted needs --reason "why you may publish these images"')
    if pull_request and has_ref:
        raise click.UsageError("--pr cannot be used with --branch or --tag; tag after the merge")


def _publisher(repo_id: str, folder: Path, choices: Choices, branch: str, pull_request: bool) -> Publisher:
    from vision_flan.hub.client import client
    from vision_flan.hub.progress import Progress
    from vision_flan.hub.publish import Publisher
    from vision_flan.hub.waiting import Patience

    progress = Progress()
    patience = Patience(progress.say)
    return Publisher(client(), repo_id, folder, choices, branch, pull_request, patience, progress)


def _print_outcome(outcome: Outcome) -> None:
    from vision_flan.report import counted

    if outcome.commits:
        echo(f"published in {counted(len(outcome.commits), 'commit')}: {outcome.url}")
    else:
        echo(f"nothing to send, the Hub is up to date: {outcome.url}")


@click.command(
    short_help="Complete recipes with your own raw files.",
    epilog="""\b
Example:
  vflan rehydrate ORG/vision-flan --raw ~/raw --task scene_300w --out vision-flan""",
)
@click.argument("repo_id", metavar="OWNER/NAME")
@raw_option
@click.option("--task", "tasks", multiple=True, metavar="TASK", help="Default: every task without images.")
@local_out_option
@click.option("--revision", default="main", show_default=True, help="Branch, tag or commit.")
def rehydrate(repo_id: str, raw: RawRoots, tasks: tuple[str, ...], out: Path, revision: str) -> None:
    """Complete the recipes of OWNER/NAME with your own raw files, and check the result."""
    from vision_flan.hub.client import client
    from vision_flan.hub.rehydrate import SHARDS, Rehydrator
    from vision_flan.hub.waiting import Patience
    from vision_flan.report import counted
    from vision_flan.spec.catalog import Catalog
    from vision_flan.spec.names import task_ids

    catalog = Catalog.default()
    with reporter() as report:
        rehydrator = Rehydrator(client(), repo_id, raw, out, catalog, report, Patience(report.note), revision)
        remote, published = rehydrator.tasks(task_ids(catalog, tasks))
        for task in published:
            done = rehydrator.run(remote, task)
            what = (
                "every shard has the published sha256"
                if done.same == SHARDS
                else "every row is the published one"
            )
            report.note(f"{done.task}: {done.manifest.rows:,} instances, {what}")
    if not published:
        echo(f"every task of {repo_id} is complete; `load_dataset` opens them as they are")
    else:
        echo(f"{out}: {counted(len(published), 'task')} completed")


def _plan_facts(plan: PublishPlan, warned: list[str]) -> dict[str, object]:
    return {
        "repository": plan.repo_id,
        "tasks": [
            {
                "task": change.task,
                "action": change.action,
                "form": change.published.publication.form if change.published else None,
                "license": change.published.publication.license if change.published else None,
                "files": len(change.uploads),
                "bytes": change.bytes,
            }
            for change in plan.changes
        ],
        "documents": list(plan.changed_documents),
        "bytes": plan.bytes,
        "warnings": warned,
    }


def _print_plan(plan: PublishPlan, choices: Choices, warned: list[str]) -> None:
    from vision_flan.hub.packing import commits_of
    from vision_flan.hub.plan import ADDED, CHANGED, KEPT, REMOVED, UNCHANGED
    from vision_flan.report import counted, human_bytes

    rows = []
    for change in plan.to_do:
        publication = change.published.publication if change.published else None
        form = publication.form if publication else "-"
        was = f"{change.was_form} -> " if change.was_form not in ("", form) else ""
        rows.append(
            [
                change.task,
                change.action,
                was + form,
                publication.license if publication else "-",
                str(len(change.uploads)),
                human_bytes(change.bytes),
            ]
        )
    if rows:
        print_table(plan.repo_id, ["task", "change", "form", "license", "files", "bytes"], rows)
    counts = ", ".join(
        f"{len(plan.having(action))} {action}"
        for action in (ADDED, CHANGED, UNCHANGED, REMOVED, KEPT)
        if plan.having(action)
    )
    commits = counted(commits_of(plan, choices), "commit")
    echo(f"{counts}; at most {human_bytes(plan.bytes)} to send in {commits}")
    if plan.changed_documents:
        echo(f"renewed: {', '.join(plan.changed_documents)}")
    for line in warned:
        echo(f"note: {line}")
