"""A recipe published by one user, rehydrated by another who has the raw files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from huggingface_hub import HfApi

from tests.hub_server import HubServer
from vision_flan.build.compile import Options, compile_task
from vision_flan.build.leave_out import drop_installed
from vision_flan.dataset.drop_list import Drop, DropList, read_list, write_list
from vision_flan.dataset.manifest import Manifest, manifest_path, read_manifest, write_atomically
from vision_flan.dataset.overlaps import Overlap, read_overlaps, shards_checksum, write_overlaps
from vision_flan.dataset.verification import verify
from vision_flan.errors import BadRawError, HubError, MissingRawError, SpecError
from vision_flan.hub.plan import Choices
from vision_flan.hub.publish import Publisher
from vision_flan.hub.rehydrate import ROWS, SHARDS, Rehydrator, install_hint
from vision_flan.hub.waiting import Patience
from vision_flan.miniatures import registry
from vision_flan.report import Silent
from vision_flan.spec.catalog import Catalog

REPO, TASK = "ORG/vision-flan", "ocr_textocr"
catalog = Catalog.default()


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    registry.make("textocr", tmp_path / "raw", 12, seed=3)
    return tmp_path / "raw"


@pytest.fixture
def compiled(tmp_path: Path, raw: Path) -> Path:
    """A real compile with a seed and a quota, of a source whose license says no."""
    out = tmp_path / "out"
    compile_task(TASK, raw, out, catalog, Options(seed=7, limit=8), Silent())
    forbid_images(out, TASK)
    return out


def forbid_images(out: Path, task: str) -> None:
    """Set the verdict on the images of a compiled task to no."""
    manifest = read_manifest(manifest_path(out, task))
    license = {**manifest.source["license"], "images": {"name": "None stated", "spdx": None, "verdict": "no"}}
    rewrite(out, replace(manifest, source={**manifest.source, "license": license}))


def rewrite(out: Path, manifest: Manifest) -> None:
    write_atomically(manifest_path(out, manifest.task), manifest.to_json())


def publish(api: HfApi, folder: Path) -> None:
    publisher = Publisher(api, REPO, folder, Choices())
    publisher.run(publisher.plan())


def rehydrator(api: HfApi, raw: Path, out: Path) -> Rehydrator:
    return Rehydrator(api, REPO, raw, out, catalog, Silent(), Patience())


def test_the_shards_come_out_byte_for_byte(
    hub: HubServer, api: HfApi, compiled: Path, raw: Path, tmp_path: Path
) -> None:
    publish(api, compiled)
    assert [path for path in hub.files(REPO) if path.endswith(".parquet")] == [
        f"recipe/{TASK}/train-00000-of-00001.parquet"
    ]
    again = rehydrator(api, raw, tmp_path / "again")
    remote, (task,) = again.tasks(())
    assert again.run(remote, task).same == SHARDS
    assert not (tmp_path / "again/.rehydrate").exists()
    for shard in compiled.glob(f"{TASK}/*.parquet"):
        assert (tmp_path / "again" / TASK / shard.name).read_bytes() == shard.read_bytes()
    *_, (_, verification) = verify(tmp_path / "again")
    assert verification.problems == [] and verification.shards == 1
    assert f"config_name: {TASK}" in (tmp_path / "again/README.md").read_text()


def test_dropped_duplicates_stay_dropped_and_what_is_shared_with_benchmarks_is_known(
    api: HfApi, compiled: Path, raw: Path, tmp_path: Path
) -> None:
    before = source_ids(compiled)
    drops = {before[1]: Drop("exact_duplicate", f"{TASK}/{before[0]}"), before[4]: Drop("x", "bench: a/b")}
    manifest, _ = drop_installed(compiled, TASK, drops, Silent())
    overlap = Overlap(500, 6, manifest.rows, 1, 0, 0, shards_checksum(manifest))
    write_overlaps(compiled, {TASK: manifest}, {TASK: {"POPE": overlap}})
    forbid_images(compiled, TASK)
    publish(api, compiled)
    mine = tmp_path / "again"
    write_list(mine, DropList(TASK, {"of another day": Drop("exact_duplicate", "x")}))
    again = rehydrator(api, raw, mine)
    remote, (task,) = again.tasks(())
    assert again.run(remote, task).same == SHARDS
    left = [key for key in before if key not in drops]
    assert source_ids(mine) == source_ids(compiled) == left
    assert read_list(mine, TASK).drops == drops
    rehydrated = read_manifest(manifest_path(mine, TASK))
    assert rehydrated.counts == manifest.counts and rehydrated.drop_list == manifest.drop_list
    assert read_overlaps(mine, {TASK: rehydrated}) == {TASK: {"POPE": overlap}}
    assert "| POPE<br>500 images<br>1 of 1 tasks | 1 | 0 |" in (mine / "README.md").read_text()
    *_, (_, found) = verify(mine)
    assert found.problems == [] and not (mine / ".rehydrate").exists()
    compile_task(TASK, raw, mine, catalog, Options(seed=7, limit=8), Silent())
    assert source_ids(mine) == left, "a later compile leaves them out, too"


def test_a_recipe_with_dropped_duplicates_is_compared_row_by_row_with_other_versions(
    api: HfApi, compiled: Path, raw: Path, tmp_path: Path
) -> None:
    before = source_ids(compiled)
    manifest, _ = drop_installed(compiled, TASK, {before[0]: Drop("near_duplicate", "other/1")}, Silent())
    other = tuple(replace(shard, sha256="0" * 64) for shard in manifest.shards)
    rewrite(compiled, replace(manifest, shards=other))
    forbid_images(compiled, TASK)
    publish(api, compiled)
    again = rehydrator(api, raw, tmp_path / "again")
    remote, (task,) = again.tasks(())
    assert again.run(remote, task).same == ROWS
    assert source_ids(tmp_path / "again") == before[1:]


def source_ids(folder: Path) -> list[str]:
    files = sorted((folder / TASK).glob("*.parquet"))
    return [key for file in files for key in pq.read_table(file).column("source_id").to_pylist()]


def test_notices_come_back_with_the_images_and_nothing_is_left_behind(api: HfApi, tmp_path: Path) -> None:
    task = "scene_eurosat_land"
    registry.make("eurosat", tmp_path / "raw", 6, seed=3)
    compile_task(task, tmp_path / "raw", tmp_path / "out", catalog, Options(), Silent())
    forbid_images(tmp_path / "out", task)
    publish(api, tmp_path / "out")
    again = rehydrator(api, tmp_path / "raw", tmp_path / "mine")
    remote, (published,) = again.tasks([])
    again.run(remote, published)
    assert "Patrick Helber" in (tmp_path / "mine/LICENSES/eurosat-LICENSE.txt").read_text("utf-8")
    *_, (_, found) = verify(tmp_path / "mine")
    assert found.problems == [] and not (tmp_path / "mine/.rehydrate").exists()


def test_images_that_we_draw_and_those_in_one_binary_file_come_out_the_same(
    api: HfApi, tmp_path: Path
) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    tasks = {"reasoning_raven": "raven", "object_stl10": "stl_10"}
    for task, dataset in tasks.items():
        registry.make(dataset, raw, 20, seed=1)
        compile_task(task, raw, out, catalog, Options(limit=6), Silent())
        forbid_images(out, task)
    publish(api, out)
    again = rehydrator(api, raw, tmp_path / "again")
    remote, recipes = again.tasks(())
    assert {task.task: again.run(remote, task).same for task in recipes} == dict.fromkeys(
        sorted(tasks), SHARDS
    )


def test_with_other_package_versions_every_row_is_compared(
    hub: HubServer, api: HfApi, compiled: Path, raw: Path, tmp_path: Path
) -> None:
    manifest = read_manifest(manifest_path(compiled, TASK))
    publish(api, compiled)
    there = json.loads(hub.files(REPO)[f"manifest/{TASK}.json"])
    there["shards"][0]["sha256"] = "0" * 64  # as another pyarrow would have written it
    hub.push(REPO, {f"manifest/{TASK}.json": json.dumps(there).encode()})
    again = rehydrator(api, raw, tmp_path / "again")
    remote, (task,) = again.tasks([TASK])
    done = again.run(remote, task)
    assert done.same == ROWS and done.manifest.shards[0].sha256 == manifest.shards[0].sha256


def test_other_raw_files_are_refused_with_the_first_difference(
    api: HfApi, compiled: Path, raw: Path, tmp_path: Path
) -> None:
    publish(api, compiled)
    registry.make("textocr", tmp_path / "other", 12, seed=4)
    again = rehydrator(api, tmp_path / "other", tmp_path / "again")
    remote, (task,) = again.tasks([TASK])
    with pytest.raises(BadRawError, match="row 0 of ocr_textocr differs from the published one"):
        again.run(remote, task)
    assert not (tmp_path / "again" / TASK).exists()
    assert (tmp_path / "again/.rehydrate" / TASK).is_dir()  # the message says to look there


def test_missing_raw_files_and_another_spec_are_said(
    hub: HubServer, api: HfApi, compiled: Path, raw: Path, tmp_path: Path
) -> None:
    publish(api, compiled)
    again = rehydrator(api, tmp_path / "none", tmp_path / "again")
    remote, (task,) = again.tasks([TASK])
    with pytest.raises(MissingRawError):
        again.run(remote, task)
    changed = replace(task, manifest=replace(task.manifest, spec_sha256="0" * 64))
    again.raw = raw
    with pytest.raises(SpecError, match="differs from the one ORG/vision-flan was made with") as error:
        again.run(remote, changed)
    made_with = task.manifest.versions
    assert error.value.hint == (
        f"pip install vision-flan=={made_with['vision_flan']} pyarrow=={made_with['pyarrow']}"
    )


def test_only_version_numbers_of_the_hub_get_into_a_command_to_type() -> None:
    assert (
        install_hint({"vision_flan": "1.2; rm -rf ~", "pyarrow": "26.0.0"}) == "pip install pyarrow==26.0.0"
    )
    assert "pip" not in install_hint({})


def test_unknown_tasks_and_repositories_are_said(
    api: HfApi, compiled: Path, raw: Path, tmp_path: Path
) -> None:
    again = rehydrator(api, raw, tmp_path / "again")
    with pytest.raises(HubError, match="no dataset ORG/vision-flan"):
        again.tasks(())
    publish(api, compiled)
    with pytest.raises(HubError, match="has no task ocr_none"):
        again.tasks(["ocr_none"])
