"""`vflan compile`, `vflan verify`: from raw files to a folder that `load_dataset` opens."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from vision_flan.cli.output import human_bytes, print_json, reporter
from vision_flan.errors import ExitCode

raw_option = click.option(
    "--raw",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="VFLAN_RAW",
    default="raw",
    show_default=True,
    help="Folder with one subfolder per dataset, in upstream's own layout. [env: VFLAN_RAW]",
)

_LIMIT = click.IntRange(min=0)
_URL = re.compile(r"^[a-z][a-z0-9+.-]+:/")


def local_folder(context: click.Context, parameter: click.Parameter, value: Path) -> Path:
    """Refuse a URL where a folder is wanted, before any work begins."""
    if _URL.match(str(value)):
        raise click.BadParameter(f"{value} is no folder of this machine; URLs are not written yet")
    return value


@click.command(
    epilog="""\b
Examples:
  vflan compile --task ocr_textocr --raw ~/raw --out vision-flan
  vflan compile --task "AID+aerial_scene_classification" --limit 500
  vflan compile --suite vision_flan --raw ~/raw --keep-going
  vflan compile --plan plan.json --raw ~/raw --keep-going"""
)
@click.option(
    "--task", "tasks", multiple=True, metavar="TASK", help="Task id or name in the published release."
)
@click.option("--suite", help="All tasks of a suite.")
@click.option(
    "--plan",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Tasks and instances as `vflan suite plan --json` says.",
)
@raw_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default="vision-flan",
    show_default=True,
    callback=local_folder,
    help="The compiled folder; other configs in it stay.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of selection, options and negatives.")
@click.option("--limit", type=_LIMIT, help="Instances a task, 0 for all. Default: the spec's (mostly 10000).")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=2,
    show_default=True,
    help="Blocks in the making at one time. The shards are the same for any number.",
)
@click.option(
    "--check-images",
    type=click.Choice(["header", "full"]),
    default="header",
    show_default=True,
    help="full decodes every image: some 20 times slower on photographs.",
)
@click.option("--force", is_flag=True, help="Compile even what is up to date.")
@click.option(
    "--verify-raw",
    is_flag=True,
    help="Keep checksums of the raw files that are read, and compare with those kept.",
)
@click.option("--keep-going", is_flag=True, help="With several tasks: go on after one that fails.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def compile(
    tasks: tuple[str, ...],
    suite: str | None,
    plan: Path | None,
    raw: Path,
    out: Path,
    seed: int,
    limit: int | None,
    workers: int,
    check_images: str,
    force: bool,
    verify_raw: bool,
    keep_going: bool,
    as_json: bool,
) -> None:
    """Compile tasks from raw files to a folder that `load_dataset` opens.

    The same command again after Ctrl-C, a crash or a full disk goes on where it stopped.
    """
    from vision_flan.build.compile import Options, compile_task
    from vision_flan.build.plan import read_quotas
    from vision_flan.cli.versions import print_untested_notice
    from vision_flan.errors import VflanError
    from vision_flan.spec.catalog import Catalog

    catalog = Catalog.default()
    quotas = {} if plan is None else read_quotas(plan)
    of_suite = catalog.suite(suite) if suite is not None else ()
    names = [*tasks, *of_suite] or [task for task, count in quotas.items() if count]
    if not names:
        raise click.UsageError("give --task TASK, --suite SUITE or --plan FILE; `vflan list` shows the tasks")
    quota: Any = "spec" if limit is None else (limit or None)
    options = Options(seed, quota, workers, check_images == "full", force, verify_raw)
    if not as_json:  # the manifest has the versions
        print_untested_notice()
    results: list[dict[str, Any]] = []
    failed: VflanError | None = None
    for name in names:
        try:
            with reporter(quiet=as_json) as report:
                own = replace(options, limit=quotas.get(name, options.limit))
                result = compile_task(name, raw, out, catalog, own, report)
            results.append(_summary(result))
            if not as_json:
                _print_result(result)
        except VflanError as error:
            if not keep_going:
                raise
            from vision_flan.cli.output import print_error

            print_error(error)
            results.append({"task": name, "error": str(error)})
            failed = error
    if as_json:
        print_json(results)
    if failed:
        raise SystemExit(failed.exit_code)


def _summary(result: Any) -> dict[str, Any]:
    manifest = result.manifest
    return {
        "task": manifest.task,
        "built": result.built,
        "renewed": result.renewed,
        "folder": str(result.folder),
        "split": manifest.split,
        "counts": dict(manifest.counts),
        "shards": [asdict(shard) for shard in manifest.shards],
    }


def _print_result(result: Any) -> None:
    manifest = result.manifest
    counts = manifest.counts
    if not result.built:
        state = "up to date, facts renewed" if result.renewed else "up to date"
        click.echo(f"{manifest.task}: {state}, {manifest.rows:,} instances (--force compiles it again)")
        return
    click.echo(
        f"{manifest.task}: {manifest.rows:,} instances of {counts['candidates']:,} records, "
        f"{len(manifest.shards)} shards, {human_bytes(manifest.download_size)}"
    )
    for reason, count in counts["dropped"].items():
        example = counts.get("examples", {}).get(reason)
        click.echo(f"  dropped {count:,}: {reason}" + (f", as {example}" if example else ""))
    call = f"load_dataset({str(result.folder)!r}, {manifest.task!r}, split={manifest.split!r})"
    click.echo(f'  next: python -c "from datasets import load_dataset; print({call}[0])"')


@click.command(epilog="\b\nExample:\n  vflan verify vision-flan")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--task", "tasks", multiple=True, metavar="TASK", help="Only this config.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def verify(folder: Path, tasks: tuple[str, ...], as_json: bool) -> None:
    """Check a compiled folder against its manifests: every shard's size, sha256 and rows."""
    from vision_flan.dataset.manifest import Verification, readable_manifests
    from vision_flan.dataset.manifest import verify as verify_folder

    result = Verification()
    total = sum(len(manifest.shards) for manifest in readable_manifests(folder)[0].values())
    with reporter(quiet=as_json) as report:
        report.stage("verifying", total)
        for size, state in verify_folder(folder, list(tasks)):
            result = state
            report.advance(1 if size else 0, size)
    problems = [asdict(problem) for problem in result.problems]
    if not result.tasks:
        problems.append({"task": "", "path": str(folder), "message": "holds no compiled config"})
    if as_json:
        print_json(
            {"configs": result.tasks, "shards": result.shards, "bytes": result.bytes, "problems": problems}
        )
    else:
        for problem in problems:
            click.echo(f"{problem['path']}: {problem['message']}")
        state_text = f"{len(problems)} problems" if problems else "all as the manifests say"
        click.echo(
            f"{result.tasks} configs, {result.shards} shards, {human_bytes(result.bytes)}: {state_text}"
        )
    if problems:
        raise SystemExit(ExitCode.FAILED)
