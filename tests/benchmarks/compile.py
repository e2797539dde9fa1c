"""The cost of compiling, as ratios within one run: `python -m tests.benchmarks.compile`.

A is the time to read every image and write its bytes to one file, one process: the limit. Against it, each in
a process of its own: our compile with one and with two jobs, and what one would write without this package.
Peers that are not installed are left out.
"""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from tests.benchmarks.corpus import jpegs, pngs
from tests.toy import LICENSE

DATASET = (
    """\
dataset: bench
title: Bench
homepage: https://example.org
"""
    + LICENSE
    + """\
citation: "@misc{bench}"
access: direct
files: [{path: images}]
tables:
  captions:
    reader: json
    file: captions.json
    at: annotations
    columns: {image_id: BIGINT, caption: VARCHAR}
  images:
    reader: json
    file: captions.json
    at: images
    columns: {id: BIGINT, file_name: VARCHAR}
"""
)
TASK = """\
id: bench_task
title: Bench
category: Image Captioning
dataset: bench
sql: SELECT i.file_name AS name, c.caption AS caption FROM images AS i JOIN captions AS c ON c.image_id = i.id
key: name
image: images/{{ name }}
target: caption
form: free_text
limit: null
"""
INSTRUCTION = "Describe the image in one sentence."
CAPTION = "A photograph of the object with the number {}, on a table beside a window."


def write_corpus(root: Path, kind: str, count: int) -> None:
    """Specs, images and captions below `root`."""
    for folder in ("specs/bench", "instructions", "raw/bench"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "specs/bench/dataset.yaml").write_text(DATASET)
    (root / "specs/bench/bench_task.yaml").write_text(TASK)
    (root / "instructions/bench_task.j2").write_text(INSTRUCTION)
    (jpegs if kind == "large" else pngs)(root / "raw/bench/images", count)
    names = [path.name for path in images_of(root)]
    document = {
        "images": [{"id": i, "file_name": name} for i, name in enumerate(names)],
        "annotations": [{"image_id": i, "caption": CAPTION.format(i)} for i in range(len(names))],
    }
    (root / "raw/bench/captions.json").write_text(json.dumps(document))


def images_of(root: Path) -> list[Path]:
    return sorted((root / "raw/bench/images").iterdir())


def limit(root: Path, out: Path) -> None:
    """A: read every file, write its bytes."""
    with (out / "copy").open("wb") as file:
        for image in images_of(root):
            with image.open("rb", buffering=0) as source:
                file.write(source.read())


def vflan(jobs: int) -> Callable[[Path, Path], None]:
    def compile_it(root: Path, out: Path) -> None:
        from vision_flan.build.compile import Options, compile_task
        from vision_flan.build.engines import EngineSpec
        from vision_flan.build.memory import go_without_pandas
        from vision_flan.report import Silent
        from vision_flan.spec.catalog import Catalog

        go_without_pandas()  # as the command does
        catalog = Catalog(root / "specs", root / "instructions")
        options = Options(engine=EngineSpec(jobs=jobs))
        compile_task("bench_task", root / "raw", out, catalog, options, Silent())

    return compile_it


def _rows(root: Path, embed: bool) -> Iterator[dict[str, Any]]:
    for i, path in enumerate(images_of(root)):
        image = {"bytes": path.read_bytes(), "path": path.name} if embed else str(path)
        yield {"id": path.stem, "image": image, "instruction": INSTRUCTION, "target": CAPTION.format(i)}


def _features() -> Any:
    import datasets

    texts = {name: datasets.Value("string") for name in ("id", "instruction", "target")}
    return datasets.Features(texts | {"image": datasets.Image()})


def from_generator(root: Path, out: Path) -> None:
    import datasets

    datasets.disable_progress_bars()
    made = datasets.Dataset.from_generator(
        _rows, gen_kwargs={"root": root, "embed": True}, features=_features(), cache_dir=str(out / "cache")
    )
    made.to_parquet(str(out / "peer.parquet"))


def iterable(root: Path, out: Path) -> None:
    import datasets

    made = datasets.IterableDataset.from_generator(
        _rows, gen_kwargs={"root": root, "embed": True}, features=_features()
    )
    made.to_parquet(str(out / "peer.parquet"))


def imagefolder(root: Path, out: Path) -> None:
    import datasets
    from datasets.table import embed_table_storage

    datasets.disable_progress_bars()
    made = datasets.load_dataset(
        "imagefolder", data_dir=str(root / "raw/bench/images"), split="train", cache_dir=str(out / "cache")
    )
    made = made.with_format("arrow").map(embed_table_storage, batched=True, batch_size=100).with_format(None)
    made.to_parquet(str(out / "peer.parquet"))


def webdataset(root: Path, out: Path) -> None:
    import webdataset as wds

    with wds.ShardWriter(str(out / "%05d.tar"), maxsize=256e6, verbose=0) as writer:
        for row in _rows(root, True):
            suffix = row["image"]["path"].rpartition(".")[2]
            texts = {"instruction": row["instruction"], "target": row["target"]}
            writer.write({"__key__": row["id"], suffix: row["image"]["bytes"], "json": texts})


def mosaic(root: Path, out: Path) -> None:
    from streaming import MDSWriter

    columns = {"id": "str", "image": "bytes", "instruction": "str", "target": "str"}
    with MDSWriter(out=str(out / "mds"), columns=columns, hashes=["sha1"], size_limit=256 << 20) as writer:
        for row in _rows(root, True):
            writer.write(row | {"image": row["image"]["bytes"]})


#: name -> (package it needs, work)
RUNS: dict[str, tuple[str, Callable[[Path, Path], None]]] = {
    "limit: read and write": ("os", limit),
    "vflan, 1 job": ("os", vflan(1)),
    "vflan, 2 jobs": ("os", vflan(2)),
    "datasets, from_generator": ("datasets", from_generator),
    "datasets, IterableDataset": ("datasets", iterable),
    "datasets, imagefolder": ("datasets", imagefolder),
    "webdataset": ("webdataset", webdataset),
    "mosaicml-streaming": ("streaming", mosaic),
}


def cpu_seconds() -> float:
    """Of this process and the children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def measure(root: Path, name: str) -> dict[str, float]:
    """One run in this process: seconds and CPU seconds without its imports, GiB of the largest process.

    CPU seconds count those of child processes, imports included, and hardly depend on what else runs.
    """
    package, work = RUNS[name]
    importlib.import_module(package)
    if name.startswith("vflan"):
        importlib.import_module("vision_flan.build.schedule")
    with tempfile.TemporaryDirectory(prefix="out-", dir=root) as out:
        os.sync()
        begun, busy = time.perf_counter(), cpu_seconds()
        work(root, Path(out))
        seconds, busy = time.perf_counter() - begun, cpu_seconds() - busy
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return {
        "seconds": seconds,
        "cpu": busy,
        "GiB": max(resource.getrusage(kind).ru_maxrss for kind in kinds) / 2**20,
    }


def table(root: Path, rounds: int, quick: bool) -> None:
    """Print the best of some rounds of each."""
    count = len(images_of(root))
    size = sum(path.stat().st_size for path in images_of(root))
    best: dict[str, dict[str, float]] = {}
    for _ in range(rounds):
        for name, (package, _work) in RUNS.items():
            if importlib.util.find_spec(package) is None or (quick and name == "datasets, imagefolder"):
                continue
            command = [sys.executable, "-m", "tests.benchmarks.compile", "--root", str(root), "--one", name]
            done = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
            click.echo(f"  {name}: {done['seconds']:.2f} s", err=True)
            if name not in best or done["seconds"] < best[name]["seconds"]:
                best[name] = done
    a, busy = best["limit: read and write"]["seconds"], best["limit: read and write"]["cpu"]
    click.echo(f"{count:,} images of {size / count / 1000:.0f} kB, {os.cpu_count()} cores, best of {rounds}")
    click.echo("| | seconds | A | CPU seconds | A | instances/s | GiB |\n|---|---:|---:|---:|---:|---:|---:|")
    for name, done in best.items():
        seconds = done["seconds"]
        click.echo(
            f"| {name} | {seconds:.2f} | {seconds / a:.1f} | {done['cpu']:.2f} | {done['cpu'] / busy:.1f} | "
            f"{count / seconds:,.0f} | {done['GiB']:.2f} |"
        )


@click.command()
@click.option("--large", default=10_000, show_default=True, help="JPEGs of 84 kB; 0 for none.")
@click.option("--small", default=40_000, show_default=True, help="PNGs of 2 kB; 0 for none.")
@click.option("--rounds", default=3, show_default=True, help="The best of so many runs counts.")
@click.option("--quick", is_flag=True, help="Leave out imagefolder, which takes minutes on small images.")
@click.option("--root", type=click.Path(path_type=Path), hidden=True)
@click.option("--one", hidden=True, help="Measure one run in this process.")
def main(large: int, small: int, rounds: int, quick: bool, root: Path | None, one: str | None) -> None:
    """Measure and print a table of ratios."""
    if root and one:
        click.echo(json.dumps(measure(root, one)))
        return
    for kind, count in (("large", large), ("small", small)):
        if count:
            folder = Path(tempfile.mkdtemp(prefix="vflan-bench-"))
            try:
                write_corpus(folder, kind, count)
                table(folder, rounds, quick)
            finally:
                shutil.rmtree(folder)


if __name__ == "__main__":
    main()
