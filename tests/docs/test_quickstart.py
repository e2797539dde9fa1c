"""Every command of the quickstart prints what the quickstart shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.console import examples, matches, run

DOCS = Path(__file__).parent.parent.parent / "docs"


@pytest.mark.parametrize("name", ["quickstart.md"])
def test_every_command_prints_what_the_document_shows(name: str, tmp_path: Path) -> None:
    found = list(examples(DOCS / name))
    assert found, f"{name} has no console block"
    for example in found:
        printed, _ = run(example.command, tmp_path)
        assert matches(example.output, printed), (
            f"{name}:{example.line}: $ {example.command}\nshows\n{example.output}\nbut it prints\n{printed}"
        )
