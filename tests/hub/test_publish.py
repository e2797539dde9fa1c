"""Publishing to the test Hub with the released client: plan, send, merge, continue."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import CommitInfo, CommitOperationAdd, HfApi

from tests.hub_server import HubServer
from tests.hub_server.client import BOB, STRANGER
from tests.hub_server.compiled import compile_folder, compile_task
from tests.hub_server.publishing import REPO, Publish, actions, card_configs
from vision_flan.dataset.front_matter import parsed
from vision_flan.errors import HubError
from vision_flan.hub.packing import Limits
from vision_flan.hub.plan import ADDED, CHANGED, KEPT, REMOVED, UNCHANGED, Choices


def test_a_first_publish_sends_every_shard_byte_for_byte_with_manifests_and_documents(
    hub: HubServer, publish: Publish, folder: Path, transport: str
) -> None:
    plan = publish.plan(folder)
    assert actions(plan) == {"ocr_one": ADDED, "scene_two": ADDED}
    sent = [*folder.glob("*/*.parquet"), *folder.glob("gallery/*.jpg")]
    assert plan.bytes == sum(file.stat().st_size for file in sent)
    outcome = publish(folder)
    there = hub.files(REPO)
    for file in sent:
        assert there.pop(str(file.relative_to(folder))) == file.read_bytes()
    assert sorted(there) == [
        "CITATIONS.bib",
        "LICENSES.md",
        "README.md",
        "categories.png",
        "croissant.json",
        "manifest/ocr_one.json",
        "manifest/scene_two.json",
    ]
    assert card_configs(hub) == ["ocr_one", "scene_two"]
    assert len(outcome.commits) == 1 and outcome.head == hub.repo(REPO).refs["refs/heads/main"]
    assert b"mtime" not in there["manifest/ocr_one.json"]


def test_a_dry_run_sends_nothing(hub: HubServer, publish: Publish, folder: Path) -> None:
    publish.plan(folder)
    assert {request.method for request in hub.requests} == {"GET"}
    assert hub.store.repos == {}


def test_publishing_again_with_nothing_changed_sends_nothing(
    hub: HubServer, publish: Publish, folder: Path
) -> None:
    publish(folder)
    before = len(hub.requests)
    outcome = publish(folder)
    assert outcome.plan.is_empty and actions(outcome.plan) == {"ocr_one": UNCHANGED, "scene_two": UNCHANGED}
    again = hub.requests[before:]
    assert [r.path for r in again if r.method != "GET"] == [] and outcome.commits == ()
    assert hub.count("GET .*resolve") <= 2


def test_one_task_rebuilt_sends_only_its_shards_and_the_texts(
    hub: HubServer, publish: Publish, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    publish(folder)
    first = dict(hub.received_objects)
    rebuilt = compile_task(folder, "scene_two", version="2", rows=5)
    plan = publish.plan(folder)
    assert actions(plan) == {"ocr_one": UNCHANGED, "scene_two": CHANGED}
    assert plan.changed_documents == ("README.md", "croissant.json", "categories.png")
    publish(folder)
    plot = hashlib.sha256(hub.files(REPO)["categories.png"]).hexdigest()
    assert set(hub.received_objects) - set(first) == {plot, *(shard.sha256 for shard in rebuilt.shards)}
    front = parsed(hub.files(REPO)["README.md"].decode())
    assert [info["splits"][0]["num_examples"] for info in front["dataset_info"]] == [9, 4, 5]


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The paths that each commit adds or deletes, recorded at the client."""
    found: list[list[str]] = []
    create = HfApi.create_commit

    def recorded(api: HfApi, repo_id: str, operations: list[CommitOperationAdd], **rest: Any) -> CommitInfo:
        found.append([operation.path_in_repo for operation in operations])
        return create(api, repo_id, operations, **rest)

    monkeypatch.setattr(HfApi, "create_commit", recorded)
    return found


def test_a_document_that_has_not_changed_is_not_sent_again(
    publish: Publish, folder: Path, transport: str, commits: list[list[str]]
) -> None:
    publish(folder)
    publish(folder, Choices(contact="me@example.org"))
    assert commits[1:] == [["README.md"]], "the croissant of all tasks and the plot stay as they are"


def test_the_contact_is_kept_when_it_is_not_given_again(
    hub: HubServer, publish: Publish, folder: Path, commits: list[list[str]]
) -> None:
    publish(folder, Choices(contact="me@example.org"))
    publish(folder)
    assert len(commits) == 1, "nothing changed"
    compile_task(folder, "vehicle_three")
    publish(folder)
    card = hub.files(REPO)["README.md"].decode()
    assert parsed(card)["contact"] == "me@example.org"
    assert "Write to [me@example.org](mailto:me@example.org), or open a [discussion]" in card


def test_no_commit_has_more_files_than_the_hub_asks_for(
    hub: HubServer, publish: Publish, tmp_path: Path, commits: list[list[str]]
) -> None:
    """The Hub asks for fewer than a hundred a commit: shards, examples, manifests, notices and documents."""
    folder, notices = tmp_path / "out", {f"notice-{at}.txt": "text" for at in range(5)}
    for at in range(16):
        mine = {f"{at}-{name}": text for name, text in notices.items()}
        compile_task(folder, f"task_{at}", rows=1, shards=3, notices=mine)
    publish(folder, Choices(tag="v1.0.0"))
    assert len(commits) > 1 and all(0 < len(paths) < 100 for paths in commits)
    assert len([path for path in hub.files(REPO) if path.startswith("LICENSES/")]) == 80


def test_shards_a_rebuilt_task_no_longer_has_are_deleted(
    hub: HubServer, publish: Publish, tmp_path: Path
) -> None:
    folder = compile_folder(tmp_path / "out", {"ocr_one": "yes"}, shards=3)
    publish(folder)
    for file in folder.glob("ocr_one/*"):
        file.unlink()
    compile_task(folder, "ocr_one", shards=2)
    publish(folder)
    assert [path for path in hub.files(REPO) if path.endswith(".parquet")] == [
        "ocr_one/train-00000-of-00002.parquet",
        "ocr_one/train-00001-of-00002.parquet",
    ]


def test_a_task_of_somebody_else_stays_and_one_is_removed_only_by_name(
    hub: HubServer, publish: Publish, folder: Path, tmp_path: Path
) -> None:
    publish(folder)
    theirs = compile_folder(tmp_path / "theirs", {"vehicle_three": "yes"})
    outcome = publish(theirs)
    assert actions(outcome.plan) == {"ocr_one": KEPT, "scene_two": KEPT, "vehicle_three": ADDED}
    assert card_configs(hub) == ["ocr_one", "scene_two", "vehicle_three"]
    outcome = publish(theirs, Choices(remove=("scene_two",)))
    assert actions(outcome.plan)["scene_two"] == REMOVED
    assert card_configs(hub) == ["ocr_one", "vehicle_three"]
    assert not [path for path in hub.files(REPO) if "scene_two" in path]


def test_front_matter_that_is_not_ours_stays_in_the_card(
    hub: HubServer, publish: Publish, folder: Path
) -> None:
    publish(folder)
    card = hub.files(REPO)["README.md"].replace(b"---\n", b"---\nthumbnail: https://example.org/a.png\n", 1)
    hub.push(REPO, {"README.md": card})
    compile_task(folder, "scene_two", version="2")
    publish(folder)
    front = parsed(hub.files(REPO)["README.md"].decode())
    assert front["thumbnail"] == "https://example.org/a.png" and front["license"] == "other"


def test_two_people_publish_different_tasks_at_once_and_neither_loses_one(
    hub: HubServer, publish: Publish, folder: Path, tmp_path: Path
) -> None:
    publish(folder)
    theirs = compile_folder(tmp_path / "theirs", {"vehicle_three": "yes"})
    bob = Publish(HfApi(endpoint=hub.url, token=BOB.token))
    race = hub.fail("POST .*/commit/", when=lambda: bob(theirs) and None)
    compile_task(folder, "ocr_new")
    publish(folder)
    assert race.times == 0
    assert card_configs(hub) == ["ocr_new", "ocr_one", "scene_two", "vehicle_three"]
    assert "somebody else published meanwhile" in publish.said


def test_a_commit_that_times_out_is_split_in_halves(hub: HubServer, publish: Publish, tmp_path: Path) -> None:
    folder = compile_folder(tmp_path / "out", {f"task_{i}": "yes" for i in range(8)})
    hub.fail("POST .*/commit/", 504, times=100, min_lines=13)
    outcome = publish(folder)
    assert len(outcome.commits) == 4
    assert card_configs(hub) == [f"task_{i}" for i in range(8)]


def test_a_commit_whose_answer_is_lost_is_not_made_twice(
    hub: HubServer, publish: Publish, folder: Path
) -> None:
    hub.fail("POST .*/commit/", 504, apply_first=True)
    publish(folder)
    assert len(hub.repo(REPO).commits) == 2  # the Hub's own first one, and ours
    assert "its answer was lost" in publish.said


def test_a_rate_limit_is_waited_out_and_said(hub: HubServer, publish: Publish, folder: Path) -> None:
    hub.fail("POST .*/commit/", 429, headers={"Retry-After": "40"})
    hub.fail("POST .*/commit/", 429, message="You can retry this action in 35 minutes.")
    publish(folder)
    assert publish.waits == [41.0, 2101.0]
    assert "rate limit of the Hub while committing: waiting 41 s" in publish.said


def test_a_connection_cut_in_the_middle_of_an_object_is_tried_again(
    hub: HubServer, publish: Publish, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    cut = hub.fail("PUT /lfs", 0, after_bytes=300)
    publish(folder)
    assert cut.times == 0, "nothing was cut"
    assert card_configs(hub) == ["ocr_one", "scene_two"]


def test_a_hub_that_stays_busy_ends_in_one_line_and_the_same_command_continues(
    hub: HubServer, publish: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    folder = compile_folder(tmp_path / "out", {f"task_{i}": "yes" for i in range(4)})
    small = Limits(files_per_commit=2)
    publish(folder, Choices(only=("task_0", "task_1")), limits=small)
    outage = hub.fail("POST .*/commit/", 503, times=1000)
    with pytest.raises(HubError, match="did not take the commit") as stopped:
        publish(folder, limits=small)
    assert "run the same command again" in stopped.value.hint
    outage.times = 0
    outcome = publish(folder, limits=small)
    assert actions(outcome.plan)["task_0"] == UNCHANGED and len(outcome.commits) == 2
    sizes = {f.name: f.stat().st_size for f in hub.store.objects.iterdir()}
    assert hub.received_objects == sizes


def test_tags_carry_a_changelog_entry_each(hub: HubServer, publish: Publish, folder: Path) -> None:
    publish(folder, Choices(tag="v1.0.0"))
    compile_task(folder, "scene_two", version="2", rows=6)
    compile_task(folder, "vehicle_three")
    publish(folder, Choices(tag="v1.1.0"))
    assert hub.files(REPO, "v1.1.0")["CHANGELOG.md"].decode() == (
        "# Changelog\n\n"
        "## v1.1.0\n\n"
        "3 tasks, 14 instances (was 2 tasks, 8 instances).\n\n"
        "- `scene_two`: spec changed, 4 -> 6 instances\n"
        "- `vehicle_three`: added, 4 instances, whole\n\n"
        "## v1.0.0\n\n"
        "2 tasks, 8 instances.\n\n"
        "- `ocr_one`: added, 4 instances, whole\n"
        "- `scene_two`: added, 4 instances, whole\n"
    )
    assert card_configs(hub, "v1.0.0") == ["ocr_one", "scene_two"]


def test_a_tag_can_be_set_later_and_is_never_moved(hub: HubServer, publish: Publish, folder: Path) -> None:
    publish(folder)
    publish(folder, Choices(tag="v1"))
    tagged = hub.repo(REPO).refs["refs/tags/v1"]
    assert publish(folder, Choices(tag="v1")).commits == ()
    compile_task(folder, "scene_two", version="2")
    with pytest.raises(HubError, match="tag v1 exists on the Hub"):
        publish(folder, Choices(tag="v1"))
    assert hub.repo(REPO).refs["refs/tags/v1"] == tagged


def test_a_tag_that_was_cut_short_is_set_by_the_same_command(
    hub: HubServer, publish: Publish, folder: Path
) -> None:
    hub.fail("POST .*/tag/", 403, message="no")
    with pytest.raises(HubError):
        publish(folder, Choices(tag="v1"))
    publish(folder, Choices(tag="v1"))
    files = hub.files(REPO, "v1")
    assert files["CHANGELOG.md"].decode().count("## v1") == 1 and files == hub.files(REPO)


def test_a_branch_and_a_pull_request_leave_main_alone(hub: HubServer, publish: Publish, folder: Path) -> None:
    publish(folder, Choices(only=("ocr_one",)))
    publish(folder, branch="next")
    assert card_configs(hub) == ["ocr_one"] and card_configs(hub, "next") == ["ocr_one", "scene_two"]
    hub.fail("POST .*/commit/", 403, message="no")
    with pytest.raises(HubError):
        publish(folder, pull_request=True)
    publish(folder, pull_request=True)
    assert list(hub.repo(REPO).discussions) == [1]  # the one left open was used again
    assert card_configs(hub) == ["ocr_one"] and card_configs(hub, "refs/pr/1") == ["ocr_one", "scene_two"]


def test_somebody_without_the_right_to_write_can_open_a_pull_request(
    hub: HubServer, publish: Publish, folder: Path, transport: str
) -> None:
    publish(folder, Choices(only=("ocr_one",)))
    stranger = Publish(HfApi(endpoint=hub.url, token=STRANGER.token))
    outcome = stranger(folder, pull_request=True)
    assert outcome.url == f"{hub.url}/datasets/{REPO}/discussions/1"
    assert card_configs(hub) == ["ocr_one"] and card_configs(hub, "refs/pr/1") == ["ocr_one", "scene_two"]
    publish.api.merge_pull_request(REPO, 1, repo_type="dataset")
    assert card_configs(hub) == ["ocr_one", "scene_two"]


def test_progress_is_plain_lines_when_not_on_a_terminal(
    hub: HubServer, publish: Publish, folder: Path
) -> None:
    publish(folder)
    lines = publish.said.splitlines()
    assert "4 of 4 files" in lines[-1] and "1 commit" in lines[-1] and "\r" not in publish.said


def test_manifests_there_name_the_published_files(hub: HubServer, publish: Publish, tmp_path: Path) -> None:
    folder = compile_folder(tmp_path / "out", {"c_no": "no"})
    publish(folder)
    there = hub.files(REPO)
    manifest = json.loads(there["manifest/c_no.json"])
    published = manifest["published"]
    assert published["form"] == "recipe" and published["license"] == "no"
    (shard,) = published["shards"]
    assert len(there[shard["path"]]) == shard["bytes"]
    assert manifest["shards"][0]["path"] == "c_no/train-00000-of-00001.parquet"
