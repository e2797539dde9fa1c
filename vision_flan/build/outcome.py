"""The manifest of a finished build, or the error of one that wrote nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vision_flan.build.blocks import MISSING_IMAGE, Made
from vision_flan.build.identity import Identity, facts_of
from vision_flan.build.inputs import raw_files
from vision_flan.build.job import Build
from vision_flan.dataset.contents import Contents
from vision_flan.dataset.manifest import Manifest
from vision_flan.dataset.shards import ShardFacts
from vision_flan.errors import Location, MissingRawError, SpecError, VflanError
from vision_flan.instances.rendering import instruction_of
from vision_flan.records.candidates import Candidates
from vision_flan.records.sources import how_to_get, next_step


def manifest_of(
    build: Build,
    identity: Identity,
    candidates: Candidates,
    finished: list[Made],
    images: Mapping[str, object],
) -> Manifest:
    """The manifest of the config that these blocks make up.

    Args:
        images: what `Gathering.finish` says of the image files that they looked up.

    Raises:
        MissingRawError, SpecError: not one instance was written.
    """
    task = build.task
    counts = _counts(build, candidates, finished)
    shards = [shard for block in finished for shard in block.shards]
    contents = Contents()
    for block in finished:
        contents.merge(block.contents)
    return Manifest(
        task=task.id,
        dataset=task.dataset,
        category=task.category,
        split=task.split,
        counts=counts,
        shards=tuple(_named(build, shard, i, len(shards)) for i, shard in enumerate(shards)),
        num_bytes=sum(block.content_bytes for block in finished),
        instruction=instruction_of(task, build.instruction),
        raw_files=raw_files(build.sources, build.raw, identity.annotations),
        images=images,
        contents=contents.facts(),
        **facts_of(task, build.sources),
        **identity.recipe,
    )


def _named(build: Build, shard: ShardFacts, index: int, count: int) -> ShardFacts:
    """A shard under its name in the compiled folder."""
    path = f"{build.task.id}/{build.task.split}-{index:05}-of-{count:05}.parquet"
    return replace(shard, path=path)


def _counts(build: Build, candidates: Candidates, finished: list[Made]) -> dict[str, Any]:
    dropped = Counter(candidates.dropped)
    examples = dict(candidates.examples)
    for block in finished:
        dropped.update(block.dropped)
        examples = block.examples | examples  # keep the first in selection order
    written = sum(block.rows for block in finished)
    if not written:
        raise _nothing_written(build, dropped)
    return {
        "candidates": candidates.total,
        "written": written,
        "dropped": dict(sorted(dropped.items())),
        "examples": dict(sorted(examples.items())),
        "not_needed": candidates.total - written - sum(dropped.values()),
    }


def _nothing_written(build: Build, dropped: Mapping[str, int]) -> VflanError:
    task, dataset = build.task, build.sources.dataset
    reasons = ", ".join(f"{reason}: {count:,}" for reason, count in sorted(dropped.items())) or "no records"
    if dropped.get(MISSING_IMAGE):
        return MissingRawError(
            f"no image of {task.id} was found ({reasons}); {build.raw.looked_in()}\n"
            + how_to_get(dataset, dataset.files),
            where=Location(build.raw.root),
            hint=next_step(dataset, build.raw.root),
        )
    return SpecError(
        f"{task.id} yields no instance ({reasons})",
        where=task.place(),
        hint=f"`vflan preview {task.id}` shows what the records look like",
    )
