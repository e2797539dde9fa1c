"""CHANGELOG.md: what changed between two states of the repository, one line per task."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.hub_server.compiled import compile_task
from vision_flan.dataset.publication import Publication, PublishedTask, license_of
from vision_flan.errors import Location, VflanError
from vision_flan.hub.changelog import difference, entry, last_tag, with_entry


@pytest.fixture
def task(tmp_path: Path) -> PublishedTask:
    manifest = compile_task(tmp_path, "ocr_one")
    return PublishedTask(manifest, Publication("whole", "yes", "", manifest.shards))


def changed(task: PublishedTask, **changes: object) -> PublishedTask:
    return replace(task, manifest=replace(task.manifest, **changes))


def test_each_kind_of_change_has_its_words(task: PublishedTask) -> None:
    other = tuple(replace(shard, sha256="0" * 64) for shard in task.manifest.shards)
    newer = {**task.manifest.versions, "pyarrow": "27.0.0"}
    fewer = replace(task.publication, shards=tuple(replace(s, rows=1) for s in task.publication.shards))
    assert difference(task, task) == ""
    assert difference(None, task) == "added, 4 instances, whole"
    assert difference(task, None) == "removed"
    assert difference(task, changed(task, spec_sha256="f")) == "spec changed"
    assert difference(task, changed(task, seed=3)) == "seed 0 -> 3"
    assert difference(task, replace(task, publication=fewer)) == "4 -> 1 instances"
    recipe = replace(task, publication=replace(task.publication, form="recipe"))
    assert difference(task, recipe) == "whole -> recipe"
    assert difference(task, changed(task, shards=other)) == "rebuilt"
    rebuilt = changed(task, shards=other, versions=newer)
    assert difference(task, rebuilt) == "rebuilt with pyarrow 26.0.0 -> 27.0.0"


def test_an_entry_counts_and_leaves_out_what_stayed(task: PublishedTask) -> None:
    assert entry("v2", {"a": task, "b": task}, {"a": task}) == (
        "## v2\n\n1 tasks, 4 instances (was 2 tasks, 8 instances).\n\n- `b`: removed\n"
    )


def test_entries_stack_newest_first_and_are_made_once(task: PublishedTask) -> None:
    first = with_entry("", "v1", {}, {"a": task})
    second = with_entry(first, "v2", {"a": task}, {"a": task, "b": task})
    assert second.startswith("# Changelog\n\n## v2\n") and second.endswith(
        "\n" + entry("v1", {}, {"a": task})
    )
    assert last_tag(second) == "v2" and last_tag("") is None
    assert with_entry(second, "v2", {}, {}) == second


def test_a_published_manifest_comes_back_as_it_went_out(task: PublishedTask) -> None:
    granted = replace(task, publication=replace(task.publication, license="no", reason="ours"))
    assert PublishedTask.from_json(granted.to_json(), Location("m")).to_json() == granted.to_json()


def test_a_manifest_of_a_plain_upload_counts_as_whole(task: PublishedTask) -> None:
    plain = PublishedTask.from_json(task.manifest.to_json(), Location("m"))
    assert plain.publication == task.publication


@pytest.mark.parametrize("text", ["", "[]", "{", '{"published": {}}', '"text"'])
def test_a_manifest_that_is_none_is_named(text: str) -> None:
    with pytest.raises(VflanError, match="not a manifest") as error:
        PublishedTask.from_json(text, Location("ORG/data/manifest/a.json"))
    assert "ORG/data/manifest/a.json" in str(error.value)


def test_a_license_that_says_something_else_counts_as_no(task: PublishedTask) -> None:
    for said in ("perhaps", None, ""):
        source = {**task.manifest.source, "license": {"images": {"verdict": said}}}
        assert license_of(replace(task.manifest, source=source)) == "no"
