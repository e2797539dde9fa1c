"""The form in which a compiled task may be published: whole, as a recipe without images, or mixed.

The verdict on its images decides (`source.license.images` of the manifest): `yes` is published whole,
`unclear` whole only on request, `no` as a recipe, `per_image` mixed. A recipe has all columns except the
image; in its place it has the path in the upstream layout, the sha256 and the size. A mixed config has both,
and the image only in rows whose own license lets it go out. `vflan rehydrate` restores the images.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from vision_flan.columns import COLUMNS, IMAGE, arrow_type, features_dict
from vision_flan.dataset.manifest import Manifest
from vision_flan.dataset.overlaps import Overlap, overlaps_from
from vision_flan.dataset.plain import record_from
from vision_flan.dataset.shards import COMPRESSION, ShardFacts
from vision_flan.errors import Location, VflanError
from vision_flan.spec.license import PER_IMAGE, UNCLEAR, YES, License, license_from

WHOLE = "whole"
MIXED = "mixed"
RECIPE = "recipe"
FORMS = (WHOLE, MIXED, RECIPE)
#: Folders of recipes and mixed configs in the repository; whole tasks are in `<task>/`, as when compiled.
RECIPE_FOLDER = "recipe"
MIXED_FOLDER = "mixed"
_FOLDERS = {WHOLE: "", MIXED: f"{MIXED_FOLDER}/", RECIPE: f"{RECIPE_FOLDER}/"}

#: Columns of a recipe in place of `image`, and of a mixed config beside it: name -> (type, meaning).
RECIPE_COLUMNS: dict[str, tuple[str, str]] = {
    "image_path": ("string", "Location of the image in upstream's layout."),
    "image_sha256": ("string", "SHA-256 of the image's bytes, in hex; empty where there is no image."),
    "image_width": ("int32", "Width in pixels as stored."),
    "image_height": ("int32", "Height in pixels as stored."),
}


@dataclass(frozen=True)
class Example:
    """An instance to look at, with a small copy of its image; see `vision_flan.dataset.gallery`.

    Attributes:
        path: of the copy, in the compiled folder and in the repository.
    """

    path: str
    bytes: int
    sha256: str
    id: str
    prompt: str
    target: str


@dataclass(frozen=True)
class Publication:
    """How a task is published.

    Attributes:
        form: whole, mixed or recipe.
        license: the verdict on the images: yes, per_image, unclear or no.
        reason: why a restricted task is published whole, as stated by the publisher.
        shards: the files in the repository.
        images: instances of a mixed config that have their image.
        example: an instance to look at, of tasks whose images anybody may see.
        overlaps: what the task shares with benchmarks, by name. Left out of the file if nothing is known.
    """

    form: str
    license: str
    reason: str = ""
    shards: tuple[ShardFacts, ...] = ()
    images: int = 0
    example: Example | None = None
    overlaps: Mapping[str, Overlap] = field(default_factory=dict)


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

    @property
    def images(self) -> int:
        """Instances that have their image."""
        form = self.publication.form
        return self.rows if form == WHOLE else self.publication.images if form == MIXED else 0

    def to_json(self) -> str:
        """The manifest with a `published` block. Times of raw files are omitted: they differ by machine."""
        data = json.loads(self.manifest.to_json())
        for file in data["raw_files"]:
            file.pop("mtime", None)
        data["published"] = asdict(self.publication)
        if not self.publication.overlaps:
            del data["published"]["overlaps"]
        return json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, place: Location) -> PublishedTask:
        """Read `manifest/<task>.json` of a repository; without `published`, the task is whole."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            data = None
        published = data.pop("published", None) if isinstance(data, dict) else None
        manifest = Manifest.from_json(json.dumps(data), place)
        if published is None:
            return cls(manifest, Publication(WHOLE, license_of(manifest), "", manifest.shards))
        try:
            publication = _publication_from(published)
        except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise VflanError(f"not a published manifest: {error}", where=place) from error
        shown = publication.example
        named = [shard.path for shard in publication.shards] + ([shown.path] if shown else [])
        outside = [path for path in named if path.startswith("/") or ".." in path.split("/")]
        if outside:
            raise VflanError(f"the file {outside[0]!r:.80} leads out of the repository", where=place)
        return cls(manifest, publication)


def _publication_from(data: dict[str, Any]) -> Publication:
    """The `published` block of a manifest; raises what a block of another form runs into."""
    example, overlaps = data.pop("example", None), overlaps_from(data.pop("overlaps", {}))
    shards = tuple(record_from(ShardFacts, shard) for shard in data.pop("shards"))
    shown = record_from(Example, example) if example else None
    made = Publication(**data, shards=shards, example=shown, overlaps=overlaps)
    if made.form not in FORMS:
        raise ValueError(f"{made.form!r:.80} is no form of publication")
    if [type(made.license), type(made.reason), type(made.images)] != [str, str, int]:
        raise ValueError("license, reason and images are not two texts and a number")
    return made


def terms_of(manifest: Manifest) -> License:
    """The license in a manifest."""
    license = manifest.source.get("license")
    return license_from(license if isinstance(license, Mapping) else {})


def license_of(manifest: Manifest) -> str:
    """The verdict on a task's images: yes, per_image, unclear or no; any other value counts as no."""
    return terms_of(manifest).images.verdict


def lacks(manifest: Manifest) -> str:
    """What the license asks for beside the images and the compiled folder does not have, "" for nothing.

    Without it a verdict of yes counts as unclear.
    """
    parts = []
    if terms_of(manifest).images.needs_credits and not manifest.attribution.get("sha256"):
        files = ", ".join(str(file) for file in manifest.attribution.get("missing", ()))
        parts.append(f"the authors of the images ({files or 'no credits in the spec'})")
    parts += [f"the notice {name}" for name, text in manifest.notices.items() if not text]
    return " and ".join(parts)


def decide(
    manifest: Manifest,
    *,
    include_unclear: bool,
    allowed: Mapping[str, str],
    credited: frozenset[str] = frozenset(),
) -> Publication:
    """The form a task may be published in.

    Args:
        manifest: of the compiled task.
        include_unclear: publish images whose license is unclear, or whose author is not known.
        allowed: task -> reason, for tasks whose rights the publisher holds.
        credited: instances whose credits let their image go out; see `attribution.permitted`.
    """
    terms = terms_of(manifest).images
    verdict = terms.verdict
    whole = Publication(WHOLE, verdict, "", manifest.shards)
    if verdict == YES and not lacks(manifest) and not terms.needs_credits:
        return whole
    if include_unclear and verdict in (YES, UNCLEAR):
        return whole
    if manifest.task in allowed:
        return Publication(WHOLE, verdict, allowed[manifest.task], manifest.shards)
    if not credited or verdict not in (YES, PER_IMAGE) or lacks(manifest):
        return Publication(RECIPE, verdict)
    return whole if len(credited) == manifest.rows else Publication(MIXED, verdict, images=len(credited))


def data_files(published: PublishedTask) -> str:
    """The pattern of a config's shards in the repository."""
    folder = f"{_FOLDERS[published.publication.form]}{published.task}"
    return f"{folder}/{published.manifest.split}-*.parquet"


def columns_of(form: str) -> list[str]:
    """The columns of a config in this form."""
    own = [name for name in COLUMNS if form != RECIPE or name != IMAGE]
    return own if form == WHOLE else [*own, *RECIPE_COLUMNS]


def form_schema(form: str) -> pa.Schema:
    """Arrow schema of a recipe or a mixed config with the `huggingface` metadata."""
    known = features_dict()
    known |= {name: {"dtype": kind, "_type": "Value"} for name, (kind, _) in RECIPE_COLUMNS.items()}
    features = {name: known[name] for name in columns_of(form)}
    fields = [pa.field(name, arrow_type(name)) for name in COLUMNS if name in features]
    fields += [
        pa.field(name, pa.int32() if kind == "int32" else pa.string())
        for name, (kind, _) in RECIPE_COLUMNS.items()
    ]
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema(fields, metadata=metadata)


def recipes_cached(manifest: Manifest, cache: Path, keep: frozenset[str] = frozenset()) -> bool:
    """Whether the recipes of these shards exist already."""
    return all(_cached(cache, shard, keep).exists() for shard in manifest.shards)


def _cached(cache: Path, shard: ShardFacts, keep: frozenset[str]) -> Path:
    kept = hashlib.sha256("\n".join(sorted(keep)).encode()).hexdigest()[:16] if keep else ""
    return cache / f"{shard.sha256}{f'-{kept}' if kept else ''}.parquet"


def write_recipes(
    folder: Path, manifest: Manifest, cache: Path, keep: frozenset[str] = frozenset()
) -> Iterator[tuple[Path, ShardFacts]]:
    """Make one recipe for each shard of a task.

    In `cache`, a recipe is named after the checksum of its shard and of the images kept, so that it is made
    only once.

    Args:
        keep: instances that keep their image; with any, the config is mixed.

    Yields:
        (the local file, its facts with the path in the repository).
    """
    cache.mkdir(parents=True, exist_ok=True)
    form = MIXED if keep else RECIPE
    for shard in manifest.shards:
        target = _cached(cache, shard, keep)
        if not target.exists():
            temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
            try:
                _write_recipe(folder / shard.path, temporary, form_schema(form), keep)
                temporary.replace(target)
            finally:
                temporary.unlink(missing_ok=True)
        with target.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        path = f"{_FOLDERS[form]}{shard.path}"
        yield target, replace(shard, path=path, bytes=target.stat().st_size, sha256=sha256)


def _write_recipe(shard: Path, target: Path, schema: pa.Schema, keep: frozenset[str]) -> None:
    compression = {**COMPRESSION, **dict.fromkeys(RECIPE_COLUMNS, "zstd")} if keep else "zstd"
    with pq.ParquetFile(shard) as source, pq.ParquetWriter(target, schema, compression=compression) as writer:
        for group in range(source.num_row_groups):
            writer.write_table(recipe_table(source.read_row_group(group), schema, keep))


def recipe_table(rows: pa.Table, schema: pa.Schema, keep: frozenset[str] = frozenset()) -> pa.Table:
    """The rows of a shard without their images, except those of the instances to keep."""
    images = rows.column(IMAGE).combine_chunks()
    facts = [_image_facts(value.as_buffer()) for value in images.field("bytes")]
    columns = {name: rows.column(name) for name in schema.names if name not in (IMAGE, *RECIPE_COLUMNS)}
    if IMAGE in schema.names:
        kept = pa.array([id in keep for id in rows.column("id").to_pylist()], pa.bool_())
        columns[IMAGE] = pc.if_else(kept, images, pa.scalar(None, images.type))
    columns["image_path"] = images.field("path")
    for name, values in zip(
        ("image_sha256", "image_width", "image_height"), zip(*facts, strict=True), strict=True
    ):
        columns[name] = pa.array(values, schema.field(name).type)
    return pa.table(columns, schema)


def _image_facts(data: pa.Buffer | None) -> tuple[str, int | None, int | None]:
    if data is None:
        return "", None, None
    content = data.to_pybytes()
    sha256 = hashlib.sha256(content).hexdigest()
    try:
        with Image.open(io.BytesIO(content)) as image:
            return sha256, image.width, image.height
    except (OSError, Image.DecompressionBombError):
        return sha256, None, None
