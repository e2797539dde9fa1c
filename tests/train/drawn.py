"""Digits and folders drawn on the spot, as `vflan compile` leaves them. Needs no pytest."""

import hashlib
import io
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw, ImageFont

from vision_flan.columns import arrow_schema

QUESTION = "Which digit is drawn in the image?"


def draw_digit(digit: int, rng: random.Random, size: tuple[int, int] = (32, 32)) -> bytes:
    """A digit on a colored, blotched ground, as MNIST-M has them."""
    ground = tuple(rng.randrange(60, 200) for _ in range(3))
    ink = tuple((channel + 128 + rng.randrange(-20, 20)) % 256 for channel in ground)
    image = Image.new("RGB", size, ground)
    canvas = ImageDraw.Draw(image)
    for _ in range(6):
        x, y = rng.randrange(size[0]), rng.randrange(size[1])
        shade = tuple(min(255, max(0, channel + rng.randrange(-15, 15))) for channel in ground)
        canvas.ellipse((x - 5, y - 5, x + 5, y + 5), fill=shade)
    place = (size[0] // 2 + rng.randrange(-1, 2), size[1] // 2 + rng.randrange(-1, 2))
    canvas.text(place, str(digit), fill=ink, font=ImageFont.load_default(28), anchor="mm")
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def row(
    task: str,
    key: str,
    image: bytes | None,
    prompt: str,
    target: str,
    category: str,
    later: tuple[tuple[str, str], ...] = (),
) -> dict[str, Any]:
    return {
        "id": f"{task}/{key}",
        "image": None if image is None else {"bytes": image, "path": f"{key}.png"},
        "instruction": prompt,
        "input": "",
        "options": [],
        "target": target,
        "prompt": prompt,
        "turns": [{"user": user, "assistant": assistant} for user, assistant in ((prompt, target), *later)],
        "task": task,
        "category": category,
        "source": "drawn",
        "source_id": key,
    }


def digit_rows(task: str, count: int, seed: int, size: tuple[int, int] = (32, 32)) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    return [
        row(task, f"{n:05}", draw_digit(n % 10, rng, size), QUESTION, str(n % 10), "General Object")
        for n in range(count)
    ]


def write_manifest(folder: Path, task: str, split: str = "train") -> None:
    """The manifest of the shards that a task has in this folder."""
    from vision_flan.dataset.manifest import Manifest, manifest_path, write_atomically
    from vision_flan.dataset.shards import ShardFacts

    shards = tuple(
        ShardFacts(
            path=file.relative_to(folder).as_posix(),
            rows=pq.read_metadata(file).num_rows,
            bytes=file.stat().st_size,
            sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        )
        for file in sorted((folder / task).glob("*.parquet"))
    )
    manifest = Manifest(
        task=task,
        title=task,
        alias=None,
        dataset="drawn",
        category="General Object",
        suites=("vision_flan",),
        split=split,
        form="label",
        spec_sha256="0" * 64,
        versions={},
        seed=0,
        limit=None,
        image_check="header",
        raw_files=(),
        counts={"candidates": 0, "written": 0, "dropped": {}},
        shards=shards,
        num_bytes=0,
        source={"title": "Drawn", "homepage": "https://example.org", "license": {}},
    )
    write_atomically(manifest_path(folder, task), manifest.to_json())


def write_compiled(folder: Path, tasks: dict[str, list[dict[str, Any]]]) -> Path:
    """A folder as `vflan compile` leaves it."""
    import yaml

    for task, rows in tasks.items():
        (folder / task).mkdir(parents=True)
        table = pa.Table.from_pylist(rows, schema=arrow_schema())
        pq.write_table(table, folder / task / "train-00000-of-00001.parquet")
        write_manifest(folder, task)
    configs = [
        {"config_name": task, "data_files": [{"split": "train", "path": f"{task}/train-*.parquet"}]}
        for task in tasks
    ]
    infos = [{"config_name": task} for task in tasks]
    card = yaml.safe_dump({"configs": configs, "dataset_info": infos})
    (folder / "README.md").write_text(f"---\n{card}---\n# drawn\n")
    return folder
