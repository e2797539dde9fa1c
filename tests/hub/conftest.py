"""One test Hub per test, the released client against it, and tiny compiled folders to publish."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import HfApi, constants

from tests.hub_server import HubServer
from tests.hub_server.client import ALICE, BOB, READER, STRANGER, Client
from tests.hub_server.compiled import compile_folder
from tests.hub_server.publishing import Publish


@pytest.fixture(autouse=True)
def quiet_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's own progress bars would fill the output of a failing test."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubServer]:
    with HubServer(tmp_path / "hub", [ALICE, BOB, READER, STRANGER]) as server:
        yield server


@pytest.fixture(params=["xet", "lfs"])
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test twice: chunks through hf_xet, then whole files through LFS."""
    name: str = request.param
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", name == "lfs")
    return name


@pytest.fixture
def api(hub: HubServer) -> HfApi:
    return HfApi(endpoint=hub.url, token=ALICE.token)


@pytest.fixture
def client(hub: HubServer, tmp_path: Path, transport: str) -> Client:
    return Client(hub, tmp_path / "home", transport)


@pytest.fixture
def publish(api: HfApi) -> Publish:
    return Publish(api)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return compile_folder(tmp_path / "out", {"ocr_one": "yes", "scene_two": "yes"})
