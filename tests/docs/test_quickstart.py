"""Every command of documents with examples prints what they show."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.console import examples, matches, run

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "name", ["README.md", "docs/quickstart.md", "docs/concepts.md", "docs/scale.md", "docs/review.md"]
)
def test_every_command_prints_what_the_document_shows(name: str, tmp_path: Path) -> None:
    found = list(examples(REPOSITORY / name))
    assert found, f"{name} has no console block"
    for example in found:
        printed, _ = run(example.command, tmp_path)
        assert matches(example.output, printed), (
            f"{name}:{example.line}: $ {example.command}\nshows\n{example.output}\nbut it prints\n{printed}"
        )
