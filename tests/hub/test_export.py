"""Exports of a repository on the Hub."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from tests.hub_server.compiled import compile_folder, marker
from tests.hub_server.publishing import REPO, Publish
from vision_flan.exports.write import ExportChoices, ExportError, export
from vision_flan.report import Silent


class Notes(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, message: str) -> None:
        self.said.append(message)


@pytest.fixture(autouse=True)
def server(api: HfApi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("vision_flan.hub.client.client", lambda: api)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))


def test_a_repository_is_exported_like_the_folder_it_came_from(
    publish: Publish, folder: Path, tmp_path: Path
) -> None:
    publish(folder)
    done = export(REPO, tmp_path / "exported", "llava")
    assert done == export(folder, tmp_path / "disk", "llava")
    assert (tmp_path / "exported/llava.json").read_bytes() == (tmp_path / "disk/llava.json").read_bytes()


def test_a_recipe_is_named_and_left_out(publish: Publish, tmp_path: Path) -> None:
    publish(compile_folder(tmp_path / "out", {"ocr_one": "yes", "scene_two": "no"}))
    notes = Notes()
    export(REPO, tmp_path / "exported", "llava", ExportChoices(), notes)
    assert any("scene_two" in line and "vflan rehydrate" in line for line in notes.said)
    entries = json.loads((tmp_path / "exported/llava.json").read_text())
    assert {entry["id"].split("/")[0] for entry in entries} == {"ocr_one"}
    restricted = marker("scene_two 1 00000-of-00001-0")
    assert not any(restricted in p.read_bytes() for p in (tmp_path / "exported").rglob("*") if p.is_file())


def test_a_repository_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="alice/nosuch has no task"):
        export("alice/nosuch", tmp_path / "out", "llava")
    assert not (tmp_path / "out").exists()
