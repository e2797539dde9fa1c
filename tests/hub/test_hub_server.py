"""The test Hub itself: the released client works with it as with huggingface.co."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import httpx2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tests.hub_server import HubServer
from tests.hub_server.client import BOB, READER, STRANGER, Client
from vision_flan.columns import arrow_schema

CARD = """---
configs:
- config_name: one
  data_files: [{split: train, path: one/*.parquet}]
---
# A card
"""
LOAD = """
import datasets, hashlib, json, sys
repo, revision = sys.argv[1:]
def rows(dataset):
    dataset = dataset.cast_column("image", datasets.Image(decode=False))
    return [[row["id"], hashlib.sha256(row["image"]["bytes"]).hexdigest(), row["options"]] for row in dataset]
mapped = datasets.load_dataset(repo, "one", split="train", revision=revision)
streamed = datasets.load_dataset(repo, "one", split="train", revision=revision, streaming=True)
print(json.dumps({"mapped": rows(mapped), "streamed": rows(streamed), "features": str(mapped.features)}))
"""


def shard(path: Path, marker: str, rows: int = 3) -> list[list[object]]:
    """Write a Parquet shard of our columns; gives id, sha256 of the image and options of each row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = {name: [f"{marker} {name} {i}" for i in range(rows)] for name in arrow_schema().names}
    images = [os.urandom(2000) + bytes(1000) for _ in range(rows)]
    columns = {**texts, "image": [{"bytes": b, "path": f"{i}.jpg"} for i, b in enumerate(images)]}
    columns["options"] = [["yes", "no"]] * rows
    columns["turns"] = [[{"user": "What is it?", "assistant": "A cat."}]] * rows
    pq.write_table(pa.table(columns, arrow_schema()), path, compression="none")
    return [[texts["id"][i], hashlib.sha256(images[i]).hexdigest(), ["yes", "no"]] for i in range(rows)]


def test_a_folder_uploaded_with_upload_folder_loads_back_at_a_tag_map_style_and_streamed(
    hub: HubServer, api: HfApi, client: Client, tmp_path: Path
) -> None:
    expected = shard(tmp_path / "out/one/train-00000-of-00001.parquet", "first")
    (tmp_path / "out/README.md").write_text(CARD)
    api.create_repo("ORG/data", repo_type="dataset")
    upload = (
        "import huggingface_hub, sys; "
        "huggingface_hub.upload_folder(repo_id='ORG/data', folder_path=sys.argv[1], repo_type='dataset');"
        "print('{}')"
    )
    client.run(upload, str(tmp_path / "out"))
    api.create_tag("ORG/data", tag="v1", repo_type="dataset")
    first = (tmp_path / "out/one/train-00000-of-00001.parquet").read_bytes()
    assert hub.files("ORG/data")["one/train-00000-of-00001.parquet"] == first

    shard(tmp_path / "out/one/train-00000-of-00001.parquet", "second")
    client.run(upload, str(tmp_path / "out"))

    loaded = client.run(LOAD, "ORG/data", "v1")
    assert loaded["mapped"] == loaded["streamed"] == expected
    assert "Image(" in loaded["features"]
    assert hub.files("ORG/data")["one/train-00000-of-00001.parquet"] != first


def test_a_large_object_goes_up_in_parts_and_is_put_together(
    hub: HubServer, api: HfApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    hub.part_size = 1000
    content = os.urandom(2500)
    api.create_repo("ORG/data", repo_type="dataset")
    api.upload_file(path_or_fileobj=content, path_in_repo="a.bin", repo_id="ORG/data", repo_type="dataset")
    assert hub.files("ORG/data")["a.bin"] == content
    assert hub.count(r"PUT /lfs/\w+/\d") == 3


def test_an_object_that_is_there_is_not_sent_again(hub: HubServer, api: HfApi, transport: str) -> None:
    content = os.urandom(200_000)
    api.create_repo("ORG/data", repo_type="dataset")
    for name in ("a.bin", "b.bin"):
        api.upload_file(path_or_fileobj=content, path_in_repo=name, repo_id="ORG/data", repo_type="dataset")
    sent = hub.store.xet.stored_bytes() if transport == "xet" else sum(hub.received_objects.values())
    assert len(content) <= sent < 1.1 * len(content)
    assert hub.files("ORG/data")["b.bin"] == content


def test_text_that_xet_compresses_comes_back_byte_for_byte(
    hub: HubServer, api: HfApi, transport: str
) -> None:
    words = "".join(f"line {i} of a text that compresses\n" for i in range(20_000)).encode()
    numbers = b"".join((i * i).to_bytes(4, "little") for i in range(50_000))
    api.create_repo("ORG/data", repo_type="dataset")
    operations = [CommitOperationAdd("a.bin", words), CommitOperationAdd("b.bin", numbers)]
    api.create_commit("ORG/data", operations, commit_message="two", repo_type="dataset")
    assert hub.files("ORG/data") == {"a.bin": words, "b.bin": numbers}


def test_a_stale_parent_commit_is_refused_with_412(hub: HubServer, api: HfApi) -> None:
    api.create_repo("ORG/data", repo_type="dataset")
    head = api.repo_info("ORG/data", repo_type="dataset").sha
    hub.push("ORG/data", {"theirs.txt": b"first"})
    with pytest.raises(HfHubHTTPError) as refused:
        api.create_commit(
            "ORG/data",
            [CommitOperationAdd("ours.txt", b"second")],
            commit_message="late",
            repo_type="dataset",
            parent_commit=head,
        )
    assert refused.value.response.status_code == 412
    assert hub.files("ORG/data") == {"theirs.txt": b"first"}


def test_files_and_folders_are_deleted_and_listed_over_several_pages(hub: HubServer, api: HfApi) -> None:
    hub.page_size = 4
    api.create_repo("ORG/data", repo_type="dataset")
    hub.push("ORG/data", {f"d/{i}.txt": b"x" for i in range(9)} | {"one.txt": b"1"})
    tree = list(api.list_repo_tree("ORG/data", recursive=True, expand=True, repo_type="dataset"))
    assert len(tree) == 9 + 1 + 1 + 1 and tree[-1].last_commit.title == "somebody else's commit"
    assert [e.path for e in api.list_repo_tree("ORG/data", "d", repo_type="dataset")][:2] == [
        "d/0.txt",
        "d/1.txt",
    ]
    operations = [CommitOperationDelete("d/"), CommitOperationDelete("one.txt")]
    api.create_commit("ORG/data", operations, commit_message="gone", repo_type="dataset")
    assert hub.files("ORG/data") == {}


def test_refs_tags_branches_and_pull_requests(hub: HubServer, api: HfApi) -> None:
    api.create_repo("ORG/data", repo_type="dataset")
    api.create_branch("ORG/data", branch="next", repo_type="dataset")
    api.create_tag("ORG/data", tag="v1", tag_message="first", repo_type="dataset")
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_tag("ORG/data", tag="v1", repo_type="dataset")
    request = api.create_pull_request("ORG/data", "A change", repo_type="dataset")
    api.create_commit(
        "ORG/data",
        [CommitOperationAdd("new.txt", b"n")],
        commit_message="in the request",
        repo_type="dataset",
        revision=request.git_reference,
    )
    assert "new.txt" not in hub.files("ORG/data")
    api.merge_pull_request("ORG/data", request.num, repo_type="dataset")
    assert hub.files("ORG/data")["new.txt"] == b"n"
    refs = api.list_repo_refs("ORG/data", repo_type="dataset", include_pull_requests=True)
    assert [ref.name for ref in refs.branches] == ["main", "next"]
    assert [ref.name for ref in refs.tags] == ["v1"]
    assert [ref.ref for ref in refs.pull_requests or []] == ["refs/pr/1"]
    assert api.list_repo_commits("ORG/data", repo_type="dataset")[0].title == "A change"


def test_paths_info_and_ranges_of_a_file(hub: HubServer, api: HfApi) -> None:
    api.create_repo("ORG/data", repo_type="dataset")
    hub.push("ORG/data", {"a.bin": bytes(range(100)), "b.txt": b"text"})
    about = api.get_paths_info("ORG/data", ["a.bin", "b.txt", "none"], repo_type="dataset")
    assert [(f.path, f.size, f.lfs is not None) for f in about] == [("a.bin", 100, True), ("b.txt", 4, False)]
    url = f"{hub.url}/datasets/ORG/data/resolve/main/a.bin"
    part = httpx2.get(url, headers={"Range": "bytes=10-19"}, follow_redirects=True)
    assert (part.status_code, part.content) == (206, bytes(range(10, 20)))
    head = httpx2.head(url)
    assert head.status_code == 302 and head.headers["X-Linked-Size"] == "100"
    assert head.headers["X-Linked-Etag"].strip('"') == about[0].lfs.sha256


def test_errors_carry_the_codes_the_client_knows(hub: HubServer, api: HfApi, tmp_path: Path) -> None:
    with pytest.raises(RepositoryNotFoundError):
        api.repo_info("ORG/none", repo_type="dataset")
    api.create_repo("ORG/data", repo_type="dataset")
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_repo("ORG/data", repo_type="dataset")
    with pytest.raises(RevisionNotFoundError):
        api.repo_info("ORG/data", repo_type="dataset", revision="v9")
    with pytest.raises(EntryNotFoundError):
        api.hf_hub_download("ORG/data", "none.txt", repo_type="dataset", cache_dir=tmp_path)
    for user, status in ((READER, 403), (STRANGER, 403)):
        with pytest.raises(HfHubHTTPError) as refused:
            api.auth_check("ORG/data", repo_type="dataset", token=user.token, write=True)
        assert refused.value.response.status_code == status
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        api.whoami(token="hf_wrong")
    with pytest.raises(ValueError, match="license_name"):
        api.upload_file(
            path_or_fileobj=b"---\nlicense: other\n---\n",
            path_in_repo="README.md",
            repo_id="ORG/data",
            repo_type="dataset",
        )
    api.update_repo_settings("ORG/data", repo_type="dataset", gated="auto", private=True)
    assert hub.repo("ORG/data").gated == "auto"
    with pytest.raises(RepositoryNotFoundError):
        api.repo_info("ORG/data", repo_type="dataset", token=STRANGER.token)
    assert api.repo_info("ORG/data", repo_type="dataset", token=BOB.token).private


def test_faults_on_demand_503_429_and_connections_cut_in_the_middle(
    hub: HubServer, api: HfApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    api.create_repo("ORG/data", repo_type="dataset")
    faults = [
        hub.fail("POST .*/preupload", 503),
        hub.fail("POST .*objects/batch", 429, headers={"Retry-After": "1"}),
        hub.fail("PUT /lfs", 0, after_bytes=50_000),
    ]
    content = os.urandom(100_000)
    api.upload_file(path_or_fileobj=content, path_in_repo="a.bin", repo_id="ORG/data", repo_type="dataset")
    assert [fault.times for fault in faults] == [0, 0, 0]
    assert hub.files("ORG/data")["a.bin"] == content
    hub.fail("GET /cdn", 0, after_bytes=10_000)
    assert httpx2.get(f"{hub.url}/datasets/ORG/data/resolve/main/a.bin").status_code == 302
    with pytest.raises(httpx2.TransportError):
        httpx2.get(f"{hub.url}/datasets/ORG/data/resolve/main/a.bin", follow_redirects=True)


def test_a_commit_can_happen_and_its_answer_be_lost(hub: HubServer, api: HfApi) -> None:
    api.create_repo("ORG/data", repo_type="dataset")
    hub.fail("POST .*/commit/", 504, apply_first=True)
    with pytest.raises(HfHubHTTPError, match="504"):
        api.create_commit(
            "ORG/data", [CommitOperationAdd("a.txt", b"a")], commit_message="a", repo_type="dataset"
        )
    assert hub.files("ORG/data") == {"a.txt": b"a"}
