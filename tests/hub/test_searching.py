"""The search behind the license tests finds a leak that is planted, so its silence means something."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hub.searching import leaked
from tests.hub_server import HubServer
from tests.hub_server.compiled import compile_folder, image
from tests.hub_server.publishing import Publish
from vision_flan.dataset.manifest import Manifest
from vision_flan.dataset.publication import WHOLE, Publication, license_of
from vision_flan.hub import plan


@given(
    st.integers(0, 40), st.integers(0, 40), st.sampled_from(["whole", "second half", "last hundred bytes"])
)
def test_an_image_that_is_planted_anywhere_is_found(before: int, after: int, part: str) -> None:
    kept, gone = [image(f"kept {n}") for n in range(4)], [image(f"gone {n}") for n in range(4)]
    noise = random.Random(before * 41 + after).randbytes(before + after)
    secret = kept[2]
    planted = {
        "whole": secret,
        "second half": secret[len(secret) // 2 :],
        "last hundred bytes": secret[-100:],
    }
    received = [*gone, noise[:before] + planted[part] + noise[before:]]
    assert leaked(kept, gone, received) == [2]
    assert leaked(kept, gone, [*gone, noise]) == []


def images(folder: Path, task: str) -> list[bytes]:
    rows = pq.read_table(next(folder.glob(f"{task}/*.parquet"))).to_pylist()
    return [row["image"]["bytes"] for row in rows]


def search(hub: HubServer, folder: Path) -> list[int]:
    """Which of the restricted images the Hub received: four unclear ones, and then four that must stay."""
    kept = [*images(folder, "b_unclear"), *images(folder, "c_no")]
    return leaked(kept, images(folder, "a_yes"), hub.everything_received())


def compiled(tmp_path: Path) -> Path:
    return compile_folder(tmp_path / "out", {"a_yes": "yes", "b_unclear": "unclear", "c_no": "no"})


def test_a_publish_that_heeds_the_licenses_leaks_nothing(
    hub: HubServer, publish: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    folder = compiled(tmp_path)
    publish(folder)
    assert search(hub, folder) == []


def test_a_publish_that_heeds_no_license_of_one_task_is_seen(
    hub: HubServer, publish: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The leak is in the decision itself, so that all that comes after it is as in a real one."""
    decide = plan.decide

    def leaky(manifest: Manifest, **options: object) -> Publication:
        if manifest.task == "c_no":
            return Publication(WHOLE, license_of(manifest), "", manifest.shards)
        return decide(manifest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(plan, "decide", leaky)
    folder = compiled(tmp_path)
    publish(folder)
    assert search(hub, folder) == [4, 5, 6, 7]


def test_one_image_that_a_gallery_shows_by_mistake_is_seen(
    hub: HubServer, publish: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    folder = compiled(tmp_path)
    shown = folder / "gallery/a_yes.jpg"
    content = images(folder, "c_no")[0]
    facts = shown.with_suffix(".json")
    described = json.loads(facts.read_text())
    described["example"] |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    facts.write_text(json.dumps(described))
    shown.write_bytes(content)
    publish(folder)
    assert search(hub, folder) == [4]
