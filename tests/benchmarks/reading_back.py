"""Reading compiled instances back, shuffled and decoded: `python -m tests.benchmarks.reading_back`.

The same JPEGs in our shards, in tar files of webdataset and in MDS of mosaicml-streaming, each read through a
torch DataLoader in a process of its own: seconds to the first batch, and samples a second after it. Ours also
with other sizes of row groups, and without a page index. `--memory` measures instead what shuffled streams of
one and of several configs hold. Peers that are not installed are left out. With `--workers 0` all is done in
one process, whose CPU seconds hardly depend on what else runs.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import pyarrow.dataset
import pyarrow.parquet as pq
from PIL import Image

from tests.benchmarks.compile import cpu_seconds, mosaic, vflan, webdataset, write_corpus
from tests.benchmarks.memory import peak_gib
from vision_flan.dataset.row_groups import ROW_GROUP_ROWS
from vision_flan.dataset.shards import _DICTIONARY, COMPRESSION

BATCH, BUFFER, CONFIGS = 32, 1000, 187
#: Rows of a row group, and whether there is a page index.
LAYOUTS = {
    f"{ROW_GROUP_ROWS}": (ROW_GROUP_ROWS, True),
    f"{ROW_GROUP_ROWS}, no page index": (ROW_GROUP_ROWS, False),
    "10": (10, True),
    "1000": (1000, True),
}
#: A file is not kept in memory as it is read.
_NOT_KEPT = {"fragment_scan_options": pyarrow.dataset.ParquetFragmentScanOptions(pre_buffer=False)}
#: How a stream is read: arguments of `load_dataset` and of `shuffle`.
STREAMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "as it comes": ({}, {"buffer_size": BUFFER}),
    "pre_buffer off": (_NOT_KEPT, {"buffer_size": BUFFER}),
    "pre_buffer off, 3 inputs, buffer of 200": (
        _NOT_KEPT,
        {"buffer_size": 200, "max_buffer_input_shards": 3},
    ),
}


def decoded(samples: Sequence[Any]) -> int:
    """What a worker does with a batch; pixels do not leave it."""
    for sample in samples:
        image = sample["image"] if isinstance(sample, dict) else sample
        image = image if isinstance(image, Image.Image) else Image.open(io.BytesIO(image))
        image.convert("RGB").load()
    return len(samples)


def loaded(dataset: Any, workers: int, *, shuffle: bool | None = None) -> Iterator[int]:
    from torch.utils.data import DataLoader

    loader: Any = DataLoader(
        dataset, batch_size=BATCH, num_workers=workers, shuffle=shuffle, collate_fn=decoded
    )
    return iter(loader)


class Rows:
    """A map-style dataset."""

    def __init__(self, size: int, image: Callable[[int], Any]) -> None:
        self._size, self._image = size, image

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, row: int) -> Any:
        return self._image(row)


def shards(folder: Path) -> list[str]:
    return sorted(map(str, folder.rglob("*.parquet")))


def map_style(folder: Path, workers: int) -> Iterator[int]:
    """`load_dataset`, which writes all images to its cache the first time."""
    import datasets

    datasets.disable_progress_bars()
    cache = str(folder / "cache")
    made = datasets.load_dataset("parquet", data_files=shards(folder), split="train", cache_dir=cache)
    return loaded(Rows(len(made), lambda row: made[row]["image"]), workers, shuffle=True)


def streamed(files: Sequence[str], how: str) -> Any:
    """A shuffled stream of shards."""
    import datasets

    reading, shuffling = STREAMS[how]
    made = datasets.load_dataset("parquet", data_files=list(files), split="train", streaming=True, **reading)
    return made.shuffle(seed=0, **shuffling)


def stream(folder: Path, workers: int) -> Iterator[int]:
    return loaded(streamed(shards(folder), "as it comes"), workers)


def trainer(folder: Path, workers: int) -> Iterator[int]:
    """`vflan train` reads shards in place."""
    from vision_flan.train.corpus import Table

    table = Table(folder, "bench_task", [Path(path) for path in shards(folder)])
    return loaded(Rows(len(table), table.image), workers, shuffle=True)


def tars(folder: Path, workers: int) -> Iterator[int]:
    import webdataset as wds

    urls = sorted(map(str, folder.glob("*.tar")))
    made = wds.WebDataset(urls, shardshuffle=len(urls), seed=0).shuffle(BUFFER)
    return loaded(made.map(lambda sample: sample["jpg"]), workers)


def mds(folder: Path, workers: int) -> Iterator[int]:
    from streaming import StreamingDataset

    return loaded(StreamingDataset(local=str(folder / "mds"), shuffle=True, batch_size=BATCH), workers)


#: name -> (package it needs, how, the folders of `written` that it reads)
READERS: dict[str, tuple[str, Callable[[Path, int], Iterator[int]], Sequence[str]]] = {
    "datasets, map-style, first time": ("datasets", map_style, [str(ROW_GROUP_ROWS)]),
    "datasets, map-style, again": ("datasets", map_style, [str(ROW_GROUP_ROWS)]),
    "datasets, stream": ("datasets", stream, list(LAYOUTS)),
    "vflan train, map-style": ("torch", trainer, list(LAYOUTS)),
    "webdataset, stream": ("webdataset", tars, ["tar"]),
    "MDS, stream": ("streaming", mds, ["mds"]),
}


def measure(name: str, folder: Path, workers: int) -> dict[str, float]:
    """One pass in this process: seconds to the first batch, samples a second after it, CPU and memory."""
    package, read, _ = READERS[name]
    importlib.import_module(package)
    importlib.import_module("torch.utils.data")
    begun, busy = time.perf_counter(), cpu_seconds()
    batches = read(folder, workers)
    first = next(batches)
    to_first, busy_to_first = time.perf_counter() - begun, cpu_seconds() - busy
    rest = sum(batches)
    seconds = time.perf_counter() - begun
    del batches  # workers end, and their time counts
    return {
        "first": to_first,
        "rate": rest / (seconds - to_first),
        "cpu_first": busy_to_first,
        "cpu_ms": (cpu_seconds() - busy) * 1000 / (first + rest),
        "GiB": peak_gib(),
    }


def held(how: str, folder: Path, configs: int, *, together: bool) -> dict[str, float]:
    """Memory of a shuffled stream of each of some configs, one sample of each in turn; or of all together."""
    import datasets

    files = [shards(folder / f"config-{i}") for i in range(configs)]
    groups = [[path for paths in files for path in paths]] if together else files
    streams = [streamed(paths, how) for paths in groups]
    mixed = datasets.interleave_datasets(streams) if len(streams) > 1 else streams[0]
    begun = time.perf_counter()
    samples = iter(mixed)
    next(samples)
    first = time.perf_counter() - begun
    for _ in zip(range(1000), samples, strict=False):
        pass
    return {"first": first, "rate": 1000 / (time.perf_counter() - begun - first), "GiB": peak_gib()}


def rewritten(source: Path, target: Path, rows: int, *, page_index: bool) -> None:
    """The shards below a folder with other row groups."""
    target.mkdir()
    for path in shards(source):
        file = pq.ParquetFile(path)
        with pq.ParquetWriter(
            target / Path(path).name,
            file.schema_arrow,
            compression=COMPRESSION,
            use_dictionary=_DICTIONARY,
            write_statistics=["id", "source_id"],
            write_page_index=page_index,
        ) as writer:
            for batch in file.iter_batches(rows):
                writer.write_batch(batch, row_group_size=rows)


def child(*arguments: str) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.benchmarks.reading_back", *arguments]
    done: dict[str, float] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return done


def written(root: Path) -> None:
    """The images in every format, in a folder each."""
    formats = (
        ("vision_flan", vflan(1), "ours"),
        ("webdataset", webdataset, "tar"),
        ("streaming", mosaic, "mds"),
    )
    for package, write, folder in formats:
        if importlib.util.find_spec(package) is not None:
            (root / folder).mkdir()
            write(root, root / folder)
    for layout, (rows, page_index) in LAYOUTS.items():
        rewritten(root / "ours", root / layout, rows, page_index=page_index)


def table(root: Path, names: Sequence[str], rounds: int, workers: int) -> None:
    """Print the best of some rounds of each reader and layout."""
    written(root)
    click.echo("| | rows of a group | first batch, s | CPU s | samples/s | CPU ms a sample | GiB |")
    click.echo("|---|---|---:|---:|---:|---:|---:|")
    for name in names:
        package, _, folders = READERS[name]
        if importlib.util.find_spec(package) is None:
            continue
        for folder in folders:
            options = ("--root", str(root / folder), "--workers", str(workers), "--one", name)
            runs = [child(*options) for _ in range(1 if name.endswith("first time") else rounds)]
            best = {key: (max if key == "rate" else min)(run[key] for run in runs) for key in runs[0]}
            click.echo(
                f"| {name} | {folder if folder in LAYOUTS else ''} | {best['first']:.2f} | "
                f"{best['cpu_first']:.2f} | {best['rate']:,.0f} | {best['cpu_ms']:.2f} | {best['GiB']:.2f} |"
            )


def memory_table(root: Path) -> None:
    """Print what shuffled streams hold. The configs have the same shards, under other names."""
    (root / "ours").mkdir()
    vflan(1)(root, root / "ours")
    for i in range(CONFIGS):
        (root / f"config-{i}").mkdir()
        for path in shards(root / "ours"):
            os.link(path, root / f"config-{i}" / Path(path).name)
    click.echo("| | configs | first sample, s | samples/s | GiB |\n|---|---:|---:|---:|---:|")
    for how in STREAMS:
        for configs, together in ((1, False), (3, False), (3, True), (CONFIGS, True)):
            options = ("--root", str(root), "--held", how, "--configs", str(configs))
            done = child(*options, *(["--together"] if together else []))
            name = f"{how}, one stream of all" if together else how
            click.echo(
                f"| {name} | {configs} | {done['first']:.2f} | {done['rate']:,.0f} | {done['GiB']:.2f} |"
            )


@click.command()
@click.option("--count", default=6_000, show_default=True, help="JPEGs of 99 kB.")
@click.option("--rounds", default=2, show_default=True, help="The best of so many runs counts.")
@click.option("--workers", default=2, show_default=True, help="Of the DataLoader.")
@click.option("--reader", "only", multiple=True, type=click.Choice(list(READERS)), help="Only these.")
@click.option("--memory", is_flag=True, help="Measure what shuffled streams hold.")
@click.option("--root", type=click.Path(path_type=Path), hidden=True)
@click.option("--one", hidden=True)
@click.option("--held", "how", hidden=True)
@click.option("--configs", default=1, hidden=True)
@click.option("--together", is_flag=True, hidden=True)
def main(
    count: int,
    rounds: int,
    workers: int,
    only: tuple[str, ...],
    memory: bool,
    root: Path | None,
    one: str | None,
    how: str | None,
    configs: int,
    together: bool,
) -> None:
    """Measure and print a table."""
    if root:
        click.echo(
            json.dumps(
                measure(one, root, workers) if one else held(how or "", root, configs, together=together)
            )
        )
        return
    folder = Path(tempfile.mkdtemp(prefix="vflan-bench-"))
    try:
        write_corpus(folder, "large", count)
        memory_table(folder) if memory else table(folder, only or list(READERS), rounds, workers)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
