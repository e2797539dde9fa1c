"""Two people publish to one repository at the same time; every commit on the way is looked at."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from tests.hub_server import HubServer
from tests.hub_server.client import BOB
from tests.hub_server.compiled import compile_folder, compile_task, image
from tests.hub_server.publishing import REPO, Publish, actions
from vision_flan.dataset.front_matter import parsed
from vision_flan.dataset.gallery import SHOWN
from vision_flan.dataset.publication import PublishedTask
from vision_flan.errors import HubError, Location
from vision_flan.hub.packing import Limits
from vision_flan.hub.plan import REMOVED, UNCHANGED, Choices
from vision_flan.hub.remote import Remote

ONE_TASK_A_COMMIT = Limits(files_per_commit=1)


@pytest.fixture
def bob(hub: HubServer) -> Publish:
    return Publish(HfApi(endpoint=hub.url, token=BOB.token))


def tasks_of(files: dict[str, bytes]) -> dict[str, PublishedTask]:
    found = [
        PublishedTask.from_json(content.decode(), Location(path))
        for path, content in files.items()
        if path.startswith("manifest/")
    ]
    return {task.task: task for task in found}


def check_commit(files: dict[str, bytes]) -> None:
    """The card lists the tasks there; shards and examples are those of their manifests, none of a recipe."""
    if "manifest" not in {path.split("/")[0] for path in files}:
        return
    tasks = tasks_of(files)
    front = parsed(files["README.md"].decode())
    assert [c["config_name"] for c in front["configs"] if c["config_name"] != "all"] == sorted(tasks)
    rows = {info["config_name"]: info["splits"][0]["num_examples"] for info in front["dataset_info"]}
    assert all(rows[name] == task.rows for name, task in tasks.items())
    shards = {shard.path: shard.sha256 for task in tasks.values() for shard in task.publication.shards}
    there = {
        path: hashlib.sha256(content).hexdigest()
        for path, content in files.items()
        if path.endswith(".parquet")
    }
    assert there == shards
    whole = [task for task in tasks.values() if task.publication.form == "whole"]
    shown = [task.publication.example for task in whole if task.publication.example]
    gallery = {path: content for path, content in files.items() if path.startswith("gallery/")}
    assert {path: hashlib.sha256(content).hexdigest() for path, content in gallery.items()} == {
        example.path: example.sha256 for example in shown
    }
    linked = set(re.findall(r"\]\((gallery/[^)]+)\)", files["README.md"].decode()))
    assert linked <= set(gallery) and len(linked) == min(len(gallery), SHOWN)


def check_history(hub: HubServer) -> dict[str, bytes]:
    """Check every commit of main; the files of the last one."""
    for commit in hub.repo(REPO).commits:
        check_commit(hub.files(REPO, commit))
    return hub.files(REPO)


def state_of(files: dict[str, bytes]) -> dict[str, str]:
    return {task: published.to_json() for task, published in tasks_of(files).items()}


def test_a_task_that_somebody_replaced_between_plan_and_commit_is_replaced_whole(
    hub: HubServer, publish: Publish, bob: Publish, tmp_path: Path
) -> None:
    mine = compile_folder(tmp_path / "mine", {"ocr_one": "yes"})
    compile_task(mine, "ocr_one", shards=2)
    theirs = compile_folder(tmp_path / "theirs", {})
    compile_task(theirs, "ocr_one", shards=5, version="2")
    hub.fail("POST .*/commit/", when=lambda: bob(theirs) and None)
    publish(mine)
    files = check_history(hub)
    assert sorted(path for path in files if path.startswith("ocr_one/")) == [
        f"ocr_one/train-{at:05d}-of-00002.parquet" for at in range(2)
    ]
    assert "somebody else published ocr_one meanwhile; yours replaces it" in publish.said


def test_a_plan_that_was_held_while_somebody_published_is_carried_out_on_their_state(
    hub: HubServer, publish: Publish, bob: Publish, tmp_path: Path
) -> None:
    mine = compile_folder(tmp_path / "mine", {"ocr_one": "yes"})
    publish(mine)
    compile_task(mine, "ocr_one", shards=3, version="3")
    publisher = publish.publisher(mine)
    held = publisher.plan()
    theirs = compile_folder(tmp_path / "theirs", {})
    compile_task(theirs, "ocr_one", shards=4, version="4")
    bob(theirs)
    publisher.run(held)
    files = check_history(hub)
    assert [shard.rows for shard in tasks_of(files)["ocr_one"].publication.shards] == [4, 4, 4]
    assert publish.said.count("somebody else published ocr_one") == 1


@pytest.mark.parametrize("last", ["recipe", "whole"])
def test_a_recipe_and_a_whole_config_never_mix(
    hub: HubServer, publish: Publish, bob: Publish, tmp_path: Path, last: str
) -> None:
    whole = compile_folder(tmp_path / "whole", {"ocr_one": "yes"})
    recipe = compile_folder(tmp_path / "recipe", {"ocr_one": "no"})
    mine, theirs = (recipe, whole) if last == "recipe" else (whole, recipe)
    publisher = publish.publisher(mine)
    held = publisher.plan()
    bob(theirs)
    publisher.run(held)
    files = check_history(hub)
    assert tasks_of(files)["ocr_one"].publication.form == last
    for commit in hub.repo(REPO).commits:
        there = hub.files(REPO, commit)
        task = tasks_of(there).get("ocr_one")
        pixels = image("ocr_one 1 00000-of-00001-0", 600)[-64:]
        if task and task.publication.form == "recipe":
            assert not any(pixels in content for content in there.values())


def test_a_task_that_somebody_removed_comes_back_with_all_its_shards(
    hub: HubServer, publish: Publish, bob: Publish, tmp_path: Path
) -> None:
    mine = compile_folder(tmp_path / "mine", {"scene_two": "yes"})
    compile_task(mine, "ocr_one", shards=4)
    publish(mine)
    first = hub.files(REPO)
    compile_task(mine, "scene_two", version="2")
    publisher = publish.publisher(mine)
    held = publisher.plan()
    assert actions(held)["ocr_one"] == UNCHANGED
    others = compile_folder(tmp_path / "others", {"vehicle_three": "yes"})
    assert actions(bob(others, Choices(remove=("ocr_one",))).plan)["ocr_one"] == REMOVED
    publisher.run(held)
    files = check_history(hub)
    assert {path: files[path] for path in first if path.startswith("ocr_one/")} == {
        path: content for path, content in first.items() if path.startswith("ocr_one/")
    }
    assert "putting yours back" in publish.said
    assert set(tasks_of(files)) == {"ocr_one", "scene_two", "vehicle_three"}


def test_what_is_left_is_one_publishers_state_and_no_mixture_of_two(
    hub: HubServer, publish: Publish, bob: Publish, tmp_path: Path
) -> None:
    names = {"ocr_one": "yes", "scene_two": "yes", "vehicle_three": "yes"}
    mine = compile_folder(tmp_path / "mine", names)
    theirs = compile_folder(tmp_path / "theirs", {})
    for name in names:
        compile_task(theirs, name, shards=2, version="2")
    hub.fail("POST .*/commit/", skip=2, when=lambda: bob(theirs) and None)
    publish(mine, limits=ONE_TASK_A_COMMIT)
    files = check_history(hub)
    alone = {task: local.to_json() for task, (local, _) in _local(mine).items()}
    assert state_of(files) == alone
    assert "putting yours back" in publish.said


def test_two_who_replace_each_other_without_end_are_told_to_agree(
    hub: HubServer, publish: Publish, bob: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = compile_folder(tmp_path / "mine", {"ocr_one": "yes", "scene_two": "yes"})
    theirs = compile_folder(tmp_path / "theirs", {})
    publisher = publish.publisher(mine)
    held, read = publisher.plan(), publisher.reader.read
    versions = iter(range(100))

    def interfered(revision: str) -> Remote:
        compile_task(theirs, "ocr_one", version=f"theirs {next(versions)}")
        bob(theirs)
        return read(revision)

    monkeypatch.setattr(publisher.reader, "read", interfered)
    with pytest.raises(HubError, match="somebody else keeps publishing"):
        publisher.run(held)
    check_history(hub)


def _local(folder: Path) -> dict[str, tuple[PublishedTask, object]]:
    from vision_flan.hub.plan import local_tasks
    from vision_flan.spec.catalog import Catalog

    return dict(local_tasks(folder, Choices(), Catalog.default()))
