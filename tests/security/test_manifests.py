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


@pytest.fixture
def facts(toy: Toy) -> dict[str, object]:
    toy.compile()
    found: dict[str, object] = json.loads(manifest_path(toy.out, "toy_color").read_text())
    return found


def test_a_manifest_of_ours_is_read(toy: Toy, facts: dict[str, object]) -> None:
    assert read_manifest(manifest_path(toy.out, "toy_color")).task == facts["task"]


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
    with pytest.raises(VflanError, match="no task id"):
        Manifest.from_json(json.dumps({**facts, "task": task}), HERE)


@pytest.mark.parametrize("attempt", PUBLISHED)
def test_a_published_block_is_refused(facts: dict[str, object], attempt: str, tmp_path: Path) -> None:
    with pytest.raises(VflanError):
        PublishedTask.from_json(json.dumps({**facts, "published": PUBLISHED[attempt]}), HERE)
