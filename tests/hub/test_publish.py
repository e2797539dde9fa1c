"""Publishing to the test Hub with the released client: plan, send, merge, continue, refuse."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi

from tests.hub_server import HubServer
from tests.hub_server.client import BOB, READER, STRANGER
from tests.hub_server.compiled import compile_folder, compile_task, marker, source
from vision_flan.card import front_matter_of
from vision_flan.errors import HubError, VflanError
from vision_flan.hub.plan import ADDED, CHANGED, KEPT, REMOVED, UNCHANGED, Choices, Plan, advice
from vision_flan.hub.progress import Progress
from vision_flan.hub.publish import Limits, Outcome, Publisher
from vision_flan.hub.waiting import Patience

REPO = "ORG/vision-flan"
NOTHING_SPECIAL = Choices()


class Publish:
    """Publishes folders and keeps what was said and waited."""

    def __init__(self, api: HfApi) -> None:
        self.api = api
        self.out = io.StringIO()
        self.waits: list[float] = []

    def publisher(self, folder: Path, choices: Choices = NOTHING_SPECIAL, **options: Any) -> Publisher:
        progress = Progress(out=self.out)
        patience = Patience(progress.say, self.waits.append)
        options = {"patience": patience, "progress": progress, "repo_id": REPO} | options
        return Publisher(api=self.api, folder=folder, choices=choices, **options)

    def plan(self, folder: Path, choices: Choices = NOTHING_SPECIAL, **options: Any) -> Plan:
        return self.publisher(folder, choices, **options).plan()

    def __call__(self, folder: Path, choices: Choices = NOTHING_SPECIAL, **options: Any) -> Outcome:
        publisher = self.publisher(folder, choices, **options)
        return publisher.run(publisher.plan())

    @property
    def said(self) -> str:
        return self.out.getvalue()


@pytest.fixture
def publish(api: HfApi) -> Publish:
    return Publish(api)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return compile_folder(tmp_path / "out", {"ocr_one": "yes", "scene_two": "yes"})


def actions(plan: Plan) -> dict[str, str]:
    return {change.task: change.action for change in plan.changes}


def card_configs(hub: HubServer, revision: str = "main") -> list[str]:
    front = front_matter_of(hub.files(REPO, revision)["README.md"].decode())
    return [config["config_name"] for config in front["configs"]]


# ---- what is sent


def test_a_first_publish_sends_every_shard_byte_for_byte_with_manifests_and_documents(
    hub: HubServer, publish: Publish, folder: Path, transport: str
) -> None:
    plan = publish.plan(folder)
    assert actions(plan) == {"ocr_one": ADDED, "scene_two": ADDED}
    assert plan.bytes == sum(file.stat().st_size for file in folder.glob("*/*.parquet"))
    outcome = publish(folder)
    there = hub.files(REPO)
    for file in folder.glob("*/*.parquet"):
        assert there.pop(str(file.relative_to(folder))) == file.read_bytes()
    assert sorted(there) == [
        "CITATIONS.bib",
        "LICENSES.md",
        "README.md",
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
    assert plan.changed_documents == ("README.md", "croissant.json")
    publish(folder)
    assert set(hub.received_objects) - set(first) == {shard.sha256 for shard in rebuilt.shards}
    front = front_matter_of(hub.files(REPO)["README.md"].decode())
    assert [info["splits"][0]["num_examples"] for info in front["dataset_info"]] == [4, 5]


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
    front = front_matter_of(hub.files(REPO)["README.md"].decode())
    assert front["thumbnail"] == "https://example.org/a.png" and front["license"] == "other"


# ---- licences


def test_licences_decide_what_goes_out_whole(publish: Publish, tmp_path: Path) -> None:
    licences = {"a_yes": "yes", "b_unclear": "unclear", "c_no": "no"}
    folder = compile_folder(tmp_path / "out", licences)

    def forms(choices: Choices) -> dict[str, str]:
        plan = publish.plan(folder, choices)
        return {c.task: c.published.publication.form for c in plan.changes if c.published}

    assert forms(Choices()) == {"a_yes": "whole", "b_unclear": "recipe", "c_no": "recipe"}
    assert forms(Choices(include_unclear=True)) == {"a_yes": "whole", "b_unclear": "whole", "c_no": "recipe"}
    assert forms(Choices(allowed={"c_no": "we took them"})) == {
        "a_yes": "whole",
        "b_unclear": "recipe",
        "c_no": "whole",
    }


def test_no_byte_of_a_restricted_picture_is_sent(
    hub: HubServer, publish: Publish, tmp_path: Path, transport: str
) -> None:
    folder = compile_folder(tmp_path / "out", {"a_yes": "yes", "b_unclear": "unclear", "c_no": "no"})
    publish(folder)
    kept = b"".join(hub.everything_received())
    for row in range(4):
        key = f"00000-of-00001-{row}"
        assert marker(f"a_yes 1 {key}")[-64:] in kept
        for task in ("b_unclear", "c_no"):
            noise = marker(f"{task} 1 {key}")
            assert not any(noise[at : at + 16] in kept for at in range(0, len(noise) - 16, 16))


def test_a_recipe_has_every_column_but_the_picture_and_its_checksum_path_and_size(
    hub: HubServer, publish: Publish, tmp_path: Path
) -> None:
    import hashlib

    import pyarrow.parquet as pq

    folder = compile_folder(tmp_path / "out", {"c_no": "no"})
    publish(folder)
    recipe = pq.read_table(
        io.BytesIO(hub.files(REPO)["recipe/c_no/train-00000-of-00001.parquet"])
    ).to_pylist()
    whole = pq.read_table(folder / "c_no/train-00000-of-00001.parquet").to_pylist()
    for short, full in zip(recipe, whole, strict=True):
        image = full.pop("image")
        facts = {name: short.pop(name) for name in list(short) if name.startswith("image_")}
        assert short == full
        assert facts == {
            "image_path": image["path"],
            "image_sha256": hashlib.sha256(image["bytes"]).hexdigest(),
            "image_width": 8,
            "image_height": 6,
        }


def test_the_card_says_who_allowed_a_restricted_task_and_which_licences_are_unclear(
    hub: HubServer, publish: Publish, tmp_path: Path
) -> None:
    folder = compile_folder(tmp_path / "out", {"b_unclear": "unclear", "c_no": "no", "d_no": "no"})
    choices = Choices(include_unclear=True, allowed={"c_no": "I took the pictures myself"})
    publish(folder, choices)
    there = hub.files(REPO)
    for name in ("README.md", "LICENSES.md"):
        assert "`c_no`: I took the pictures myself" in there[name].decode()
    assert "here by the\ndecision of the publisher" in there["README.md"].decode()
    assert "| D No" not in there["LICENSES.md"].decode()
    assert "Ask | the authors." in there["LICENSES.md"].decode()


def test_taking_pictures_back_warns_that_history_keeps_them(
    hub: HubServer, publish: Publish, tmp_path: Path
) -> None:
    folder = compile_folder(tmp_path / "out", {"b_unclear": "unclear"})
    publish(folder, Choices(include_unclear=True))
    plan = publish.plan(folder)
    assert any("stay in earlier commits" in line for line in advice(plan, Choices()))
    publish(folder)
    assert "b_unclear/train-00000-of-00001.parquet" not in hub.files(REPO)
    assert "recipe/b_unclear/train-00000-of-00001.parquet" in hub.files(REPO)


def test_people_and_gated_sources_suggest_gating(publish: Publish, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    compile_task(folder, "facial_a", source=source("a", sensitive=["faces"], access="gated"))
    plan = publish.plan(folder)
    said = " ".join(advice(plan, Choices()))
    assert "--gated auto" in said and "--gated manual" in said
    assert advice(plan, Choices(gated="manual")) == []


def test_a_gated_publish_asks_readers_in_the_card_and_in_the_settings(
    hub: HubServer, publish: Publish, folder: Path
) -> None:
    publish(folder, Choices(gated="auto", private=True))
    assert hub.repo(REPO).gated == "auto" and hub.repo(REPO).private
    front = front_matter_of(hub.files(REPO)["README.md"].decode())
    assert "follow the licence" in front["extra_gated_prompt"]


# ---- several people, interruptions, a Hub that is busy


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
    hub.fail("PUT /lfs", 0, after_bytes=1000)
    publish(folder)
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


# ---- refusals before anything is sent


def refused(hub: HubServer, publisher: Publisher) -> HubError:
    with pytest.raises(HubError) as error:
        publisher.run(publisher.plan())
    assert not [r for r in hub.requests if r.method in ("POST", "PUT") and r.path != "/api/repos/create"]
    return error.value


@pytest.mark.parametrize(
    ("token", "what", "hint"),
    [
        ("hf_wrong", "does not accept this token", "hf auth login"),
        (READER.token, "only reads", "write access"),
        (STRANGER.token, "may not create", "stranger/vision-flan"),
    ],
)
def test_a_wrong_token_is_refused_before_anything_is_sent(
    hub: HubServer, folder: Path, token: str, what: str, hint: str
) -> None:
    publish = Publish(HfApi(endpoint=hub.url, token=token))
    error = refused(hub, publish.publisher(folder))
    assert what in error.what and hint in error.hint


def test_no_token_at_all_is_said(
    hub: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    error = refused(hub, Publish(HfApi(endpoint=hub.url)).publisher(folder))
    assert "no token" in error.what


def test_no_right_to_write_is_said(hub: HubServer, publish: Publish, folder: Path) -> None:
    publish(folder)
    compile_task(folder, "scene_two", version="2")
    hub.requests.clear()
    error = refused(hub, Publish(HfApi(endpoint=hub.url, token=STRANGER.token)).publisher(folder))
    assert "no right" in error.what and "token with write access" in error.hint


def test_a_name_that_holds_something_else_is_left_alone(
    hub: HubServer, publish: Publish, folder: Path
) -> None:
    publish.api.create_repo(REPO, repo_type="dataset")
    hub.push(REPO, {"data.csv": b"a,b\n"})
    hub.requests.clear()
    error = refused(hub, publish.publisher(folder))
    assert "is taken" in error.what and "data.csv" in error.what
    assert hub.files(REPO) == {"data.csv": b"a,b\n"}


def test_a_full_quota_is_said_with_what_to_do(hub: HubServer, publish: Publish, folder: Path) -> None:
    hub.fail("POST .*/commit/", 403, message="Private storage limit reached, please upgrade")
    with pytest.raises(HubError, match="storage quota is full") as error:
        publish(folder)
    assert "free or ask for space" in error.value.hint


def test_a_shard_that_is_not_as_its_manifest_says_is_not_published(
    hub: HubServer, publish: Publish, folder: Path
) -> None:
    shard = folder / "ocr_one/train-00000-of-00001.parquet"
    content = bytearray(shard.read_bytes())
    content[100] ^= 1
    shard.write_bytes(content)
    with pytest.raises(HubError, match="another sha256"):
        publish(folder)
    assert "ocr_one/train-00000-of-00001.parquet" not in hub.files(REPO)
    shard.write_bytes(content[:-1])
    with pytest.raises(VflanError, match="its manifest says"):
        publish.plan(folder)


def test_an_empty_folder_and_unknown_tasks_are_said(publish: Publish, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(VflanError, match="no compiled task"):
        publish.plan(tmp_path / "none")
    with pytest.raises(VflanError, match="--task ocr_none"):
        publish.plan(folder, Choices(only=("ocr_none",)))
    with pytest.raises(VflanError, match="--allow-restricted c_none"):
        publish.plan(folder, Choices(allowed={"c_none": "mine"}))


# ---- versions


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
    with pytest.raises(HubError, match="tag v1 is on the Hub already"):
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


# ---- what a person sees


def test_progress_is_plain_lines_when_not_on_a_terminal(
    hub: HubServer, publish: Publish, folder: Path
) -> None:
    publish(folder)
    lines = publish.said.splitlines()
    assert "2 of 2 files" in lines[-1] and "1 commit" in lines[-1] and "\r" not in publish.said


def test_manifests_there_name_the_published_files(hub: HubServer, publish: Publish, tmp_path: Path) -> None:
    folder = compile_folder(tmp_path / "out", {"c_no": "no"})
    publish(folder)
    there = hub.files(REPO)
    manifest = json.loads(there["manifest/c_no.json"])
    published = manifest["published"]
    assert published["form"] == "recipe" and published["licence"] == "no"
    (shard,) = published["shards"]
    assert len(there[shard["path"]]) == shard["bytes"]
    assert manifest["shards"][0]["path"] == "c_no/train-00000-of-00001.parquet"
