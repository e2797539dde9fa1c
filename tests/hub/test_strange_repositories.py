"""A repository may be anybody's: what is read of it is bounded, and is text."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import HfApi

from tests.hub_server import HubServer
from tests.hub_server.publishing import Publish
from vision_flan.dataset.front_matter import parsed
from vision_flan.errors import HubError, VflanError
from vision_flan.exports.sources import on_hub
from vision_flan.hub import remote
from vision_flan.hub.rehydrate import Rehydrator
from vision_flan.hub.remote import Reader
from vision_flan.hub.waiting import Patience
from vision_flan.report import Silent
from vision_flan.spec.catalog import Catalog

REPO = "ORG/vision-flan"
PATH = "manifest/ocr_one.json"


def put(api: HfApi, content: bytes) -> None:
    api.upload_file(path_or_fileobj=content, path_in_repo=PATH, repo_id=REPO, repo_type="dataset")


def read(api: HfApi) -> remote.Remote:
    return Reader(api, REPO, Patience(Silent())).read("main")


def test_a_manifest_without_end_is_not_read_to_its_end(
    api: HfApi, publish: Publish, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(folder)
    monkeypatch.setattr(remote, "MOST_TEXT", 100_000)
    put(api, b" " * 200_000)
    with pytest.raises(HubError, match=r"larger than .*, so it is none of ours") as caught:
        read(api)
    assert caught.value.where is not None and PATH in str(caught.value.where)


def test_a_manifest_that_is_no_text_is_said_with_its_place(
    api: HfApi, publish: Publish, folder: Path
) -> None:
    publish(folder)
    put(api, b'{"task": "\xff\xfe"}')
    with pytest.raises(HubError, match="not text in UTF-8"):
        read(api)


@pytest.mark.parametrize(
    "content", [b"[]", b"{}", b"null", b'{"task": ' + b"[" * 100_000, b"\x1b[2J{}", b'{"task": 1}']
)
def test_a_manifest_of_somebody_else_s_is_refused_without_a_traceback(
    api: HfApi, publish: Publish, folder: Path, content: bytes
) -> None:
    publish(folder)
    put(api, content)
    with pytest.raises(VflanError, match="not a manifest") as caught:
        read(api)
    assert "\x1b" not in str(caught.value)


CARDS = {
    "aliases that multiply": "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]",
    "merged keys that multiply": "a: &a {x: 1}\nb: {<<: [*a, *a]}",
    "lists without end": "a: " + "[" * 50_000,
    "indents without end": "\n".join(" " * depth + "a:" for depth in range(2_000)),
    "3 MB": "a: " + "x" * 3_000_000,
    "an object of Python": "a: !!python/object/apply:os.system ['true']",
    "a tag of its own": "a: !own x",
    "a number of 5,000 digits": "a: " + "9" * 5_000,
    "two keys of one name": "a: 1\na: 2",
    "a key that is a list": "? [a]\n: b",
    "tags that are mappings": "tags: [{a: b}]",
    "languages in a mapping": "language: {en: 1}",
    "task categories that are numbers": "task_categories: 7",
}


@pytest.mark.parametrize("attempt", CARDS)
def test_a_card_s_front_matter_cannot_hold(attempt: str) -> None:
    with pytest.raises(ValueError, match="front matter") as caught:
        parsed(f"---\n{CARDS[attempt]}\n---\n# A card\n")
    assert len(str(caught.value)) < 400


def test_a_manifest_under_the_name_of_another_task_is_refused(
    api: HfApi, publish: Publish, folder: Path
) -> None:
    publish(folder)
    api.upload_file(
        path_or_fileobj=(folder / "manifest/scene_two.json").read_bytes(),
        path_in_repo=PATH,
        repo_id=REPO,
        repo_type="dataset",
    )
    with pytest.raises(HubError, match="belongs to the task 'scene_two'"):
        read(api)


def parquet(**columns: list[object]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


TURNS = [[{"user": "a", "assistant": "b"}]]
SHARDS = {
    "no Parquet": b"PAR1 nothing PAR1",
    "nothing": b"",
    "other columns": parquet(a=[1]),
    "no image": parquet(id=["a"], turns=TURNS, task=["t"]),
    "an image that is a number": parquet(id=["a"], image=[7], turns=TURNS, task=["t"]),
    "an image that is a path": parquet(id=["a"], image=["/etc/passwd"], turns=TURNS, task=["t"]),
    "turns that are texts": parquet(id=["a"], image=[{"bytes": b"", "path": ""}], turns=["x"], task=["t"]),
    "an id that is a number": parquet(id=[1], image=[{"bytes": b"", "path": ""}], turns=TURNS, task=["t"]),
}


@pytest.mark.parametrize("attempt", SHARDS)
def test_a_shard_is_refused_that_holds(
    attempt: str, hub: HubServer, api: HfApi, publish: Publish, folder: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Its manifest names it, with its size and checksum."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    publish(folder)
    content = SHARDS[attempt]
    manifest = json.loads(hub.files(REPO)[PATH])
    facts = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), "rows": 1}
    for block in (manifest, manifest["published"]):
        block["shards"] = [{**block["shards"][0], **facts}]
    hub.push(REPO, {PATH: json.dumps(manifest).encode(), manifest["shards"][0]["path"]: content})
    source = on_hub(api, REPO, "main", Silent())
    (part,) = source.parts(["ocr_one"], (), None)
    with pytest.raises(VflanError, match="not readable|no column"):
        list(source.rows(part))
    made = Rehydrator(api, REPO, [], tmp_path / "x", Catalog.default(), Silent(), Patience(Silent()))
    there = read(api)
    with pytest.raises(HubError, match="not a recipe"):
        list(made._published_rows(there, there.tasks["ocr_one"]))


def test_a_folder_of_others_sends_no_file_that_a_link_leads_to(
    hub: HubServer, publish: Publish, folder: Path, tmp_path: Path
) -> None:
    """Neither as a shard nor as an example: both are known by their sha256."""
    (shard,) = (folder / "ocr_one").glob("*.parquet")
    secret = tmp_path / "id_rsa"
    secret.write_bytes(b"of the user".ljust(shard.stat().st_size, b"!"))
    publisher = publish.publisher(folder)
    plan = publisher.plan()
    example = folder / "gallery/ocr_one.jpg"
    small = tmp_path / "small"
    small.write_bytes(b"of the user".ljust(example.stat().st_size, b"!"))
    for path, to in ((shard, secret), (example, small)):
        path.unlink()
        path.symlink_to(to)
    with pytest.raises(HubError, match="another sha256"):
        publisher.run(plan)
    shown = publish.plan(folder)
    assert not any(upload.path.endswith("ocr_one.jpg") for one in shown.changes for upload in one.uploads)
    assert not any(b"of the user" in content for content in hub.everything_received())
