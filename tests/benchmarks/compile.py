"""The cost of compiling, as ratios within one run: `python -m tests.benchmarks.compile`.

A is the time to read every image and write its bytes to one file, one process: the limit. Against it, each in
a process of its own: our compile with one job, which has threads, with one job on a single core, from which
the gain of the second core counts, and with two jobs; and what one would write without this package.
It joins the captions of a COCO-style JSON to their images as we do, but for imagefolder, and checks nothing.
What peers need is in no lock: `pip install webdataset mosaicml-streaming litdata` adds them.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import forkserver, get_context
from pathlib import Path
from typing import Any, TypedDict

import click

from tests.benchmarks import script
from tests.benchmarks.corpus import jpegs, pngs
from tests.benchmarks.memory import peak_gib
from tests.toy import LICENSE

#: Writes what is in the first folder to the second.
Work = Callable[[Path, Path], None]

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


def vflan(jobs: int, cores: int | None = None) -> Work:
    """Our compile, on the first of the cores that this process may use, if not on all of them."""

    def compile_it(root: Path, out: Path) -> None:
        from vision_flan.build.compile import Options, compile_task
        from vision_flan.build.engines import EngineSpec
        from vision_flan.build.memory import go_without_pandas
        from vision_flan.report import Silent
        from vision_flan.spec.catalog import Catalog

        if cores is not None:  # one job has a second thread where there is a core for it
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
        go_without_pandas()  # as the command does
        catalog = Catalog(root / "specs", root / "instructions")
        options = Options(engine=EngineSpec(jobs=jobs))
        compile_task("bench_task", root / "raw", out, catalog, options, Silent())

    return compile_it


class Row(TypedDict):
    """What a peer writes of an image."""

    id: str
    image: dict[str, object]
    instruction: str
    target: str


def rows_of(root: Path, part: int = 0, of: int = 1) -> Iterator[Row]:
    """Images with their captions, joined as a script of few lines would; or every `of`-th of them."""
    document = json.loads((root / "raw/bench/captions.json").read_bytes())
    names = {image["id"]: image["file_name"] for image in document["images"]}
    for annotation in document["annotations"][part::of]:
        name = names[annotation["image_id"]]
        image = {"bytes": (root / "raw/bench/images" / name).read_bytes(), "path": name}
        yield {"id": name, "image": image, "instruction": INSTRUCTION, "target": annotation["caption"]}


def _features() -> Any:
    import datasets

    texts = {name: datasets.Value("string") for name in ("id", "instruction", "target")}
    return datasets.Features(texts | {"image": datasets.Image()})


def _parts(root: Path, parts: list[int], of: int) -> Iterator[Row]:
    for part in parts:
        yield from rows_of(root, part, of)


def from_generator(jobs: int) -> Work:
    def write(root: Path, out: Path) -> None:
        import datasets

        datasets.disable_progress_bars()
        made = datasets.Dataset.from_generator(
            _parts,
            gen_kwargs={"root": root, "parts": list(range(jobs)), "of": jobs},
            features=_features(),
            cache_dir=str(out / "cache"),
            num_proc=jobs if jobs > 1 else None,
        )
        made.to_parquet(str(out / "peer.parquet"))

    return write


def iterable(root: Path, out: Path) -> None:
    import datasets

    made = datasets.IterableDataset.from_generator(rows_of, gen_kwargs={"root": root}, features=_features())
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


def _side_by_side(write: Callable[[Path, Path, int, int], None], jobs: int) -> Work:
    """Each of some processes writes its part of the rows to shards of its own."""

    def work(root: Path, out: Path) -> None:
        if jobs == 1:
            write(root, out, 0, 1)
            return
        with ProcessPoolExecutor(jobs, get_context("fork")) as pool:
            for future in [pool.submit(write, root, out, part, jobs) for part in range(jobs)]:
                future.result()

    return work


def webdataset(root: Path, out: Path, part: int, of: int) -> None:
    import webdataset as wds

    with wds.ShardWriter(str(out / f"{part}-%05d.tar"), maxsize=256e6, verbose=0) as writer:
        for row in rows_of(root, part, of):
            stem, _, suffix = row["id"].rpartition(".")
            texts = {"instruction": row["instruction"], "target": row["target"]}
            writer.write({"__key__": stem, suffix: row["image"]["bytes"], "json": texts})


def mosaic(root: Path, out: Path, part: int, of: int) -> None:
    from streaming import MDSWriter

    columns = {"id": "str", "image": "bytes", "instruction": "str", "target": "str"}
    folder = str(out / f"mds-{part}")
    with MDSWriter(out=folder, columns=columns, hashes=["sha256"], size_limit=256 << 20) as writer:
        for row in rows_of(root, part, of):
            writer.write({**row, "image": row["image"]["bytes"]})


def _lit_row(order: tuple[Path, str, str]) -> dict[str, object]:
    root, name, caption = order
    image = (root / "raw/bench/images" / name).read_bytes()
    return {"id": name, "image": image, "instruction": INSTRUCTION, "target": caption}


def litdata(jobs: int) -> Work:
    def write(root: Path, out: Path) -> None:
        import litdata as lit

        document = json.loads((root / "raw/bench/captions.json").read_bytes())
        names = {image["id"]: image["file_name"] for image in document["images"]}
        orders = [(root, names[one["image_id"]], one["caption"]) for one in document["annotations"]]
        lit.optimize(
            _lit_row, orders, str(out / "lit"), chunk_bytes="256MB", num_workers=jobs, reorder_files=False,
            start_method="fork", verbose=False,
        )  # fmt: skip

    return write


#: name -> (package it needs, work)
RUNS: dict[str, tuple[str, Work]] = {
    "limit: read and write": ("os", limit),
    "vflan, 1 job": ("os", vflan(1)),
    "vflan, 1 job on one core": ("os", vflan(1, cores=1)),
    "vflan, 2 jobs": ("os", vflan(2)),
    "a script with pyarrow": ("pyarrow", _side_by_side(script.write, 1)),
    "a script with pyarrow, 2 processes": ("pyarrow", _side_by_side(script.write, 2)),
    "datasets, from_generator": ("datasets", from_generator(1)),
    "datasets, from_generator, 2 processes": ("datasets", from_generator(2)),
    "datasets, IterableDataset": ("datasets", iterable),
    "datasets, imagefolder": ("datasets", imagefolder),
    "webdataset": ("webdataset", _side_by_side(webdataset, 1)),
    "webdataset, 2 processes": ("webdataset", _side_by_side(webdataset, 2)),
    "mosaicml-streaming": ("streaming", _side_by_side(mosaic, 1)),
    "mosaicml-streaming, 2 processes": ("streaming", _side_by_side(mosaic, 2)),
    "litdata": ("litdata", litdata(1)),
    "litdata, 2 processes": ("litdata", litdata(2)),
}
#: Takes minutes on small images.
SLOW = "datasets, imagefolder"


def cpu_seconds() -> float:
    """Of this process and its children, of which none is needed any more."""
    server: Any = forkserver._forkserver  # workers are its children, not ours
    if server._forkserver_pid is not None:
        server._stop()
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def touch_memory(folder: Path, size: int) -> None:
    """Write and remove a file: a virtual machine gives freed memory back, and who next asks for it waits."""
    file, piece = folder / "touched", bytes(2**22)
    with file.open("wb", buffering=0) as sink:
        for _ in range(-(-size // len(piece))):
            sink.write(piece)
    file.unlink()


def measure(root: Path, name: str) -> dict[str, float]:
    """One run in this process: seconds and CPU seconds without its imports, GiB of the largest process.

    CPU seconds count those of child processes, imports included, and hardly depend on what else runs.
    """
    package, work = RUNS[name]
    importlib.import_module(package)
    if name.startswith("vflan"):
        importlib.import_module("vision_flan.build.compile")
    with tempfile.TemporaryDirectory(prefix="out-", dir=root) as out:
        touch_memory(Path(out), sum(path.stat().st_size for path in images_of(root)))
        os.sync()
        begun, busy = time.perf_counter(), cpu_seconds()
        work(root, Path(out))
        seconds, busy = time.perf_counter() - begun, cpu_seconds() - busy
    return {
        "seconds": seconds,
        "cpu": busy,
        "GiB": peak_gib(),
    }


#: No script of its own, which workers would import: those of the command find theirs loaded.
_ONE = "import sys; from tests.benchmarks.compile import print_one; print_one(*sys.argv[1:])"


def measured(root: Path, name: str, one: str = _ONE) -> dict[str, float] | None:
    """One run in a process of its own, whose imports are compiled; None if it fails.

    Args:
        one: what that process does.
    """
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment["OPENBLAS_NUM_THREADS"] = "1"  # numpy starts no threads that nobody needs, as in the command
    command = [sys.executable, "-c", one, str(root), name]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=environment)
    return dict(json.loads(done.stdout.splitlines()[-1])) if done.returncode == 0 else None


def print_one(root: str, name: str) -> None:
    """Measure one run in this process and print the figures."""
    click.echo(json.dumps(measure(Path(root), name)))


def table(root: Path, rounds: int, quick: bool) -> None:
    """Print the best of some rounds of each."""
    count = len(images_of(root))
    size = sum(path.stat().st_size for path in images_of(root))
    best: dict[str, dict[str, float]] = {}
    missing: dict[str, str] = {}
    for _ in range(rounds):
        for name, (package, _work) in RUNS.items():
            if quick and name == SLOW:
                continue
            if importlib.util.find_spec(package) is None:
                missing[name] = "not installed"
                continue
            done = measured(root, name)
            if done is None:
                missing[name] = "failed"
                continue
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
    for name, why in missing.items():
        click.echo(f"| {name} | {why} | | | | | |")


@click.command()
@click.option("--large", default=10_000, show_default=True, help="JPEGs of 84 kB; 0 for none.")
@click.option("--small", default=40_000, show_default=True, help="PNGs of 2 kB; 0 for none.")
@click.option("--rounds", default=3, show_default=True, help="The best of so many runs counts.")
@click.option("--quick", is_flag=True, help="Leave out imagefolder, which takes minutes on small images.")
def main(large: int, small: int, rounds: int, quick: bool) -> None:
    """Measure and print a table of ratios."""
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
