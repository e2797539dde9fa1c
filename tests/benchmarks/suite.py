"""A whole suite from nothing: `python -m tests.benchmarks.suite --folder /big/disk`.

It makes the miniatures of a suite's datasets at full size, compiles the suite as a user would, and compares
every row with what the generators know. Miniatures that are there already are left alone, the compiled folder
is made anew, so the same folder serves for `--jobs 1,2,4`. For a smaller run take `--n 200`.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import click
import pyarrow.parquet as pq

from vision_flan.dataset.manifest import FOLDER, Manifest, read_manifest
from vision_flan.miniatures.truth import disagreements, read_truth

_VFLAN = [sys.executable, "-c", "from vision_flan.cli.main import main; main()"]
#: Of prctl: children of children that have lost their parent become ours.
_SUBREAPER = 36
#: Rows whose images are in memory at one time.
_ROWS = 200


class Cost(NamedTuple):
    """Of a command and the processes it started: seconds, CPU seconds, GiB of the largest process."""

    seconds: float
    cpu: float
    gib: float
    code: int


def cost_of(*words: str) -> Cost:
    """Run a command of ours, its output in the terminal's error stream.

    The server that workers are forked from outlives the command by a moment, and its time would be lost.
    """
    ctypes.CDLL(None).prctl(_SUBREAPER, 1)
    begun = time.perf_counter()
    child = subprocess.Popen([*_VFLAN, *words], stdout=sys.stderr)
    seconds = cpu = gib = 0.0
    with suppress(ChildProcessError):
        while True:
            pid, status, usage = os.wait4(-1, 0)
            cpu += usage.ru_utime + usage.ru_stime
            gib = max(gib, usage.ru_maxrss / 2**20)
            if pid == child.pid:
                child.returncode = os.waitstatus_to_exitcode(status)
                seconds = time.perf_counter() - begun
    return Cost(seconds, cpu, gib, child.returncode)


def size_of(folder: Path) -> tuple[int, int]:
    """Files below a folder, and their bytes."""
    count = size = 0
    for name, _, files in os.walk(folder):
        for file in files:
            with suppress(OSError):  # a link whose target is missing, as upstream has them
                size += Path(name, file).stat().st_size
                count += 1
    return count, size


class Checked(NamedTuple):
    """One config against its truth."""

    task: str
    rows: int
    dropped: int
    planted: int
    wrong: list[str]


def check(raw: Path, out: Path, task: str) -> Checked:
    """Compare all rows of a config with the truth, and its drops with those that were planted.

    A record that the selection did not reach is in neither: what is written counts, and what must not be.
    """
    manifest = read_manifest(out / FOLDER / f"{task}.json")
    truth = read_truth(raw, task)
    planted = {key for key, claim in truth.items() if "dropped" in claim}
    wrong, rows, written = [], 0, Counter[str]()
    for some in _rows_of(out, manifest):
        rows += len(some)
        written.update(str(row["source_id"]) for row in some)
        known = {str(row["source_id"]) for row in some}
        wrong += disagreements(some, {key: claim for key, claim in truth.items() if key in known})
    wrong += [f"{key}: written {times} times" for key, times in written.items() if times > 1]
    dropped = sum(manifest.counts["dropped"].values())
    if dropped > len(planted):
        wrong.append(f"{dropped} drops, of which {len(planted)} were planted: {manifest.counts['examples']}")
    expected = len(truth) - len(planted)
    if rows < (manifest.limit or expected) and rows != expected:
        wrong.append(f"{rows} instances of {expected}")
    return Checked(task, rows, dropped, len(planted), wrong)


def _rows_of(out: Path, manifest: Manifest) -> Iterator[list[dict[str, object]]]:
    for shard in manifest.shards:
        with pq.ParquetFile(out / shard.path) as file:
            for batch in file.iter_batches(_ROWS):
                yield batch.to_pylist()


def check_all(raw: Path, out: Path, workers: int) -> list[Checked]:
    """Check every config of a compiled folder."""
    tasks = sorted(path.stem for path in (out / FOLDER).glob("*.json"))
    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(check, [raw] * len(tasks), [out] * len(tasks), tasks))


def print_cost(what: str, cost: Cost, folder: Path, more: str = "") -> None:
    """A row of the table."""
    files, size = size_of(folder)
    click.echo(
        f"| {what} | {cost.seconds / 60:.1f} | {cost.cpu / 60:.1f} | {cost.gib:.2f} | {size / 1e9:.1f} | "
        f"{files:,} | {more} |",
    )


def compile_suite(raw: Path, out: Path, suite: str, jobs: str) -> bool:
    """Compile, and print a row; whether all configs were made."""
    shutil.rmtree(out, ignore_errors=True)
    cost = cost_of("compile", "--suite", suite, "--raw", str(raw), "--out", str(out), "--jobs", jobs)
    manifests = [json.loads(path.read_text()) for path in (out / FOLDER).glob("*.json")]
    rows = sum(shard["rows"] for one in manifests for shard in one["shards"])
    print_cost(f"compile, {jobs} jobs", cost, out, f"{len(manifests)} configs, {rows:,} instances")
    return cost.code == 0


@click.command()
@click.option(
    "--folder", type=click.Path(file_okay=False, path_type=Path), required=True, help="Where to work."
)
@click.option("--suite", default="vision_flan", show_default=True, help="Which suite.")
@click.option("--n", default=10_000, show_default=True, help="Records of each dataset.")
@click.option("--jobs", default="2", show_default=True, help="Numbers of jobs, one build each.")
@click.option("--check/--no-check", "checked", default=True, show_default=True, help="Compare every row.")
def main(folder: Path, suite: str, n: int, jobs: str, checked: bool) -> None:
    """Make, compile and check a suite; print a table."""
    raw, out, ok = folder / "raw", folder / "vision-flan", True
    cores = str(len(os.sched_getaffinity(0)))
    click.echo(
        f"{cores} cores\n| | minutes | CPU minutes | GiB | GB | files | |\n|---|---:|---:|---:|---:|---:|---|"
    )
    made = cost_of("miniature", "make", "--suite", suite, "--out", str(raw), "--n", str(n), "--jobs", cores)
    print_cost("miniatures", made, raw)
    for number in jobs.split(","):
        ok &= compile_suite(raw, out, suite, number)
    found = check_all(raw, out, int(cores)) if checked else []
    if checked:
        bad = [one for one in found if one.wrong]
        click.echo(
            f"\n{len(found)} configs compared: {sum(one.rows for one in found):,} instances, "
            f"{sum(one.dropped for one in found):,} drops; {len(bad)} differ from the miniatures' truth"
        )
        for one in bad:
            click.echo(f"  {one.task}: {len(one.wrong)} of {one.rows}: {one.wrong[0][:300]}")
    sys.exit(0 if ok and made.code == 0 and not any(one.wrong for one in found) else 1)


if __name__ == "__main__":
    main()
