"""Compiled folders to publish: real shards and manifests; each image has bytes to search for."""

from __future__ import annotations

import io
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from vision_flan.dataset.card import write_card
from vision_flan.dataset.contents import Contents
from vision_flan.dataset.manifest import Manifest, manifest_path, write_atomically
from vision_flan.dataset.shards import ShardFacts, ShardWriter
from vision_flan.instances.maker import Instance, Instances
from vision_flan.spec.model import CATEGORIES

SOURCE: dict[str, Any] = {
    "title": "A Source",
    "homepage": "https://example.org/source",
    "license": {
        "images": {"name": "CC BY 4.0", "spdx": "CC-BY-4.0", "verdict": "yes"},
        "annotations": {"name": "CC BY 4.0", "spdx": "CC-BY-4.0", "verdict": "yes"},
        "note": "",
    },
    "citation": "@misc{key,\n  title = {A Source}\n}",
    "access": "direct",
    "sensitive": [],
    "languages": ["en"],
}


def source(dataset: str, verdict: str = "yes", **changes: Any) -> dict[str, Any]:
    """The manifest's facts about a dataset."""
    license = SOURCE["license"]
    if verdict != "yes":
        images = {"name": "non-commercial research only", "spdx": None, "verdict": verdict}
        license = {**license, "images": images, "note": "Ask | the authors."}
    return {
        **SOURCE,
        "title": dataset.replace("_", " ").title(),
        "citation": f"@misc{{{dataset},\n  title = {{{dataset}}}\n}}",
        "license": license,
        **changes,
    }


def image(seed: str, noise: int = 600) -> bytes:
    """A PNG whose end is `noise` random bytes drawn from `seed`, unlike those of any other image."""
    file = io.BytesIO()
    Image.new("RGB", (8, 6), (len(seed) % 256, 90, 30)).save(file, "PNG")
    return file.getvalue() + marker(seed, noise)


def marker(seed: str, noise: int = 600) -> bytes:
    return random.Random(seed).randbytes(noise)


def compile_task(
    folder: Path,
    task: str,
    *,
    redistribute: str = "yes",
    rows: int = 4,
    shards: int = 1,
    version: str = "1",
    noise: int = 600,
    **about: Any,
) -> Manifest:
    """Write shards and manifest of one task as the compiler does.

    Args:
        redistribute: what the license says of the images.
        version: other versions give other images, as a changed spec would.
        noise: random bytes in each image.
    """
    dataset = about.pop("dataset", task.split("_")[-1])
    facts_of_source = about.pop("source", None) or source(dataset, redistribute)
    contents = Contents()
    facts = [
        _shard(folder, task, f"{at:05d}-of-{shards:05d}", rows, version, noise, dataset, contents)
        for at in range(shards)
    ]
    manifest = Manifest(
        **{
            "task": task,
            "title": task.replace("_", " "),
            "alias": None,
            "dataset": dataset,
            "category": CATEGORIES[sum(task.encode()) % len(CATEGORIES)],
            "suites": ("vision_flan",),
            "split": "train",
            "form": "label",
            "spec_sha256": f"{sum(version.encode()):064x}",
            "versions": {"vision_flan": "0.1.0", "duckdb": "2.0.1", "pillow": "12.0.0", "pyarrow": "26.0.0"},
            "seed": 0,
            "limit": 10_000,
            "image_check": "header",
            "raw_files": ({"path": "raw.json", "bytes": 10, "mtime": 1_700_000_000},),
            "counts": {
                "candidates": rows * shards + 2,
                "written": rows * shards,
                "dropped": {"no_image": 1},
                "examples": {"no_image": "17"},
                "not_needed": 1,
            },
            "images": {"files": rows * shards, "missing": 1, "sha256": "0" * 64},
            "contents": contents.facts(),
            "shards": tuple(facts),
            "num_bytes": sum(fact.bytes for fact in facts),
            "source": facts_of_source,
            **about,
        }
    )
    write_atomically(manifest_path(folder, task), manifest.to_json())
    return manifest


def _shard(
    folder: Path,
    task: str,
    name: str,
    rows: int,
    version: str,
    noise: int,
    dataset: str,
    contents: Contents,
) -> ShardFacts:
    path = f"{task}/train-{name}.parquet"
    (folder / task).mkdir(parents=True, exist_ok=True)
    with ShardWriter(folder / task, name) as writer:
        for row in range(rows):
            key = f"{name}-{row}"
            texts: Mapping[str, str] = {
                "id": f"{task}/{key}",
                "source_id": key,
                "task": task,
                "source": dataset,
            }
            one = instance(task, key, texts, image(f"{task} {version} {key}", noise))
            writer.add(Instances.of([one]))
    contents.merge(writer.contents)
    (shard,) = writer.facts
    (folder / task / shard.path).rename(folder / path)
    return replace(shard, path=path)


def instance(task: str, key: str, texts: Mapping[str, str], image: bytes) -> Instance:
    from vision_flan.columns import TEXT_COLUMNS

    values = tuple(texts.get(name, f"{name} of {key}") for name in TEXT_COLUMNS)
    return Instance(values=values, options=["yes", "no"], image=image, image_path=f"images/{key}.png")


def compile_folder(folder: Path, tasks: Mapping[str, str], **options: Any) -> Path:
    """A compiled folder of several tasks: task -> what its license says of the images."""
    for task, redistribute in tasks.items():
        compile_task(folder, task, redistribute=redistribute, **options)
    write_card(folder)
    return folder
