"""How time and memory of a compile grow with the number of images: `python -m tests.benchmarks.growth`.

PNGs of 2 kB as files, in a zip, in a tar, and in Parquet; one job, each compile in its own process. Prints
CPU seconds, which hardly depend on what else runs, memory, and for each place the exponent e of the fitted
CPU = c * images^e: 1 is linear, less means that a fixed part still weighs.
"""

from __future__ import annotations

import io
import json
import math
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tests.benchmarks.compile import CAPTION, DATASET, INSTRUCTION, TASK, cpu_seconds, vflan
from tests.benchmarks.memory import peak_gib

#: Different images; names and captions differ for all.
_VARIANTS = 500
_GROUP = 1_000
_TABLES = DATASET.index("tables:")
_SPECS = {
    "files": DATASET,
    "zip": DATASET.replace("{path: images}", "{path: images.zip, provides: [images/]}"),
    "tar": DATASET.replace("{path: images}", "{path: images.tar, provides: [images/]}"),
    "parquet": DATASET[:_TABLES].replace("{path: images}", "{path: rows.parquet}")
    + """\
tables:
  rows:
    reader: parquet
    file: rows.parquet
    image_column: image
    columns: {name: VARCHAR, caption: VARCHAR}
""",
}
_PARQUET_TASK = "\n".join(
    {
        "sql": "sql: SELECT name, caption, image AS reference FROM rows",
        "image": 'image: "{{ reference }}"',
    }.get(line.partition(":")[0], line)
    for line in TASK.splitlines()
)


def images(count: int) -> Iterator[tuple[str, bytes]]:
    """Names and bytes."""
    rng = np.random.default_rng(0)
    variants = []
    for _ in range(_VARIANTS):
        sink = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (24, 28, 3), dtype=np.uint8)).save(sink, "PNG")
        variants.append(sink.getvalue())
    for i in range(count):
        yield f"{i:07}.png", variants[i % _VARIANTS]


def write_corpus(root: Path, kind: str, count: int) -> None:
    """Specs, images in their place, and captions below `root`."""
    for folder in ("specs/bench", "instructions", "raw/bench"):
        (root / folder).mkdir(parents=True)
    (root / "specs/bench/dataset.yaml").write_text(_SPECS[kind])
    (root / "specs/bench/bench_task.yaml").write_text(_PARQUET_TASK if kind == "parquet" else TASK)
    (root / "instructions/bench_task.j2").write_text(INSTRUCTION)
    raw = root / "raw/bench"
    if kind == "parquet":
        write_parquet(raw / "rows.parquet", count)
        return
    document = {
        "images": [{"id": i, "file_name": f"{i:07}.png"} for i in range(count)],
        "annotations": [{"image_id": i, "caption": CAPTION.format(i)} for i in range(count)],
    }
    (raw / "captions.json").write_text(json.dumps(document))
    if kind == "files":
        (raw / "images").mkdir()
        for name, data in images(count):
            (raw / "images" / name).write_bytes(data)
    elif kind == "zip":
        with zipfile.ZipFile(raw / "images.zip", "w") as archive:
            for name, data in images(count):
                archive.writestr(f"images/{name}", data)
    else:
        with tarfile.open(raw / "images.tar", "w") as packed:
            for name, data in images(count):
                member = tarfile.TarInfo(f"images/{name}")
                member.size = len(data)
                packed.addfile(member, io.BytesIO(data))


def write_parquet(path: Path, count: int) -> None:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema([("name", pa.string()), ("caption", pa.string()), ("image", kind)])
    with pq.ParquetWriter(path, schema) as writer:
        rows: list[dict[str, object]] = []
        for i, (name, data) in enumerate(images(count), start=1):
            image = {"bytes": data, "path": name}
            rows.append({"name": name, "caption": CAPTION.format(i), "image": image})
            if len(rows) == _GROUP or i == count:
                writer.write_table(pa.Table.from_pylist(rows, schema))
                rows = []


def measure(root: Path) -> dict[str, float]:
    """One compile in this process."""
    busy = cpu_seconds()
    vflan(1)(root, root / "out")
    manifest = json.loads((root / "out/manifest/bench_task.json").read_text())
    return {
        "cpu": cpu_seconds() - busy,
        "GiB": peak_gib(),
        "rows": sum(shard["rows"] for shard in manifest["shards"]),
    }


def exponent(counts: Sequence[int], seconds: Sequence[float]) -> float:
    """Of the straight line through the logarithms."""
    slope, _ = np.polyfit([math.log(n) for n in counts], [math.log(s) for s in seconds], 1)
    return float(slope)


@click.command()
@click.option(
    "--count", "counts", multiple=True, type=int, default=[10_000, 30_000, 100_000], show_default=True
)
@click.option("--kind", "kinds", multiple=True, type=click.Choice(list(_SPECS)), help="Only these places.")
@click.option("--one", type=click.Path(path_type=Path), hidden=True)
def main(counts: Sequence[int], kinds: Sequence[str], one: Path | None) -> None:
    """Measure and print a table."""
    if one:
        click.echo(json.dumps(measure(one)))
        return
    click.echo("| images in | images | CPU seconds | µs an image | GiB |\n|---|---:|---:|---:|---:|")
    for kind in kinds or _SPECS:
        seconds = []
        for count in counts:
            root = Path(tempfile.mkdtemp(prefix="vflan-bench-"))
            try:
                write_corpus(root, kind, count)
                command = [sys.executable, "-m", "tests.benchmarks.growth", "--one", str(root)]
                done = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
            finally:
                shutil.rmtree(root)
            if done["rows"] != count:
                raise click.ClickException(f"{done['rows']} rows of {count}")
            seconds.append(done["cpu"])
            each = done["cpu"] / count * 1e6
            click.echo(f"| {kind} | {count:,} | {done['cpu']:.2f} | {each:.0f} | {done['GiB']:.2f} |")
        if len(counts) > 1:
            click.echo(f"| {kind}, exponent | | {exponent(counts, seconds):.2f} | | |")


if __name__ == "__main__":
    main()
