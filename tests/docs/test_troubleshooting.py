"""docs/troubleshooting.md: every message is provoked through the command line, and printed as shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs import provoked_files, provoked_machine  # noqa: F401  they register what they provoke
from tests.docs.bench import PROVOKED, Bench
from tests.docs.console import matches
from vision_flan.raw.web import PRIVATE_HOSTS

DOCUMENT = Path(__file__).parents[2] / "docs" / "troubleshooting.md"
_ENTRY = re.compile(r"^### (?P<heading>[^\n]+)\n\n```text\n(?P<message>.*?)\n```\n", re.MULTILINE | re.DOTALL)
ENTRIES = {found["heading"]: found["message"] for found in _ENTRY.finditer(DOCUMENT.read_text("utf-8"))}


def test_every_entry_has_a_message_that_is_provoked() -> None:
    assert list(ENTRIES) == re.findall(r"^### (.+)$", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    assert sorted(ENTRIES) == sorted(PROVOKED)
    assert len(ENTRIES) >= 25


@pytest.mark.parametrize("heading", list(ENTRIES))
def test_a_message_is_as_the_document_prints_it(
    heading: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv(PRIVATE_HOSTS, "1")  # servers of this machine
    printed = PROVOKED[heading](Bench(tmp_path, monkeypatch, capfd))
    message = ENTRIES[heading]
    assert matches(f"...\n{message}\n...", f"\n{printed}\n"), f"shows\n{message}\nbut it prints\n{printed}"
    assert "Traceback" not in printed
