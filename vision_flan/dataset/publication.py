"""The form in which a compiled task may be published, and the recipe form, which has no images.

The license decides (`source.license.redistribute_images` of the manifest): `yes` is published whole,
`unclear` whole only on request, `no` as a recipe. A recipe has all columns except the image; in its place it
has the path in the upstream layout, the sha256 and the size. `vflan rehydrate` restores the images.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from vision_flan.columns import COLUMNS, IMAGE, arrow_type, features_dict
from vision_flan.dataset.manifest import Manifest
from vision_flan.dataset.shards import ShardFacts
from vision_flan.errors import Location

WHOLE = "whole"
RECIPE = "recipe"
#: Folder of the recipes in the repository; whole tasks are in `<task>/`, as in a compiled folder.
RECIPE_FOLDER = "recipe"

#: Columns of a recipe in place of `image`: name -> (type, meaning).
RECIPE_COLUMNS: dict[str, tuple[str, str]] = {
    "image_path": ("string", "Location of the image in upstream's layout."),
    "image_sha256": ("string", "SHA-256 of the image's bytes, in hex; empty where there is no image."),
    "image_width": ("int32", "Width in pixels as stored."),
    "image_height": ("int32", "Height in pixels as stored."),
}


@dataclass(frozen=True)
class Publication:
    """How a task is published.

    Attributes:
        form: whole or recipe.
        license: yes, unclear or no, as the source's fact sheet says.
        reason: why a restricted task is published whole, as stated by the publisher.
        shards: the files in the repository.
    """

    form: str
    license: str
    reason: str = ""
    shards: tuple[ShardFacts, ...] = ()


@dataclass(frozen=True)
class PublishedTask:
    """A manifest and its form of publication: `manifest/<task>.json` on the Hub."""

    manifest: Manifest
    publication: Publication

    @property
    def task(self) -> str:
        return self.manifest.task

    @property
    def rows(self) -> int:
        return sum(shard.rows for shard in self.publication.shards)

    def to_json(self) -> str:
        """The manifest with a `published` block. Times of raw files are omitted: they differ by machine."""
        data = json.loads(self.manifest.to_json())
        for file in data["raw_files"]:
            file.pop("mtime", None)
        data["published"] = asdict(self.publication)
        return json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, place: Location) -> PublishedTask:
        """Read `manifest/<task>.json` of a repository; without `published`, the task is whole."""
        try:
            data = json.loads(text)
        except ValueError:
            data = None
        published = data.pop("published", None) if isinstance(data, dict) else None
        manifest = Manifest.from_json(json.dumps(data), place)
        if published is None:
            return cls(manifest, Publication(WHOLE, license_of(manifest), "", manifest.shards))
        shards = tuple(ShardFacts(**shard) for shard in published.pop("shards"))
        return cls(manifest, Publication(**published, shards=shards))


def license_of(manifest: Manifest) -> str:
    """yes, unclear or no; any other value counts as no."""
    verdict = str(manifest.source.get("license", {}).get("redistribute_images", "no"))
    return verdict if verdict in ("yes", "unclear") else "no"


def decide(manifest: Manifest, *, include_unclear: bool, allowed: Mapping[str, str]) -> Publication:
    """The form a task may be published in.

    Args:
        manifest: of the compiled task.
        include_unclear: publish images whose license is unclear.
        allowed: task -> reason, for tasks whose rights the publisher holds.
    """
    license = license_of(manifest)
    if license == "yes" or (license == "unclear" and include_unclear):
        return Publication(WHOLE, license, "", manifest.shards)
    if manifest.task in allowed:
        return Publication(WHOLE, license, allowed[manifest.task], manifest.shards)
    return Publication(RECIPE, license)


def data_files(published: PublishedTask) -> str:
    """The pattern of a config's shards in the repository."""
    folder = published.task if published.publication.form == WHOLE else f"{RECIPE_FOLDER}/{published.task}"
    return f"{folder}/{published.manifest.split}-*.parquet"


def recipe_schema() -> pa.Schema:
    """Arrow schema of a recipe with the `huggingface` metadata."""
    features = {name: features_dict()[name] for name in COLUMNS if name != IMAGE}
    features |= {name: {"dtype": kind, "_type": "Value"} for name, (kind, _) in RECIPE_COLUMNS.items()}
    fields = [pa.field(name, arrow_type(name)) for name in COLUMNS if name != IMAGE]
    fields += [
        pa.field(name, pa.int32() if kind == "int32" else pa.string())
        for name, (kind, _) in RECIPE_COLUMNS.items()
    ]
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema(fields, metadata=metadata)


def recipes_cached(manifest: Manifest, cache: Path) -> bool:
    """Whether the recipes of these shards exist already."""
    return all(_cached(cache, shard).exists() for shard in manifest.shards)


def _cached(cache: Path, shard: ShardFacts) -> Path:
    return cache / f"{shard.sha256}.parquet"


def write_recipes(folder: Path, manifest: Manifest, cache: Path) -> Iterator[tuple[Path, ShardFacts]]:
    """Make one recipe for each shard of a task.

    In `cache`, a recipe is named after the checksum of its shard, so that it is made only once.

    Yields:
        (the local file, its facts with the path in the repository).
    """
    cache.mkdir(parents=True, exist_ok=True)
    for shard in manifest.shards:
        target = _cached(cache, shard)
        if not target.exists():
            temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
            try:
                _write_recipe(folder / shard.path, temporary)
                temporary.replace(target)
            finally:
                temporary.unlink(missing_ok=True)
        with target.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        path = f"{RECIPE_FOLDER}/{shard.path}"
        yield target, replace(shard, path=path, bytes=target.stat().st_size, sha256=sha256)


def _write_recipe(shard: Path, target: Path) -> None:
    schema = recipe_schema()
    with pq.ParquetFile(shard) as source, pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for group in range(source.num_row_groups):
            writer.write_table(recipe_table(source.read_row_group(group), schema))


def recipe_table(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """The rows of a shard without their images."""
    images = rows.column(IMAGE).combine_chunks()
    facts = [_image_facts(value.as_buffer()) for value in images.field("bytes")]
    columns = {name: rows.column(name) for name in schema.names if name not in RECIPE_COLUMNS}
    columns["image_path"] = images.field("path")
    for name, values in zip(
        ("image_sha256", "image_width", "image_height"), zip(*facts, strict=True), strict=True
    ):
        columns[name] = pa.array(values, schema.field(name).type)
    return pa.table(columns, schema)


def _image_facts(data: Any) -> tuple[str, int | None, int | None]:
    if data is None:
        return "", None, None
    content = data.to_pybytes()
    sha256 = hashlib.sha256(content).hexdigest()
    try:
        with Image.open(io.BytesIO(content)) as image:
            return sha256, image.width, image.height
    except (OSError, Image.DecompressionBombError):
        return sha256, None, None
