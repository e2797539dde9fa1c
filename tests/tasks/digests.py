"""Digests of every task's shards, compiled from miniatures, to guard refactorings.

`python -m tests.tasks.digests FILE` writes a line per task: its id, and one sha256 over the sha256 of its
shards. `--compare FILE` prints the tasks that differ and exits with 1 if there are any.

The bytes of a miniature depend on the versions in the lock (Pillow encodes its images), so compare two files
only if both were written with the same ones.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.tasks.test_every_task import RECORDS, tasks_of
from vision_flan.build.compile import Options, compile_task
from vision_flan.errors import VflanError
from vision_flan.miniatures import registry
from vision_flan.report import Silent
from vision_flan.spec.catalog import Catalog


def digests_of(dataset: str) -> dict[str, str]:
    """The digest of each task of a dataset; the error's first line where a task does not compile."""
    catalog = Catalog.default()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        raw, out = Path(folder, "raw"), Path(folder, "out")
        registry.make(dataset, raw, RECORDS, seed=1)
        for task in tasks_of(dataset):
            try:
                result = compile_task(task, raw, out, catalog, Options(limit=None), Silent())
            except VflanError as error:
                found[task] = f"error: {error.what.splitlines()[0]}"
                continue
            shards = "".join(shard.sha256 for shard in result.manifest.shards)
            found[task] = hashlib.sha256(shards.encode()).hexdigest()
    return found


def all_digests(workers: int) -> dict[str, str]:
    """Digests of all tasks of the catalog, by task id, sorted."""
    datasets = sorted(Catalog.default().dataset_files)
    with ProcessPoolExecutor(workers) as pool:
        found = {task: digest for part in pool.map(digests_of, datasets) for task, digest in part.items()}
    return dict(sorted(found.items()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="where to write the digests")
    parser.add_argument("--compare", type=Path, help="an earlier file to compare with")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    found = all_digests(options.workers)
    options.file.write_text("".join(f"{task}\t{digest}\n" for task, digest in found.items()), "utf-8")
    print(f"{len(found)} tasks written to {options.file}")
    if options.compare is None:
        return 0
    before = dict(line.split("\t") for line in options.compare.read_text("utf-8").splitlines())
    differing = sorted(task for task in before.keys() | found.keys() if before.get(task) != found.get(task))
    for task in differing:
        print(f"differs: {task}: {before.get(task, 'was not there')} -> {found.get(task, 'is not there')}")
    print(f"{len(differing)} of {len(before.keys() | found.keys())} tasks differ")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
