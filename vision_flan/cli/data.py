"""`vflan compile`, `vflan verify`: from raw files to a folder that `load_dataset` opens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vision_flan.build.cores import usable_cores
from vision_flan.children import without_threads
from vision_flan.cli.options import (
    EXISTING_FILE,
    EXISTING_PLACE,
    check_shared_work,
    config_option,
    jobs_option,
    json_option,
    limit_option,
    memory_option,
    out_option,
    raw_option,
    seed_option,
)
from vision_flan.cli.output import common_code, echo, facts_of, print_error, print_json, reporter, reporters
from vision_flan.errors import ExitCode, VflanError
from vision_flan.places.place import Place, load_call
from vision_flan.report import counted, human_bytes

if TYPE_CHECKING:
    from vision_flan.build.engines import EngineSpec
    from vision_flan.build.job import Result
    from vision_flan.build.many import Selection
    from vision_flan.raw.roots import RawRoots
    from vision_flan.spec.catalog import Catalog


@click.command(
    short_help="Compile tasks from raw files to a folder for load_dataset.",
    epilog="""\b
Examples:
  vflan compile --task ocr_textocr --raw ~/raw --out vision-flan
  vflan compile --task "AID+aerial_scene_classification" --limit 500
  vflan compile --suite vision_flan --raw ~/raw
  vflan compile --plan plan.json --raw ~/raw
  vflan compile --suite vision_flan --raw ~/raw --shard-of 3/8 --out share-3
  vflan compile --suite vision_flan --raw ~/raw --out s3://bucket/vision-flan""",
)
@click.option(
    "--task", "tasks", multiple=True, metavar="TASK", help="Task id or name in the published release."
)
@click.option(
    "--suite",
    help="All tasks of a suite; of vision_flan as many instances each as `vflan suite plan` allots, unless "
    "--limit or --plan says otherwise.",
)
@click.option(
    "--plan",
    type=EXISTING_FILE,
    help="Tasks and instances as `vflan suite plan --json` prints them.",
)
@raw_option
@out_option
@seed_option
@limit_option
@jobs_option
@click.option(
    "--engine",
    type=click.Choice(["processes", "ray"]),
    default="processes",
    show_default=True,
    help="Where the work runs: on this machine, or on a Ray cluster (docs/scale.md).",
)
@click.option(
    "--address", help="With --engine ray: the cluster's address, or auto. Default: one is started here."
)
@click.option(
    "--shard-of",
    metavar="I/N",
    help="Only the I-th of N shares of the tasks, of about equal size: for arrays of jobs. "
    "`vflan merge` puts the folders together.",
)
@click.option(
    "--check-images",
    type=click.Choice(["header", "full"]),
    default="header",
    show_default=True,
    help="full decodes every image: about 20 times slower on photographs.",
)
@memory_option
@click.option("--force", is_flag=True, help="Compile even tasks that are up to date.")
@click.option(
    "--verify-raw",
    is_flag=True,
    help="Keep checksums of the raw files that are read, and compare them with the kept ones.",
)
@click.option(
    "--keep-going",
    is_flag=True,
    help="With several --task: continue after one that fails. Suites and plans always do.",
)
@json_option
@click.option(
    "--json-lines",
    is_flag=True,
    help="Of a suite or a plan: print each event as a line of JSON as it happens.",
)
def compile(
    tasks: tuple[str, ...],
    suite: str | None,
    plan: Path | None,
    raw: RawRoots,
    out: Place,
    seed: int,
    limit: int | None,
    jobs: int | None,
    engine: str,
    address: str | None,
    shard_of: str | None,
    check_images: str,
    force: bool,
    verify_raw: bool,
    keep_going: bool,
    as_json: bool,
    json_lines: bool,
) -> None:
    """Compile tasks from raw files to a folder that `load_dataset` opens.

    After Ctrl-C, a crash or a full disk the same command resumes where it stopped. A suite or a plan is one
    run: a task that cannot be built does not stop the others, and is listed at the end with the command that
    helps; the log is .vflan/compile.log in the compiled folder.
    """
    with without_threads():  # or workers could not be forked
        from vision_flan.build.engines import HELPED
        from vision_flan.build.fork_server import start_server

        cores = usable_cores() if jobs is None else jobs
        alone = len(tasks) == 1 and suite is None and plan is None
        if cores > (HELPED if alone else 1) and engine == "processes":
            start_server(whole_tasks=not alone)  # it loads the package while this process does
        from vision_flan.build.compile import Options
        from vision_flan.build.many import select
        from vision_flan.build.memory import go_without_pandas
        from vision_flan.build.plan import quotas_of, read_quotas
        from vision_flan.build.shares import share_of
        from vision_flan.cli.versions import print_untested_notice
        from vision_flan.spec.catalog import Catalog

    go_without_pandas()
    catalog = Catalog.default()
    quota: int | str | None = "spec" if limit is None else (limit or None)
    where = _engine(engine, jobs, address)
    if engine == "ray":
        check_shared_work(out)
    options = Options(seed, quota, where, check_images == "full", force, verify_raw)
    quotas: Mapping[str, int] | None = None if plan is None else read_quotas(plan)
    if suite is not None and plan is None and limit is None:
        with reporter(quiet=as_json or json_lines) as report:
            quotas = quotas_of(suite, raw, out, catalog, seed, report, cores)
    selection = select(catalog, options, tasks, suite, quotas)
    if not selection:
        raise click.UsageError("give --task TASK, --suite SUITE or --plan FILE; `vflan list` shows the tasks")
    if shard_of is not None:
        selection = share_of(selection, shard_of, catalog)
    if not (as_json or json_lines):  # the manifest has the versions
        print_untested_notice()
    if suite is not None or plan is not None:
        raise SystemExit(_compile_suite(selection, raw, out, catalog, as_json, json_lines))
    _compile_tasks(selection, raw, out, catalog, keep_going, as_json)


def _engine(engine: str, jobs: int | None, address: str | None) -> EngineSpec:
    from vision_flan.build.engines import EngineSpec

    if address and engine != "ray":
        raise click.UsageError("--address is for --engine ray")
    return EngineSpec(engine, jobs, address)


def _compile_suite(
    selection: Selection, raw: RawRoots, out: Place, catalog: Catalog, as_json: bool, json_lines: bool
) -> int:
    from vision_flan.cli.run import exit_code, print_summary, run_many

    run = run_many(selection, raw, out, catalog, quiet=as_json, json_lines=json_lines)
    if as_json:
        failed = [{"task": task, "error": facts_of(error)} for task, error in run.failed.items()]
        print_json([*map(_summary, run.built.values()), *failed])
    elif not json_lines:
        print_summary(run, out)
    return exit_code(run)


def _compile_tasks(
    selection: Selection, raw: RawRoots, out: Place, catalog: Catalog, keep_going: bool, as_json: bool
) -> None:
    from vision_flan.build.many import compile_many, early_engine

    results: list[dict[str, object]] = []
    failed: list[VflanError] = []
    with early_engine(selection) as engine, reporters(quiet=as_json) as make:
        for outcome in compile_many(selection, raw, out, catalog, make, engine):
            if outcome.error:
                if not keep_going:
                    raise outcome.error
                print_error(outcome.error)
                results.append({"task": outcome.task, "error": facts_of(outcome.error)})
                failed.append(outcome.error)
            elif outcome.result:
                results.append(_summary(outcome.result))
                if not as_json:
                    _print_result(outcome.result)
    if as_json:
        order = list(selection)  # tasks end in any order
        print_json(sorted(results, key=lambda result: order.index(str(result["task"]))))
    if failed:
        raise SystemExit(common_code(failed))


def _summary(result: Result) -> dict[str, object]:
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


def _print_result(result: Result) -> None:
    manifest = result.manifest
    counts = manifest.counts
    if not result.built:
        state = "up to date, facts renewed" if result.renewed else "up to date"
        echo(f"{manifest.task}: {state}, {manifest.rows:,} instances (--force compiles it again)")
        return
    echo(
        f"{manifest.task}: {manifest.rows:,} instances of {counts['candidates']:,} records, "
        f"{counted(len(manifest.shards), 'shard')}, {human_bytes(manifest.download_size)}"
    )
    for reason, count in counts["dropped"].items():
        example = counts.get("examples", {}).get(reason)
        echo(f"  dropped {count:,}: {reason}" + (f", as {example}" if example else ""))
    call = load_call(result.folder, manifest.task, manifest.split)
    echo(f'  next: python -c "from datasets import load_dataset; print({call}[0])"')


@click.command(
    short_help="Check a compiled folder against its manifests.",
    epilog="\b\nExample:\n  vflan verify vision-flan",
)
@click.argument("folder", type=EXISTING_PLACE)
@config_option
@json_option
def verify(folder: Place, tasks: tuple[str, ...], as_json: bool) -> None:
    """Check a compiled folder against its manifests: every shard's size, sha256 and rows.

    It also checks that the counts add up, that there are no other Parquet files, the tables of authors and
    the notices that licenses ask for, and README.md. It reads every byte, but decodes no image; raw files
    are checked by `vflan compile`.
    """
    from vision_flan.dataset.manifest import Verification, readable_manifests
    from vision_flan.dataset.verification import verify as verify_folder
    from vision_flan.spec.catalog import Catalog
    from vision_flan.spec.names import find_configs

    result = Verification()
    manifests, broken = readable_manifests(folder)
    names = find_configs(Catalog.default(), tasks, [*manifests, *broken], folder)
    total = sum(len(found.shards) for task, found in manifests.items() if not names or task in names)
    with reporter(quiet=as_json) as report:
        report.stage("verifying", total)
        for size, state in verify_folder(folder, names):
            result = state
            report.advance(1 if size else 0, size)
    problems = [asdict(problem) for problem in result.problems]
    if not result.tasks:
        problems.append({"task": "", "path": str(folder), "message": "has no compiled config"})
    if as_json:
        print_json(
            {"configs": result.tasks, "shards": result.shards, "bytes": result.bytes, "problems": problems}
        )
    else:
        for problem in problems:
            echo(f"{problem['path']}: {problem['message']}")
        state_text = counted(len(problems), "problem") if problems else "all match the manifests"
        shown = f"{counted(result.tasks, 'config')}, {counted(result.shards, 'shard')}"
        echo(f"{shown}, {human_bytes(result.bytes)}: {state_text}")
    if problems:
        raise SystemExit(ExitCode.FAILED)


@click.command(
    epilog="\b\nExample:\n  cp -r other/scene_300w other/manifest vision-flan/ && vflan card vision-flan"
)
@click.argument("folder", type=EXISTING_PLACE)
def card(folder: Place) -> None:
    """Write README.md of a compiled folder from its manifests.

    `load_dataset` finds the configs in README.md. It is written by every compile; write it again after
    configs were copied into the folder, or out of it.
    """
    from vision_flan.dataset.card import refresh_card
    from vision_flan.dataset.manifest import readable_manifests
    from vision_flan.errors import Location

    manifests, _ = readable_manifests(folder)
    if not manifests:
        hint = "give the folder that `vflan compile --out` wrote"
        raise VflanError("this folder holds no compiled config", where=Location(str(folder)), hint=hint)
    for problem in refresh_card(folder):
        print_error(problem)
    echo(f"{folder / 'README.md'}: {counted(len(manifests), 'config')}")
