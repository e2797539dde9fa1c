"""What decides the bytes of a config, and whether a compiled config is still what a build would make.

The recipe is everything on the spec's side that decides a byte. On the raw side, the annotation files are
known before a build, the image files after it. Title, license, citation and the like decide no byte: they
are renewed in the manifest without a build.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from vision_flan import __version__
from vision_flan.build.facts import encoded, is_whole, write_lines
from vision_flan.build.inputs import (
    Seen,
    annotation_files,
    checksum,
    differing,
    first_change_among,
    with_checksums,
)
from vision_flan.build.job import Build
from vision_flan.build.looked_up import DamagedRecordError, LookedUp
from vision_flan.dataset.drop_list import read_list
from vision_flan.dataset.manifest import FOLDER, Manifest, source_block
from vision_flan.instances.rendering import instruction_of
from vision_flan.places.place import Place, stamp_of
from vision_flan.raw.folder import RawDataset
from vision_flan.records.sources import TaskSources
from vision_flan.spec.model import TaskSpec
from vision_flan.versions import deciding_versions

#: Fields of a task that decide no byte. The quota has a field of its own in the manifest.
_FACTS = ("title", "alias", "suites", "license", "form", "allow", "available", "confidence", "limit")

_IN_WORDS = {
    "spec_sha256": "the spec",
    "versions": "package versions",
    "drop_list": "the list of dropped duplicates",
}


@dataclass(frozen=True)
class Identity:
    """The same identity and the same images make the same shards.

    Attributes:
        recipe: fields of the manifest.
        annotations: the files the tables are read from.
    """

    recipe: Mapping[str, Any]
    annotations: Seen

    def change(self, other: Identity) -> str | None:
        """The first difference from another identity, None if there is none."""
        for key in (*self.recipe, *other.recipe):
            if self.recipe.get(key) != other.recipe.get(key):
                return _IN_WORDS.get(key, key)
        return differing(self.annotations.stamps, other.annotations.stamps)


def identity_of(build: Build) -> Identity:
    """Everything that decides the bytes of a config, except its images.

    Raises:
        VflanError: the list of dropped duplicates is damaged.
    """
    recipe: dict[str, object] = {
        "spec_sha256": spec_sha256(build),
        "versions": {v.name: v.installed for v in deciding_versions() if v.installed}
        | {"vision_flan": __version__},
        "seed": build.options.seed,
        "limit": build.quota,
        "image_check": "full" if build.options.full_check else "header",
    }
    drops = read_list(build.out, build.task.id)
    if drops:
        recipe["drop_list"] = drops.facts()
    return Identity(recipe, annotation_files(build.sources, build.raw))


def with_sums(identity: Identity, raw: RawDataset) -> Identity:
    """The identity with the checksums of its annotation files."""
    return replace(identity, annotations=with_checksums(raw, identity.annotations))


def image_tables(task: TaskSpec, sources: TaskSources) -> list[str]:
    """Tables that may hold a task's images: those it reads, or all tables if it builds references."""
    if "@" in json.dumps([task.document.data, sources.labels]):
        return sorted(sources.dataset.tables)
    return sorted(sources.readers)


def spec_sha256(build: Build) -> str:
    """Checksum of everything on the spec's side that decides bytes."""
    task, sources, raw = build.task, build.sources, build.raw
    recipe = {key: value for key, value in task.document.data.items() if key not in _FACTS}
    tables = {name: sources.dataset.tables[name] for name in image_tables(task, sources)}
    archives = {  # once a dataset, however many disks it lies on
        folder.dataset: [[archive.path, archive.into] for archive in folder.archives]
        for folder in (raw, *raw.borrowed)
    }
    folders = [[dataset, found] for dataset, found in archives.items()]
    views = {name: sources.dataset.views[name] for name in sources.views}
    parts = [recipe, tables, views, sources.labels, instruction_of(task, build.instruction), folders]
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class BuildRecord:
    """What is stored in the work folder of a config, to tell whether it is up to date: a line of JSON, and
    the image files in lines of their own.

    Attributes:
        recipe, annotations: the identity it was built from.
        images: image files that were looked up.
        manifest: its text.
        replaces: shards of the previous config, to remove when this one is installed.
        shards: installed shard -> its size and version (`stamp_of`); empty until it is installed.
    """

    recipe: Mapping[str, Any]
    annotations: Seen
    images: LookedUp
    manifest: str
    replaces: tuple[str, ...] = ()
    shards: Mapping[str, list[int]] = field(default_factory=dict)

    @property
    def identity(self) -> Identity:
        return Identity(self.recipe, self.annotations)

    def write(self, path: Place) -> None:
        """Write the record atomically; the images may be those of the record that it replaces."""
        head = encoded({**vars(self), "images": self.images.pieces})
        write_lines(path, chain([head + b"\n"], self.images.lines()))

    @classmethod
    def read(cls, path: Place) -> BuildRecord | None:
        """The record in a file, None if it is missing or broken."""
        try:
            with path.open("rb") as file:
                data = json.loads(file.readline())
            typed = {
                "annotations": Seen(**data["annotations"]),
                "images": LookedUp(path, 1, int(data["images"])),
                "replaces": tuple(data["replaces"]),
            }
            return cls(**{**data, **typed})
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def stale(self, now: Identity, raw: RawDataset, *, verify: bool) -> str | None:
        """What has changed since, None for nothing.

        Args:
            verify: compare contents by checksum too.
        """
        try:
            changed = self.identity.change(now) or first_change_among(raw, self.images, checksums=verify)
        except DamagedRecordError:
            return "the record of image files"
        if changed or not verify:
            return changed
        if not self.annotations.sums:
            return "checksums of raw files, which were not kept"
        return next((p for p, known in self.annotations.sums.items() if checksum(raw, p) != known), None)


def damaged_output(record: BuildRecord, manifest: Manifest, out: Place) -> str | None:
    """A manifest or shard that is not as it was installed, None for none.

    A shard is read again only if its size or time differs.
    """
    if manifest.to_json() != record.manifest:
        return f"{FOLDER}/{manifest.task}.json"
    for shard in manifest.shards:
        if stamp_of(out / shard.path) != record.shards.get(shard.path) and not is_whole(
            out / shard.path, shard.sha256
        ):
            return shard.path
    return None


def facts_of(task: TaskSpec, sources: TaskSources) -> dict[str, Any]:
    """Fields of a manifest that decide no byte."""
    return {
        "title": task.title,
        "alias": task.alias,
        "suites": task.suites,
        "form": task.form,
        "source": source_block(sources.dataset, sources.dataset.license.with_images(task.images)),
    }
