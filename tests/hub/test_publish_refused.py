"""What is refused, as far as possible before anything is sent."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import HfApi

from tests.hub_server import HubServer
from tests.hub_server.client import READER, STRANGER
from tests.hub_server.compiled import compile_task
from tests.hub_server.publishing import REPO, Publish
from vision_flan.errors import HubError, VflanError
from vision_flan.hub.plan import Choices
from vision_flan.hub.publish import Publisher


def refused(hub: HubServer, publisher: Publisher) -> HubError:
    with pytest.raises(HubError) as error:
        publisher.run(publisher.plan())
    assert not [r for r in hub.requests if r.method in ("POST", "PUT") and r.path != "/api/repos/create"]
    return error.value


@pytest.mark.parametrize(
    ("token", "what", "hint"),
    [
        ("hf_wrong", "does not accept this token", "hf auth login"),
        (READER.token, "is read-only", "write access"),
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
    assert "no permission" in error.what and "token with write access" in error.hint


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


def test_front_matter_that_the_hub_refuses_is_said_before_anything_is_sent(
    hub: HubServer, publish: Publish, folder: Path
) -> None:
    publish(folder, Choices(only=("ocr_one",)))
    card = hub.files(REPO)["README.md"].replace(b"license_name: per-source\n", b"license_name: ''\n", 1)
    hub.push(REPO, {"README.md": card})
    before = dict(hub.received_objects)
    with pytest.raises(HubError, match='"license_name" is required'):
        publish(folder)
    assert hub.received_objects == before and "scene_two" not in "".join(hub.files(REPO))


@pytest.mark.parametrize("skip", [0, 1])
def test_an_error_page_instead_of_an_answer_on_the_card_is_waited_for(
    hub: HubServer, publish: Publish, folder: Path, skip: int
) -> None:
    fault = hub.fail("POST /api/validate-yaml", 503, page="<html><body>Bad gateway</body></html>", skip=skip)
    publish(folder)
    assert fault.times == 0 and "README.md" in hub.files(REPO)


def test_front_matter_that_is_not_yaml_is_not_lost(hub: HubServer, publish: Publish, folder: Path) -> None:
    publish(folder, Choices(only=("ocr_one",)))
    hub.push(REPO, {"README.md": b"---\nlicense: [mine\n---\n# Ours\n"})
    with pytest.raises(HubError, match=r"not YAML, line 3 \(.*\), and would be lost"):
        publish(folder)
    assert hub.files(REPO)["README.md"] == b"---\nlicense: [mine\n---\n# Ours\n"
