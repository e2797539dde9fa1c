"""Every command of docs/publish.md prints what the document shows, against the test Hub."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.console import examples, matches, run
from tests.hub_server import HubServer
from tests.hub_server.client import ALICE

DOCUMENT = Path(__file__).parents[2] / "docs" / "publish.md"


@pytest.mark.slow
def test_every_command_prints_what_the_document_shows(hub: HubServer, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    environment = {"HF_ENDPOINT": hub.url, "HF_TOKEN": ALICE.token, "HF_HUB_OFFLINE": "0"}
    found = list(examples(DOCUMENT))
    assert len(found) > 10
    for example in found:
        printed, _ = run(example.command, folder, environment)
        assert matches(example.output, printed), (
            f"publish.md:{example.line}: $ {example.command}\n"
            f"shows\n{example.output}\nbut it prints\n{printed}"
        )
