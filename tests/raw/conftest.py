from __future__ import annotations

import pytest

from vision_flan.raw.web import PRIVATE_HOSTS


@pytest.fixture(autouse=True)
def servers_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The servers of these tests are of this machine, which the URL of a spec may not name."""
    monkeypatch.setenv(PRIVATE_HOSTS, "1")
